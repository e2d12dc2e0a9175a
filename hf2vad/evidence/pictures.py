"""Pictures of a cube and of the network's output for it, in OpenCV's BGR order."""

from __future__ import annotations

import cv2
import numpy as np

from hf2vad.schema import F32, U8

MAGNIFIED = 4
"""Pixels of a picture for one of a crop."""
JPEG_QUALITY = 82


def flow_colours(flow: F32, longest: float) -> U8:
    """(H, W, 3) for (H, W, 2) flow: hue is direction, saturation is length up to `longest`; white does not move.

    To the right is red, down yellow-green, to the left cyan, up violet.
    """
    dx, dy = flow[..., 0].astype(np.float32), flow[..., 1].astype(np.float32)
    hue = np.degrees(np.arctan2(dy, dx)) % 360
    length = np.clip(np.hypot(dx, dy) / max(longest, 1e-6), 0, 1)
    wheel = np.stack([hue, length, np.ones_like(hue)], axis=-1).astype(np.float32)
    return np.rint(np.asarray(cv2.cvtColor(wheel, cv2.COLOR_HSV2BGR)) * 255).astype(np.uint8)


def error_colours(error: F32, largest: float) -> U8:
    """(H, W, 3) for (H, W) errors from 0 to `largest`: viridis, whose steps look alike, dark for 0, yellow for all."""
    grey = np.rint(np.clip(error / max(largest, 1e-6), 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), np.uint8)


def magnified(image: U8) -> U8:
    """Each pixel as a square of MAGNIFIED."""
    return image.repeat(MAGNIFIED, axis=0).repeat(MAGNIFIED, axis=1)


def png(image: U8) -> bytes:
    _, data = cv2.imencode(".png", image)
    return data.tobytes()


def jpeg(image: U8) -> bytes:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
