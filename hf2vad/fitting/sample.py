"""A sample of the training cubes, and the features fitted on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hf2vad.errors import TrainingError
from hf2vad.features.feature import CubeArrays, CubeSample, Feature
from hf2vad.features.perspective import Perspective, fit_perspective
from hf2vad.features.registry import feature_classes
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.folds import Folds
from hf2vad.schema import F16, F32, FLOW_SHAPE, I32, U8
from hf2vad.training.data import StcTable

SAMPLE = 20_000
"""Cubes that features are fitted on, at most: as many of each row group as its share."""
NO_CAMERAS = Cameras()


def fit_features(
    table: StcTable, settings: Mapping[str, Any], *, seed: int, cameras: Cameras = NO_CAMERAS
) -> tuple[dict[str, Feature[Any]], Perspective]:
    """Features fitted on a sample of `table`, which reads no more than they need; and the perspective of its boxes.

    settings: those of each feature that is wanted, by name. cameras: those that are learnt apart, from their part of
    the sample.
    """
    features = {name: feature_classes()[name](own) for name, own in settings.items()}
    needs = {need for feature in features.values() if not feature.fitted for need in feature.needs}
    wanted = {name: name in needs for name in ("flow", "pixels", "classes")}
    sample = cube_sample(table, seed=seed, cameras=cameras, **wanted)
    fitted = {name: feature.fit(sample) for name, feature in features.items()}
    if missing := [name for name in fitted if fitted[name].needs >= {"classes"} and not fitted[name].fitted]:
        where = f"{table.uri}: no cube has a class, so there is no {missing[0]}"
        raise TrainingError(f"{where}; extract with a detector that has classes")
    kept = [found.arrays for found in fitted.values() if "exemplars" in found.arrays]
    numbers = sum(arrays["exemplars"].shape[1] + 1 + ("scale" in arrays) for arrays in kept)
    for camera, own in sample.cameras:
        share = cameras.share(camera, numbers)
        fitted = {name: feature.fit_camera(camera, own, share) for name, feature in fitted.items()}
    return fitted, sample.perspective


def cube_sample(
    table: StcTable,
    *,
    most: int = SAMPLE,
    seed: int = 0,
    flow: bool = True,
    pixels: bool = False,
    classes: bool = False,
    cameras: Cameras = NO_CAMERAS,
) -> CubeSample:
    """At most about `most` cubes of `table`, the same ones for the same seed, and the perspective of their boxes.

    flow, pixels, classes: whether they are wanted too, for which those of the whole table are read once; else flow has
    no rows. cameras: of those that are learnt apart the sample tells the cubes.
    """
    rng = np.random.default_rng([seed, 2])
    share = min(1.0, most / max(1, len(table)))

    def some(rows: int) -> npt.NDArray[np.int64]:
        return np.sort(rng.permutation(rows)[: max(1, round(share * rows))])

    folds = Folds.of(table.files)
    own_folds = {name: Folds.of(files) for name, files in cameras.apart.items()}
    own: dict[str, list[npt.NDArray[np.int64]]] = {name: [] for name in own_folds}
    own_fold: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)]
    taken = 0
    fold: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)]
    boxes: list[F32] = [np.empty((0, 4), np.float32)]
    flows: list[F16] = [np.empty((0, *FLOW_SHAPE), np.float16)]
    pictures: list[U8] = []
    classes_of: list[I32] = [np.empty(0, np.int32)]
    scores_of: list[F32] = [np.empty(0, np.float32)]
    if flow or pixels or classes or cameras.apart:
        for file, cubes in table.in_order(appearance=pixels):
            chosen = some(len(cubes))
            fold.append(folds(file.video, cubes.frame[chosen]))
            camera = cameras.of_path(file.path)
            if camera in own:
                own[camera].append(np.arange(taken, taken + len(chosen)))
            of_camera = own_folds.get(camera)
            own_fold.append((of_camera or folds)(file.video, cubes.frame[chosen]))
            taken += len(chosen)
            flows.append(cubes.flow[chosen])
            boxes.append(cubes.boxes[chosen])
            classes_of.append(cubes.classes[chosen])
            scores_of.append(cubes.class_scores[chosen])
            if cubes.appearance is not None:
                pictures.append(cubes.appearance[chosen])
    else:
        boxes += [some_boxes[some(len(some_boxes))] for some_boxes in table.boxes()]
    arrays = CubeArrays(
        boxes=np.concatenate(boxes),
        flow=np.concatenate(flows),
        appearance=np.concatenate(pictures) if pictures else None,
        classes=np.concatenate(classes_of) if len(classes_of) > 1 else None,
        class_scores=np.concatenate(scores_of) if len(classes_of) > 1 else None,
        fold=np.concatenate(fold) if len(fold) > 1 else None,
        camera_fold=np.concatenate(own_fold) if cameras.apart else None,
    )
    rows = {name: np.concatenate(found) for name, found in own.items() if found}
    return CubeSample(cubes=arrays, perspective=fit_perspective(arrays.boxes), seed=seed, rows=rows)
