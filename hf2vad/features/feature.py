"""The protocol of a feature: one number that says how far a cube is from normal in one respect.

A feature is one file: a subclass of `Feature` in hf2vad/features/, and a line in `FEATURES` (settings.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt

from hf2vad.errors import ShapeError
from hf2vad.features.pace import Pace, fit_pace
from hf2vad.features.perspective import Perspective
from hf2vad.models.settings import Network
from hf2vad.schema import F16, F32, FLOW_SHAPE, FLOWS, I32, SIZE, U8

CELLS = 4
"""Cells a side that a crop is divided into."""
FASTEST = 4
"""Cells that tell how fast an object is, the fastest ones: a quarter of the crop."""
CHUNK = 1024
"""Cubes that a fit measures at once: 16 MB of flow."""
GREY = np.array([0.114, 0.587, 0.299], np.float32)
"""Weights of blue, green and red in a grey picture."""

Need = Literal["flow_network", "frame_network", "flow", "pixels", "boxes", "classes"]
"""Input that a feature reads. `flow_network` and `frame_network` are the errors of a network, which then runs."""

NETWORK_OF: Mapping[Need, Network] = {"flow_network": "flow", "frame_network": "frame"}
"""The network behind a need."""


@dataclass(frozen=True, kw_only=True)
class CubeArrays:
    """B cubes as features read them. A feature reads what its `needs` name and nothing else."""

    boxes: F32
    """(B, 4): x1, y1, x2, y2 in source pixels, the end exclusive."""
    flow: F16
    """(B, 4, 32, 32, 2): crops of the four flow fields, (dx, dy) in the bundle's flow units."""
    appearance: U8 | None
    """(B, 5, 32, 32, 3): crops of the five frames, BGR; None where no feature needs them."""
    classes: I32 | None = None
    """(B,): class that the detector gives each box, -1 without one; None where no detector has classes."""
    class_scores: F32 | None = None
    """(B,): probability of that class."""
    at_edge: npt.NDArray[np.bool_] | None = None
    """(B,): whether the picture's edge cuts each box; None where nobody says."""
    errors: Mapping[Network, F32] = field(default_factory=dict)
    """(B,) float32 for each network that ran: `flow` has S_r, in squared flow units, `frame` has S_p."""
    fold: npt.NDArray[np.int32] | None = None
    """(B,): of training cubes, the part of the footage each is of. They are measured against the other parts alone."""
    camera_fold: npt.NDArray[np.int32] | None = None
    """(B,): the same among the footage of the cubes' camera, where a feature has learnt from that apart."""

    _kept: dict[tuple[Hashable, ...], F32] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.boxes)

    def once(self, key: tuple[Hashable, ...], computed: Callable[[], F32]) -> F32:
        """Return `computed()` for these cubes, and keep it under `key`, which must identify the whole computation."""
        if key not in self._kept:
            self._kept[key] = computed()
        return self._kept[key]

    def chunks(self, size: int = CHUNK) -> Iterator[CubeArrays]:
        """Batches of these cubes with at most `size` each, without network errors."""
        for start in range(0, len(self), size):
            yield self.part(slice(start, start + size))

    def part(self, rows: slice | npt.NDArray[np.int64]) -> CubeArrays:
        """Some of these cubes, without errors of networks."""
        return CubeArrays(
            boxes=self.boxes[rows],
            flow=self.flow[rows],
            appearance=None if self.appearance is None else self.appearance[rows],
            classes=None if self.classes is None else self.classes[rows],
            class_scores=None if self.class_scores is None else self.class_scores[rows],
            at_edge=None if self.at_edge is None else self.at_edge[rows],
            fold=None if self.fold is None else self.fold[rows],
            camera_fold=None if self.camera_fold is None else self.camera_fold[rows],
        )

    @cached_property
    def vectors(self) -> F32:
        """(B, 4, 32, 32, 2) float32: `flow`, converted once for all features. Raises ShapeError for another shape."""
        if self.flow.shape[1:] != FLOW_SHAPE:
            raise ShapeError(f"a cube has {FLOW_SHAPE} flow, got {self.flow.shape[1:]}")
        return self.flow.astype(np.float32)

    @cached_property
    def median_flow(self) -> F32:
        """(B, 32, 32, 2): the median of each pixel's four vectors, component by component."""
        return median_of_four(self.vectors)

    @cached_property
    def least_speed(self) -> F32:
        """(B,): root mean square speed over the crop, the smallest of the four flows'."""
        flat = self.vectors.reshape(len(self), FLOWS, 2 * SIZE**2)
        squares = np.einsum("bfn,bfn->bf", flat, flat) / SIZE**2
        return np.asarray(np.sqrt(squares.min(1)), np.float32)

    @cached_property
    def cell_speeds(self) -> F32:
        """(B, 16): root mean square speed in each of the crop's 4×4 cells, the smallest of the four flows'; rising."""
        side = SIZE // CELLS
        rows = self.vectors.reshape(-1, side, 2 * SIZE)
        strips = np.einsum("nyk,nyk->nk", rows, rows).reshape(-1, CELLS, 2 * side)  # rows first: twice as fast
        squares = strips.sum(2).reshape(-1, FLOWS, CELLS**2).min(1) / side**2
        return np.asarray(np.sort(np.sqrt(squares), axis=1), np.float32)

    @cached_property
    def fastest_speed(self) -> F32:
        """(B,): mean speed of the `FASTEST` fastest cells. It hardly depends on how closely the box fits."""
        return np.asarray(self.cell_speeds[:, -FASTEST:].mean(1), np.float32)

    @cached_property
    def grey(self) -> F32:
        """(B, 32, 32): the last crop in grey levels of 0 to 255."""
        return np.asarray(self.pixels[:, -1].astype(np.float32) @ GREY, np.float32)

    @property
    def pixels(self) -> U8:
        """`appearance`, for a feature that needs `pixels`. Raises ShapeError where it was not read."""
        if self.appearance is None:
            raise ShapeError("these cubes were read without pixels; a feature that reads them needs 'pixels'")
        return self.appearance


