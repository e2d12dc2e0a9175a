"""Runs as functions, between jobs and the walk: they make tasks of settings, walk, and print nothing but progress."""
