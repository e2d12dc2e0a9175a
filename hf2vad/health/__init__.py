"""Whether footage can be trusted: frozen, dark, covered, moved, with gaps."""