def speeds(vectors: F32) -> F32:
    """(…) lengths of (…, 2) vectors."""
    return np.asarray(np.sqrt(np.square(vectors[..., 0]) + np.square(vectors[..., 1])), np.float32)


def median_of_four(values: F32) -> F32:
    """(B, …) medians of (B, 4, …) values, over the second axis; ten times faster than numpy's, and equal to it."""
    first, second, third, fourth = (values[:, i] for i in range(4))
    low = np.maximum(np.minimum(first, second), np.minimum(third, fourth))
    high = np.minimum(np.maximum(first, second), np.maximum(third, fourth))
    return np.asarray((low + high) / 2, np.float32)


Topic = Literal["motion", "speed", "looks", "size", "place", "class"]
"""Subject of a feature. At most one feature is quoted on each topic. A feature on `motion` also tells speeds apart."""


@dataclass(frozen=True)
class Statement:
    """Words for an object that a feature finds rare."""

    kind: str
    """Name of the event's kind, such as "direction"."""
    predicate: str
    """Predicate of the sentence: "moves against the usual direction"."""


@dataclass(frozen=True, kw_only=True)
class CubeSample:
    """Training cubes that features are fitted on."""

    cubes: CubeArrays
    """Without errors of networks."""
    perspective: Perspective
    """Expected box height by image row, fitted on the boxes of these cubes."""
    seed: int = 0
    """Seed of whatever a fit draws."""
    rows: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    """Row numbers of the cubes of each camera that is learned apart, by camera name."""

    @property
    def cameras(self) -> Iterator[tuple[str, CubeSample]]:
        """Each of these cameras with its cubes, whose folds are then those of its own footage."""
        for name, rows in self.rows.items():
            own = self.cubes.part(rows)
            yield name, replace(self, cubes=replace(own, fold=own.camera_fold), rows={})

    @cached_property
    def pace(self) -> Pace:
        """Typical speed by image row, fitted on the flow of these cubes."""
        speeds = [chunk.fastest_speed for chunk in self.cubes.chunks()]
        return fit_pace(self.cubes.boxes, np.concatenate([np.empty(0, np.float32), *speeds]))


