"""Exemplars: a cube is as unusual as it is far from the nearest of the training cubes that are kept for comparison.

Far is relative for some features (`ExemplarFeature.local`): where training cubes lie close to each other, a short way
is unusual, and where they lie scattered it is not, as in the local outlier factor of Breunig et al. (2000).

A camera that has learnt apart has exemplars of its own beside those of all cameras. The distance is then the mean of
both, weighted by how much footage the camera has: a car is usual where cars are, and nowhere else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from hf2vad.features.feature import CameraShare, CubeArrays, CubeSample, Feature
from hf2vad.features.rows import products_by_row
from hf2vad.schema import F32
from hf2vad.settings import require

CHUNK = 1024
"""Vectors that are compared with all exemplars at once: 4 MB of distances at 1,024 exemplars."""
TRIMMED = 0.005
"""Share of training cubes, the most unusual ones, that become no exemplars: footage to train on is never clean."""
ROUGH = 512
"""Training cubes that the most unusual ones are told by."""
USUAL = 5
"""Cubes at the mean distance of all that are added to those of each exemplar: a few cubes alone say little."""

Folds = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class ExemplarConfig:
    """Settings of a feature that compares cubes with exemplars."""

    exemplars: int = 1024
    """Exemplars that are kept, at most."""

    def __post_init__(self) -> None:
        require(self.exemplars > 1, f"exemplars must be at least 2, got {self.exemplars}")


S = TypeVar("S", bound=ExemplarConfig)


class ExemplarFeature(Feature[S]):
    """Distance of a cube's vector to the nearest exemplar."""

    local: ClassVar[bool] = False
    """True if a distance is divided by the nearest exemplar's scale (`local_scales`)."""

    @abstractmethod
    def vectors(self, cubes: CubeArrays) -> F32:
        """(B, D) float32: what is compared by Euclidean distance."""

    def vectors_once(self, cubes: CubeArrays) -> F32:
        """`vectors`, computed once for the same cubes."""
        return cubes.once(_key(self), lambda: self.vectors(cubes))

    @property
    def fitted(self) -> bool:
        return "exemplars" in self.arrays

    def prepared(self, sample: CubeSample) -> Self:
        """This feature with the statistics that `vectors` needs, before exemplars are chosen."""
        return replace(self, perspective=sample.perspective)

    def fit(self, sample: CubeSample) -> Self:
        prepared = self.prepared(sample)
        found, folds = _vectors(prepared.vectors, sample)
        chosen = fit_exemplars(found, folds, self.settings.exemplars, seed=sample.seed)
        if self.local:
            chosen |= local_scales(found, folds, chosen)
        return replace(prepared, arrays={**prepared.arrays, **chosen})

    def fit_camera(self, camera: str, sample: CubeSample, own: CameraShare) -> Self:
        chosen = camera_exemplars(camera, self.vectors, sample, own, local=self.local)
        return replace(self, arrays={**self.arrays, **chosen})

    def of_camera(self, camera: str) -> Self:
        return replace(self, camera=camera) if has_camera(self.arrays, camera) else self

    @property
    def known_exemplars(self) -> F32:
        """(M, D): the exemplars of all cameras, and the camera's own where it has learnt apart."""
        own = self.arrays.get(f"{_prefix(self.camera)}exemplars") if self.camera else None
        pooled = self.arrays["exemplars"]
        return pooled if own is None else np.concatenate([pooled, own])

    def measure(self, cubes: CubeArrays) -> F32:
        return distances(self, self.vectors, cubes)


def distances(feature: Feature[Any], vectors: Callable[[CubeArrays], F32], cubes: CubeArrays) -> F32:
    """(B,) distances of the `vectors` of cubes to the nearest exemplar of a fitted feature, for its camera if it has
    one. What does not depend on the camera is computed once for the same cubes."""
    asked = cubes.once(_key(feature), lambda: vectors(cubes))
    pooled = cubes.once((*_key(feature), "nearest"), lambda: nearest(asked, feature.arrays, cubes.fold))
    if not feature.camera:
        return pooled
    prefix = _prefix(feature.camera)
    names = ("exemplars", "fold", "weight", "scale")
    arrays = {name: feature.arrays[prefix + name] for name in names if prefix + name in feature.arrays}
    weight = float(arrays["weight"][0])
    return np.asarray(weight * nearest(asked, arrays, cubes.camera_fold) + (1 - weight) * pooled, np.float32)


def camera_exemplars(
    camera: str, vectors: Callable[[CubeArrays], F32], sample: CubeSample, own: CameraShare, *, local: bool = False
) -> dict[str, F32]:
    """The arrays of a camera that has learnt apart: `exemplars`, `fold` and `weight`, after the camera's prefix; with
    `local`, `scale` too.

    They are drawn at random: k-means in each fold of each camera would take minutes where there are many.
    """
    found, folds = _vectors(vectors, sample)
    usual = np.flatnonzero(_usual(found, folds, sample.seed))
    chosen = np.sort(np.random.default_rng([sample.seed, 7]).permutation(usual)[: own.exemplars])
    arrays = {
        "exemplars": found[chosen],
        "fold": folds[chosen].astype(np.float32),
        "weight": np.array([own.weight], np.float32),
    }
    if local:
        arrays["scale"] = local_scales(found, folds, arrays)["scale"]
    return {_prefix(camera) + name: array for name, array in arrays.items()}


