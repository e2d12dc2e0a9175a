"""Measuring: what fitted features say of the cubes of a table, file by file.

The pass can be shared: each process measures some files, and their values are merged in the order of the files, so that
the result does not depend on how many processes there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hf2vad.features.feature import CubeArrays
from hf2vad.features.perspective import Perspective
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.folds import Folds
from hf2vad.fitting.sample import NO_CAMERAS
from hf2vad.progress import ProgressBar
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import FeatureValues, in_heights
from hf2vad.training.data import StcFile, StcTable
from hf2vad.training.group import Group


@dataclass(frozen=True)
class MeasuredFile:
    """The features of one file's cubes, some 20 bytes a cube, kept until μ and σ are known."""

    file: StcFile
    frame: np.ndarray[tuple[int], np.dtype[np.int32]]
    """(B,): the frame that each cube ends in."""
    values: FeatureValues
    """Values of each feature, in the unit that they are fused in."""
    own: FeatureValues = field(default_factory=dict)
    """Values of the features that have learnt from the file's camera apart, as they measure cubes of it."""
    at_edge: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """(B,): whether the picture's edge cuts each box."""

    @property
    def as_camera(self) -> MeasuredFile:
        """This file as measured by the features of its camera."""
        return replace(self, values={**self.values, **self.own})


def measure_files(
    table: StcTable,
    features: FeatureSet,
    perspective: Perspective | None = None,
    files: Sequence[StcFile] | None = None,
    *,
    folds: Folds | None = None,
    cameras: Cameras = NO_CAMERAS,
) -> list[MeasuredFile]:
    """Measure all cubes of `files` (none: of the table).

    perspective: values are in box heights that it expects; none: in pixels. cameras: those that features were fitted
    with; cubes of one that is learnt apart are measured twice, as those of any camera and as its own.

    folds: those of the table that the features were fitted on, where `table` is that table or a part of it: each cube
    is then measured against the footage that it is not of.
    """
    own_folds = {name: Folds.of(own) for name, own in cameras.apart.items()} if folds else {}
    own_sets = {name: features.apart(name) for name in cameras.apart}
    files = table.files if files is None else files
    frames: dict[StcFile, list[np.ndarray[tuple[int], np.dtype[np.int32]]]] = {f: [] for f in files}
    measured: dict[StcFile, list[FeatureValues]] = {f: [] for f in files}
    as_own: dict[StcFile, list[FeatureValues]] = {f: [] for f in files}
    at_edge: dict[StcFile, list[npt.NDArray[np.bool_]]] = {f: [] for f in files}
    with ProgressBar("calibration", total=sum(map(len, files)), unit="cube") as bar:
        for file, cubes in table.in_order(appearance=features.reads_pixels, files=files):
            camera = cameras.of_path(file.path)
            arrays = CubeArrays(
                boxes=cubes.boxes,
                flow=cubes.flow,
                appearance=cubes.appearance,
                classes=cubes.classes,
                class_scores=cubes.class_scores,
                at_edge=cubes.at_edge,
                fold=folds(file.video, cubes.frame) if folds else None,
                camera_fold=own_folds[camera](file.video, cubes.frame) if camera in own_folds else None,
            )
            values = features.measure(arrays)
            if perspective is not None:
                values = in_heights(values, perspective.heights(cubes.boxes))
            frames[file].append(cubes.frame)
            at_edge[file].append(cubes.at_edge)
            measured[file].append(values)
            if camera in own_sets:
                as_own[file].append(own_sets[camera].measure(arrays))
            bar.advance(len(cubes))
    return [
        MeasuredFile(
            file,
            np.concatenate([np.empty(0, np.int32), *frames[file]]),
            _joined(measured[file], features),
            _joined(as_own[file], own_sets[camera]) if (camera := cameras.of_path(file.path)) in own_sets else {},
            np.concatenate([np.empty(0, np.bool_), *at_edge[file]]),
        )
        for file in files
    ]


def _joined(parts: Sequence[FeatureValues], features: FeatureSet) -> FeatureValues:
    empty = np.empty(0, np.float32)
    return {name: np.concatenate([empty, *(part[name] for part in parts)]) for name in features.features}


def measure_together(
    table: StcTable,
    features: FeatureSet,
    perspective: Perspective | None,
    group: Group,
    cameras: Cameras = NO_CAMERAS,
    *,
    folds: Folds | None = None,
) -> list[MeasuredFile]:
    """All files of `table`, each measured by one process of `group`; every process gets all of them, in order.

    perspective, folds: as `measure_files` has them.
    """
    shares = [table.files[rank :: group.world] for rank in range(group.world)]
    own = measure_files(table, features, perspective, shares[group.rank], folds=folds, cameras=cameras)
    if group.world == 1:
        return own
    import torch

    names = list(features.features)
    apart = sorted({name for camera in cameras.apart for name in features.apart(camera).features})
    columns = [
        np.column_stack(
            [
                file.frame,
                file.at_edge,
                *(file.values[name] for name in names),
                *(file.own.get(name, file.values[name]) for name in apart),
            ]
        )
        for file in own
    ]
    rows = np.concatenate([np.empty((0, 2 + len(names) + len(apart))), *columns])
    most = max(sum(map(len, share)) for share in shares)
    padded = np.zeros((most, rows.shape[1]))
    padded[: len(rows)] = rows
    gathered: dict[StcFile, MeasuredFile] = {}
    for share, sent in zip(shares, group.gather(torch.from_numpy(padded)), strict=True):
        ends = np.cumsum([len(file) for file in share])
        for file, part in zip(share, np.split(sent.numpy(), ends)[:-1], strict=True):
            each = part[:, 2:].T.astype(np.float32)
            values, as_own = dict(zip(names, each, strict=False)), dict(zip(apart, each[len(names) :], strict=True))
            learnt = cameras.of_path(file.path) in cameras.apart
            frame, edge = part[:, 0].astype(np.int32), part[:, 1].astype(np.bool_)
            gathered[file] = MeasuredFile(file, frame, values, as_own if learnt else {}, edge)
    return [gathered[file] for file in table.files]


def measure_normal(
    table: StcTable,
    unseen: StcTable | None,
    features: FeatureSet,
    perspective: Perspective | None,
    group: Group,
    cameras: Cameras = NO_CAMERAS,
) -> tuple[list[MeasuredFile], list[MeasuredFile] | None]:
    """Measure the table that the features were fitted on; the result is `files` and `plain` of `calibrate`.

    unseen: the part of it that the networks have not learned from, on which alone they run; None: all of it.
    """
    folds = Folds.of(table.files)
    if unseen is None:
        return measure_together(table, features, perspective, group, cameras, folds=folds), None
    plain = measure_together(table, features.without_networks(), perspective, group, cameras, folds=folds)
    return measure_together(unseen, features, perspective, group, cameras, folds=folds), plain
