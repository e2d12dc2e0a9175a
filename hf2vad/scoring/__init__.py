"""Scoring: cube → object → frame → event (paper §3.3)."""
