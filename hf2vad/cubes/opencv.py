"""OpenCV without threads of its own, as cubes are cut with it.

Extraction has threads of its own, and a worker owns a share of the machine. And flow must not depend on the number of
threads: measured with OpenCV 5.0 on vtest, DIS is bit-equal with 1 to 8 of them in every preset, and with one of them
that need not be trusted.
"""

import cv2

cv2.setNumThreads(1)

__all__ = ["cv2"]
