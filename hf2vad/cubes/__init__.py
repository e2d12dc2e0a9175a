"""From frames to spatio-temporal cubes: boxes, flow, and what lies in the boxes."""