def has_camera(arrays: Mapping[str, F32], camera: str) -> bool:
    """True if fitted arrays hold exemplars of a single camera."""
    return f"{_prefix(camera)}exemplars" in arrays


def fit_exemplars(vectors: F32, folds: Folds, most: int, *, seed: int) -> dict[str, F32]:
    """At most about `most` exemplars of (N, D) vectors: `exemplars` (M, D), and `fold` (M,), the fold each is of.

    The centres of k-means within each fold (N,), as many as its share of the vectors: each stands for vectors of one
    fold, so that a training cube can be compared with those of other folds alone.
    """
    from sklearn.cluster import MiniBatchKMeans  # seconds and megabytes that only training pays

    usual = _usual(vectors, folds, seed)
    centres: list[F32] = []
    origin: list[F32] = []
    for fold in np.unique(folds[usual]):
        rows = vectors[usual & (folds == fold)]
        share = max(1, round(most * len(rows) / usual.sum()))
        if len(rows) > share:
            means = MiniBatchKMeans(share, random_state=seed, batch_size=2048, n_init=1, max_iter=20)
            rows = means.fit(rows).cluster_centers_.astype(np.float32)
        centres.append(rows)
        origin.append(np.full(len(rows), fold, np.float32))
    return {"exemplars": np.concatenate(centres), "fold": np.concatenate(origin)}


def local_scales(vectors: F32, folds: Folds, arrays: Mapping[str, F32]) -> dict[str, F32]:
    """`scale` (M,), what a distance to each of the exemplars is divided by, around 1; and `reach` (1,), the distance,
    not divided, that nine of ten of the (N, D) training vectors stay within.

    Half of a scale is the mean distance of the training cubes that are nearest to this exemplar, half that of all cubes
    to theirs, each to exemplars of other folds. Without the second half, noise would be unusual among cubes that hardly
    differ.
    """
    distances, which = _nearest(vectors, arrays, folds)
    usual = float(distances.mean()) if len(distances) else 0.0
    if usual <= 0:
        return {"scale": np.ones(len(arrays["exemplars"]), np.float32), "reach": np.zeros(1, np.float32)}
    count = np.bincount(which, minlength=len(arrays["exemplars"]))
    total = np.bincount(which, distances, minlength=len(arrays["exemplars"]))
    own = (total + USUAL * usual) / (count + USUAL)
    scale = (own / usual + 1) / 2
    return {"scale": scale.astype(np.float32), "reach": np.quantile(distances, [0.9]).astype(np.float32)}


def nearest(vectors: F32, arrays: Mapping[str, F32], fold: Folds | None = None) -> F32:
    """(B,) distances of (B, D) vectors to the nearest of the exemplars that `fit_exemplars` found, divided by its scale
    where exemplars have any.

    fold: (B,) folds of training cubes, which exemplars of the same fold do not count for; none: all exemplars count. A
    fold that has all exemplars is compared with its own.
    """
    distances, which = _nearest(vectors, arrays, fold)
    return distances / arrays["scale"][which] if "scale" in arrays else distances


def _nearest(vectors: F32, arrays: Mapping[str, F32], fold: Folds | None) -> tuple[F32, npt.NDArray[np.int64]]:
    """(B,) distances to the nearest exemplar, and (B,) which one that is."""
    middle = arrays["exemplars"].mean(0)
    exemplars = arrays["exemplars"] - middle
    half = np.square(exemplars).sum(1) / 2
    distances = np.empty(len(vectors), np.float32)
    which = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), CHUNK):
        chunk = vectors[start : start + CHUNK] - middle
        closeness = products_by_row(chunk, exemplars.T) - half
        if fold is not None:
            own = fold[start : start + CHUNK, None] == arrays["fold"].astype(np.int32)
            closeness[own & ~own.all(1, keepdims=True)] = -np.inf
        closest = closeness.argmax(1)
        squared = np.square(chunk).sum(1) - 2 * closeness[np.arange(len(chunk)), closest]
        distances[start : start + CHUNK] = np.sqrt(np.maximum(squared, 0))
        which[start : start + CHUNK] = closest
    return distances, which


def _key(feature: Feature[Any]) -> tuple[str, int]:
    """Key of a feature's vectors of some cubes."""
    return feature.name, id(feature.arrays)


def _prefix(camera: str) -> str:
    return f"cameras/{camera}/"


def _vectors(vectors: Callable[[CubeArrays], F32], sample: CubeSample) -> tuple[F32, Folds]:
    found = np.concatenate([vectors(chunk) for chunk in sample.cubes.chunks()])
    return found, sample.cubes.fold if sample.cubes.fold is not None else np.zeros(len(found), np.int32)


def _usual(vectors: F32, folds: Folds, seed: int) -> npt.NDArray[np.bool_]:
    """(N,): all but the most unusual vectors, told by their distance to some of the others."""
    some = np.random.default_rng([seed, 3]).permutation(len(vectors))[:ROUGH]
    distances = nearest(vectors, {"exemplars": vectors[some], "fold": folds[some].astype(np.float32)}, folds)
    return np.asarray(distances <= np.quantile(distances, 1 - TRIMMED), np.bool_)
