"""Evaluation: score tables and labels in, honest figures out."""
