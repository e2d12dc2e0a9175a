"""Reports for people: figures in the terminal, pages of text, and the review site."""
