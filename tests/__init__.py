"""Tests. Their clusters take no tokens, but for those of test_ray_token.py; Ray reads this when it is imported."""

import os

os.environ["RAY_AUTH_MODE"] = "disabled"
