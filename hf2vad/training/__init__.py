"""Training: an STC table in, a calibrated bundle out."""
