"""Spatio-temporal cubes from frames: boxes, flow, and the crops of both."""
