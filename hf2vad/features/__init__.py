"""What is measured of a cube beside the networks."""
