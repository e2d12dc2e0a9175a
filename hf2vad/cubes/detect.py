"""The boxes of a frame: those of several detectors, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hf2vad.cubes.detectors.detector import NO_BOXES, Detections, Detector, FrameContext, Resources
from hf2vad.cubes.detectors.settings import DETECTORS, DetectorConfig
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.cubes.working import Working
from hf2vad.models.onnx import read_file
from hf2vad.schema import F32, I32
from hf2vad.storage import absolute


def absolute_detector(config: DetectorConfig) -> DetectorConfig:
    """`config` with the places of its files absolute, for workers, which run in folders of their own."""
    return config.with_files(lambda _, uri, sha256: (absolute(uri), sha256), unused=True)


def resolve_detector(config: DetectorConfig) -> DetectorConfig:
    """`config` with the SHA-256 of each file that its detectors read, and no rate where it has no network.

    Raises MismatchError when it has one already and the file's is another, NotFoundError where there is no file.
    """
    resolved = config.with_files(lambda name, uri, sha256: (uri, read_file(uri, sha256, name=name)[1]))
    return replace(resolved, fps=config.network_fps)


@dataclass(frozen=True)
class FrameBoxes:
    """The boxes of a frame in the pixels of both of its sizes, x1, y1, x2, y2, the end exclusive."""

    in_source: F32
    """(N, 4): in pixels of the frame as it is coded."""
    in_working: F32
    """(N, 4): in pixels of the frame as it is worked on."""
    classes: I32
    """(N,): index of the most probable class; -1 where the box's detector has no classes."""
    class_scores: F32
    """(N,): probability of that class, in [0, 1]; 0 without one."""

    def __len__(self) -> int:
        return len(self.in_source)

    def part(self, kept: npt.NDArray[np.bool_]) -> FrameBoxes:
        """The boxes that a (N,) mask keeps, in their order."""
        return FrameBoxes(self.in_source[kept], self.in_working[kept], self.classes[kept], self.class_scores[kept])


NO_FRAME_BOXES = FrameBoxes(NO_BOXES, NO_BOXES, np.empty(0, np.int32), np.empty(0, np.float32))


class BoxFinder:
    """Finds the boxes of a frame by each of `config.detector.kinds` in turn; keeps networks warm."""

    def __init__(self, config: ExtractionConfig, boxes_uri: str = "", *, threads: int = 1) -> None:
        """`boxes_uri`: file of the kind `boxes`. `threads`: processor threads of a network.

        Raises MismatchError when a file is not the one that `config` was resolved with, ConfigError for one that the
        detector cannot use.
        """
        resources = Resources(threads=threads, boxes=boxes_uri)
        self._detectors = [_made(config, name, resources) for name in config.detector.kinds]
        self.needs_neighbours = any(detector.needs_neighbours for detector in self._detectors)
        """True if `boxes` reads blurred neighbouring frames."""

    def detections(self, frame: FrameContext) -> list[Detections]:
        """Detections in `frame` that may be carried to other frames, in the order of the kinds."""
        return [detector.boxes(frame, NO_BOXES) for detector in self._detectors if detector.carried]

    def boxes(self, frame: FrameContext, working: Working, carried: Sequence[Detections]) -> FrameBoxes:
        """The boxes of `frame`, in the order of the kinds; `working` are the two sizes of the video's frames.

        `carried`: its `detections`, or those of another frame carried to it.
        """
        of_networks = iter(carried)
        detections: list[Detections] = []
        in_source, in_working = [NO_BOXES], [NO_BOXES]
        for detector in self._detectors:
            detections.append(
                next(of_networks) if detector.carried else detector.boxes(frame, np.concatenate(in_working))
            )
            boxes = detections[-1].boxes
            in_source.append(boxes if detector.in_source_pixels else working.to_source(boxes))
            in_working.append(working.from_source(boxes) if detector.in_source_pixels else boxes)
        return FrameBoxes(np.concatenate(in_source), np.concatenate(in_working), *_classes(detections))


def _made(config: ExtractionConfig, name: str, resources: Resources) -> Detector:
    """The detector called `name`, with its settings from wherever in `config` they stand."""
    kind: type[Detector] = DETECTORS[name].load()
    sections = (getattr(config.detector, name, None), config.detector, config.motion)
    settings = next((section for section in sections if isinstance(section, kind.Settings)), None)
    return kind(settings or kind.Settings(), resources)


def _classes(detections: Sequence[Detections]) -> tuple[I32, F32]:
    classes, scores = [], []
    for each in detections:
        none = np.full(len(each.boxes), -1, np.int32), np.zeros(len(each.boxes), np.float32)
        classes.append(none[0] if each.classes is None else each.classes)
        scores.append(none[1] if each.scores is None else each.scores)
    return np.concatenate(classes), np.concatenate(scores)
