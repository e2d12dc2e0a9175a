"""OpenCV as cubes are cut with it: without threads of its own.

They are off: extraction brings threads of its own and a worker owns a share of the machine. Flow
must not depend on their number either: DIS says it cuts a frame into the same stripes whatever it is (measured with
OpenCV 5.0 on vtest: 1 to 8 threads, every preset, bit-equal), and with one thread that need not be trusted.
"""

import cv2

cv2.setNumThreads(1)

__all__ = ["cv2"]
