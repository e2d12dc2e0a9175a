"""Generated archives to try everything on: a street, a corridor, a road, and now and then something unusual."""
