"""What is inside a video: its timeline, its shards, and their frames as the decoder gives them."""
