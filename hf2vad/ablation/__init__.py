"""The ablation: which rows it has, what they need, and the figures."""
