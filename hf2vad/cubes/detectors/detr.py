"""Object detectors of the DETR line as ONNX networks: RT-DETR (Zhao et al. 2024), D-FINE and DEIM as they export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from hf2vad.cubes.detectors.network import Answer, NetworkDetector
from hf2vad.cubes.opencv import cv2
from hf2vad.errors import ConfigError
from hf2vad.models.onnx import picture_size
from hf2vad.schema import U8

INPUTS = {"images": "tensor(float)", "orig_target_sizes": "tensor(int64)"}
OUTPUTS = ("labels", "boxes", "scores")


class DetrDetector(NetworkDetector):
    """A network with inputs `images` (B, 3, H, W), RGB 0–1, and `orig_target_sizes` (B, 2), each (width, height).

    Outputs: `labels` (B, Q), `boxes` (B, Q, 4) x1, y1, x2, y2 in pixels of the picture, and `scores` (B, Q). A picture
    is resized to (H, W) whatever its shape. A query answers one object, so a single picture needs no suppression; where
    it answers under two classes, the overlap rule keeps the more probable one.
    """

    repeats: ClassVar[bool] = False

    def _check(self) -> bool:
        inputs = {each.name: each for each in self._session.get_inputs()}
        outputs = {each.name: each for each in self._session.get_outputs()}
        size = picture_size(inputs["images"]) if "images" in inputs else None
        kinds = {name: each.type for name, each in inputs.items()}
        if kinds != INPUTS or not outputs.keys() >= set(OUTPUTS) or size is None:
            raise ConfigError(
                f"detector.model {self._settings.model}: needs float32 images of fixed size (1, 3, H, W), int64 "
                f"orig_target_sizes, and outputs labels, boxes, scores; got "
                f"{', '.join(f'{i.name} {i.type} {i.shape}' for i in inputs.values())}, and {', '.join(outputs)}"
            )
        self._size = size
        return not any(isinstance(each.shape[0], int) for each in inputs.values())

    def _answers(self, images: Sequence[U8]) -> Iterator[Answer]:
        resized = [cv2.resize(image, self._size, interpolation=cv2.INTER_LINEAR) for image in images]
        tensor = np.stack([picture[..., ::-1].transpose(2, 0, 1) for picture in resized]).astype(np.float32) / 255
        sizes = np.array([image.shape[1::-1] for image in images], np.int64)
        labels, boxes, scores = self._session.run(OUTPUTS, {"images": tensor, "orig_target_sizes": sizes})
        if scores.ndim != 2 or boxes.shape != (*scores.shape, 4) or not len(labels) == len(scores) == len(images):
            raise ConfigError(
                f"detector.model {self._settings.model}: labels are {labels.shape}, boxes {boxes.shape} and scores "
                f"{scores.shape}, expected ({len(images)}, Q), ({len(images)}, Q, 4) and ({len(images)}, Q)"
            )
        for label, box, score in zip(labels, boxes, scores, strict=True):
            sure = score >= self._settings.confidence
            yield Answer(box[sure].astype(np.float32), score[sure].astype(np.float32), label[sure].astype(np.int32))
