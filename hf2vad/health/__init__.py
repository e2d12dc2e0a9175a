"""Health of footage: frozen, dark, covered, moved, with gaps."""
