"""Training: networks from the cubes of an STC table."""
