"""Tests, and what holds for all of them."""

import os
import signal

# Their clusters take no tokens, but for those of test_ray_token.py; Ray reads this when it is imported.
os.environ["RAY_AUTH_MODE"] = "disabled"
# Their networks are so small that a second thread costs twice the time; PyTorch reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A session that runs in the background has Ctrl-C ignored, and the processes that it starts would too.
signal.signal(signal.SIGINT, signal.default_int_handler)
