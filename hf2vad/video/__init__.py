"""Content of a video: its timeline, its shards, and their decoded frames."""
