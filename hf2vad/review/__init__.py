"""The daily review: what people make of events, kept as small tables, and the server that keeps them."""
