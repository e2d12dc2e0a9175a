"""The networks, in torch alone; only bundle.py touches storage."""
