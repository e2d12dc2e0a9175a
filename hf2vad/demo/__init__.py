"""A generated archive to try everything on: a street with people, and now and then something unusual."""
