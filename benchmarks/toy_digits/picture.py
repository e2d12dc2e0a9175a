"""The figure of the toy experiment: pictures on top, and below them what each network makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hf2vad.schema import F32, F64, U8

TILE = 64
"""Pixels of a side of a digit."""
STEP = TILE + 8
ROW = TILE + 28
LABELS = 290
"""Width of the column of labels."""
HEAD = 40
FOOT = 34
GAP = 20
"""Between the digit that was learnt and the others."""

_FONT = cv2.FONT_HERSHEY_DUPLEX
_BLACK, _GREY, _GREEN, _RED = (20, 20, 20), (110, 110, 110), (60, 120, 20), (40, 40, 190)


@dataclass(frozen=True)
class Row:
    """One line of digits."""

    labels: Sequence[str]
    """Up to four lines of text beside it; the first stands out."""
    images: F32
    """(K, 32, 32), 0 is black and 1 is white."""
    errors: F64 | None = None
    """(K,): written below each digit, in thousandths."""


def size(rows: int, columns: int) -> tuple[int, int]:
    """Height and width of the figure in pixels."""
    return HEAD + rows * ROW + FOOT, LABELS + columns * STEP + GAP


def draw(rows: Sequence[Row], *, normal: int, foot: str) -> U8:
    """BGR pixels of shape (*size(rows, columns), 3); the first `normal` columns show the digit that was learnt."""
    columns = len(rows[0].images)
    canvas: U8 = np.full((*size(len(rows), columns), 3), 255, np.uint8)
    _text(canvas, "learnt, held out", (_left(0, normal), 26), _GREEN, 0.5)
    _text(canvas, "not learnt", (_left(normal, normal), 26), _RED, 0.5)
    for place, row in enumerate(rows):
        top = HEAD + place * ROW
        for line, label in enumerate(row.labels):
            y = top + 18 + 18 * line
            _text(canvas, label, (12, y), _GREY if line else _BLACK, 0.45 if line else 0.58)
        for column, image in enumerate(row.images):
            left = _left(column, normal)
            canvas[top : top + TILE, left : left + TILE] = _tile(image)
            if row.errors is not None:
                color = _GREEN if column < normal else _RED
                number = f"{1000 * row.errors[column]:.1f}"
                (width, _), _ = cv2.getTextSize(number, _FONT, 0.4, 1)
                _text(canvas, number, (left + (TILE - width) // 2, top + TILE + 15), color, 0.4)
    _text(canvas, foot, (12, len(canvas) - 12), _GREY, 0.45)
    return canvas


def png(canvas: U8) -> bytes:
    """The figure as a file."""
    written, data = cv2.imencode(".png", canvas, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert written, "a canvas is an image"
    return bytes(data)


def _left(column: int, normal: int) -> int:
    return LABELS + column * STEP + (GAP if column >= normal else 0)


def _tile(image: F32) -> U8:
    grey = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
    larger = cv2.resize(grey, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    return np.repeat(larger[..., None], 3, axis=2)


def _text(canvas: U8, text: str, at: tuple[int, int], color: tuple[int, int, int], scale: float) -> None:
    cv2.putText(canvas, text, at, _FONT, scale, color, 1, cv2.LINE_AA)
