"""Features of a cube: each file measures one property."""
