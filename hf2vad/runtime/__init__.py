"""The walks through the rooms, as Ray tasks. The only package that imports ray."""
