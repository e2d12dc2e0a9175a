"""YOLOX-style object detectors as ONNX networks (Ge et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from hf2vad.cubes.detectors.network import Answer, NetworkDetector
from hf2vad.cubes.opencv import cv2
from hf2vad.errors import ConfigError
from hf2vad.models.onnx import picture_size
from hf2vad.schema import F32, U8

STRIDES = (8, 16, 32)
PAD = 114
"""Grey level around a letterboxed picture."""


class OnnxDetector(NetworkDetector):
    """A network with one input (B, 3, H, W), BGR 0–255, and one output (B, cells, 5 + classes), not yet decoded.

    A picture keeps its shape: it is scaled into the upper left of the input, and grey fills the rest.
    """

    repeats: ClassVar[bool] = True

    def _check(self) -> bool:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        size = picture_size(inputs[0]) if len(inputs) == 1 and len(outputs) == 1 else None
        if size is None:
            raise ConfigError(
                f"detector.model {self._settings.model}: needs one output and one float32 input of fixed size "
                f"(1, 3, H, W), got {len(outputs)} and {', '.join(f'{i.type} {i.shape}' for i in inputs)}"
            )
        self._input = inputs[0].name
        self._width, self._height = size
        self._cells = _grid(*size)
        return not any(isinstance(each.shape[0], int) for each in (inputs[0], outputs[0]))

    def _answers(self, images: Sequence[U8]) -> Iterator[Answer]:
        tensor = np.stack([self._letterboxed(image).transpose(2, 0, 1) for image in images]).astype(np.float32)
        raw = self._session.run(None, {self._input: tensor})[0]
        if raw.ndim != 3 or raw.shape[:2] != (len(images), len(self._cells)) or raw.shape[2] < 6:
            expected = f"({len(images)}, {len(self._cells)}, 5 + classes)"
            raise ConfigError(f"detector.model {self._settings.model}: output is {raw.shape}, expected {expected}")
        for image, output in zip(images, np.asarray(raw, np.float32), strict=True):
            yield self._decoded(output, self._ratio(image))

    def _ratio(self, image: U8) -> float:
        """Factor that fits a picture into the network's input."""
        height, width = image.shape[:2]
        return float(min(self._width / width, self._height / height))

    def _letterboxed(self, image: U8) -> U8:
        height, width = image.shape[:2]
        ratio = self._ratio(image)
        canvas = np.full((self._height, self._width, 3), PAD, np.uint8)
        size = (max(1, int(width * ratio)), max(1, int(height * ratio)))
        canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return canvas

    def _decoded(self, output: F32, ratio: float) -> Answer:
        """The cells of a picture's (cells, 5 + classes) output that are sure enough."""
        centre = (output[:, :2] + self._cells[:, :2]) * self._cells[:, 2:]
        half = np.exp(output[:, 2:4]) * self._cells[:, 2:] / 2
        probabilities = output[:, 4:5] * output[:, 5:]
        best = probabilities.argmax(1)
        score = probabilities[np.arange(len(best)), best]
        sure = score >= self._settings.confidence
        boxes = np.concatenate([centre - half, centre + half], axis=1)[sure] / np.float32(ratio)
        return Answer(boxes.astype(np.float32), score[sure], best[sure].astype(np.int32))


def _grid(width: int, height: int) -> F32:
    """(cells, 3): column, row and stride of each output cell, finest stride first."""
    levels = []
    for stride in STRIDES:
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        levels.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(levels).astype(np.float32)
