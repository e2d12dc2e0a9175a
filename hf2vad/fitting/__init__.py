"""What is normal: features fitted, their distributions, what --select chooses, and all that makes a bundle."""
