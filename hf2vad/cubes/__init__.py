"""From frames to spatio-temporal cubes: boxes, flow, and what lies in the boxes.

OpenCV's own threads are off here: DIS works in stripes, one a thread, and its result depends on where they meet.
"""

import cv2

cv2.setNumThreads(1)
