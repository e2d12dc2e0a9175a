"""What people look at: figures in the terminal, pages of text, and the review site."""