@dataclass(frozen=True, kw_only=True)
class CameraShare:
    """Degree to which a feature learns one camera apart."""

    weight: float
    """Weight of the camera's own distribution, between 0 and 1 exclusive. The rest is that of all cameras."""
    exemplars: int
    """Exemplars of its own, at most."""


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """The settings of a feature that has none."""


S = TypeVar("S")


@dataclass(frozen=True, eq=False)
class Feature(ABC, Generic[S]):
    """One feature of cubes, fitted or not yet."""

    name: ClassVar[str]
    """Key in FEATURES: its weight (`--fusion.<name>`), its calibration, and its column `s_<name>` in the tables."""
    word: ClassVar[str]
    """Label of the feature's bar."""
    topic: ClassVar[Topic]
    """Subject of the feature."""
    says: ClassVar[str]
    """Predicate for an object with a rare value: "has an unusual outline"."""
    needs: ClassVar[frozenset[Need]]
    """Inputs that `measure` reads. Inputs that no weighted feature needs are not computed."""
    length_power: ClassVar[int] = 0
    """The value of an object seen half as tall is 2 to the minus this of it. `--fusion.perspective` divides by that
    power of the expected height: 1 for a length in pixels, 2 for its square, 0 for what does not depend on size."""
    counted: ClassVar[bool] = False
    """True if the value is −log10 of a counted share, so that few different values occur. No tail is then fitted above
    those of the training cubes."""
    Settings: ClassVar[type[Any]] = NoSettings
    """Frozen dataclass of settings with defaults; they travel in the bundle."""

    settings: S
    arrays: Mapping[str, F32] = field(default_factory=dict)
    """Fitted arrays by name, stored in the bundle under `<key>/`. Empty before the fit."""
    perspective: Perspective | None = None
    """Perspective of the training boxes, for a feature that measures in expected heights."""
    camera: str = ""
    """The camera that cubes are of, where the feature has learnt from its footage apart; else empty."""

    def __post_init__(self) -> None:
        """Raise BundleError for arrays that `fit` does not leave."""

    @classmethod
    def key(cls) -> str:
        """Name of its settings in bundle.json and on the command line, and of its arrays among the bundle's."""
        return cls.name

    @classmethod
    def check(cls, settings: S) -> None:
        """Raise ConfigError for settings with which it cannot have a weight."""

    @property
    def fitted(self) -> bool:
        """True if `measure` can be called. Always true unless the class overrides `fit`."""
        return True

    def fit(self, sample: CubeSample) -> Self:
        """Return this feature, fitted on training cubes."""
        return self

    def fit_camera(self, camera: str, sample: CubeSample, own: CameraShare) -> Self:
        """Return this fitted feature, which has also learned `camera` from training cubes of it."""
        return self

    def of_camera(self, camera: str) -> Self:
        """Return this feature for cubes of `camera`, or itself if that camera was not learned apart."""
        return self

    def statement(self, value: float, limit: float | None, cubes: CubeArrays | None) -> Statement:
        """Return the words for an object with a rare `value`.

        limit: the value that 99 of 100 training objects stay below; None where no distribution is known.
        cubes: the object's one cube, cut again; None where it is not at hand. A feature that is not fitted is asked
        without it.
        """
        return Statement(self.word, self.says)

    @abstractmethod
    def measure(self, cubes: CubeArrays) -> F32:
        """(B,) float32, one finite value a cube: 0 is no evidence, larger is less normal."""
