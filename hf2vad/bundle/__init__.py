"""A trained model with everything that decides a score, as files."""
