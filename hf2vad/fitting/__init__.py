"""Learning what is normal: fitting features and distributions, --select, and everything that makes a bundle."""
