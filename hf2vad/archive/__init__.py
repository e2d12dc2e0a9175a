"""Archives: which videos, which shards of them, and their frames."""
