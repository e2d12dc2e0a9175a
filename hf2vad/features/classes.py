"""Feature `classes`: how rare the class is that the detector gives an object."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from hf2vad.features.feature import CameraShare, CubeArrays, CubeSample, Feature, Need, NoSettings, Topic
from hf2vad.schema import F32, F64, I32

Found = tuple[I32, F32]
"""(B,) classes, -1 without one, and their probabilities."""


class Classes(Feature[NoSettings]):
    """−log10 of the share of training objects whose class is as rare as the object's or rarer, times how sure the
    detector is of the class.

    0 for the most usual class, and for an object without one: motion boxes have none. A table without classes does not
    fit it, and it is 0.
    """

    name = "classes"
    word = "kind of object"
    topic: ClassVar[Topic] = "class"
    says = "is a kind of object that is rare here"
    needs: ClassVar[frozenset[Need]] = frozenset({"classes"})
    counted = True
    Settings = NoSettings

    @property
    def fitted(self) -> bool:
        return "counts" in self.arrays

    def fit(self, sample: CubeSample) -> Self:
        counts = _counted(sample.cubes)
        return replace(self, arrays={"counts": counts}) if counts.any() else self

    def fit_camera(self, camera: str, sample: CubeSample, own: CameraShare) -> Self:
        if not self.fitted:
            return self
        arrays = {"counts": _counted(sample.cubes), "weight": np.array([own.weight], np.float32)}
        return replace(self, arrays={**self.arrays, **{f"cameras/{camera}/{n}": a for n, a in arrays.items()}})

    def of_camera(self, camera: str) -> Self:
        return replace(self, camera=camera) if f"cameras/{camera}/counts" in self.arrays else self

    def measure(self, cubes: CubeArrays) -> F32:
        classes, sure = _found(cubes)
        if not self.fitted:
            return np.zeros(len(cubes), np.float32)
        share = _shares(self.arrays["counts"], classes, cubes.fold)
        if self.camera:
            weight = float(self.arrays[f"cameras/{self.camera}/weight"][0])
            own = _shares(self.arrays[f"cameras/{self.camera}/counts"], classes, cubes.camera_fold)
            share = weight * own + (1 - weight) * share
        return np.where(classes < 0, 0.0, -np.log10(share) * sure).astype(np.float32)


def _found(cubes: CubeArrays) -> Found:
    if cubes.classes is None or cubes.class_scores is None:
        return np.full(len(cubes), -1, np.int32), np.zeros(len(cubes), np.float32)
    return cubes.classes, cubes.class_scores


def _counted(cubes: CubeArrays) -> F32:
    """(folds, classes): objects of each class in each fold of training cubes."""
    classes, _ = _found(cubes)
    folds = cubes.fold if cubes.fold is not None else np.zeros(len(classes), np.int32)
    counts = np.zeros((int(folds.max(initial=0)) + 1, int(classes.max(initial=0)) + 1), np.float32)
    known = classes >= 0
    np.add.at(counts, (folds[known], classes[known]), 1)
    return counts


def _shares(counts: F32, classes: I32, fold: I32 | None) -> F64:
    """(B,) above 0: share of the objects counted whose class is as rare as each cube's or rarer, those of the cube's
    own fold left out.

    One object more is counted, of a class that was never met: with n objects no class is rarer than 1 / (n + 1).
    """
    folds, known = counts.shape
    count = np.zeros((folds, known + 1))  # the last column: classes that were never met
    count[:, :-1] = counts
    whole = count.sum()
    count = count.sum(0, keepdims=True) if fold is None else count.sum(0) - count
    as_rare = np.where(count[:, None] <= count[:, :, None], count[:, None], 0.0).sum(2)
    share = as_rare / np.maximum(count.sum(1, keepdims=True), 1.0)
    column = np.minimum(np.maximum(classes, 0), known)
    return np.asarray((share[0 if fold is None else fold, column] * whole + 1) / (whole + 1), np.float64)
