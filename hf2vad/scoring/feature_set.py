"""The features that a run measures, with the engine that runs the networks they need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hf2vad.bundle.bundle import Bundle
from hf2vad.features.edge import measured
from hf2vad.features.feature import NETWORK_OF, CubeArrays, Feature
from hf2vad.features.registry import networks_for
from hf2vad.features.settings import FEATURES, YARDSTICK, FusionConfig
from hf2vad.features.taught import NO_TAUGHT, TaughtCubes
from hf2vad.schema import F32
from hf2vad.scoring.scorer import FeatureValues

if TYPE_CHECKING:
    from hf2vad.engines.eager import Engine


@dataclass(frozen=True)
class FeatureSet:
    """Fitted features, and what measures them."""

    features: Mapping[str, Feature[Any]]
    """Features by name, in the order of FEATURES."""
    engine: Engine | None
    """None where no feature needs a network."""
    batch: int
    """Cubes that are best measured at once."""
    taught: TaughtCubes = NO_TAUGHT
    """Cubes of events that people have marked."""

    @classmethod
    def of(cls, bundle: Bundle, names: Sequence[str], engine: Engine | None, batch: int) -> Self:
        """The features of a bundle with these names."""
        return cls({name: bundle.feature(name) for name in names}, engine, batch, bundle.taught)

    def without_networks(self) -> Self:
        """Features that need no network."""
        plain = {name: feature for name, feature in self.features.items() if not _needs_network(feature)}
        return replace(self, features=plain, engine=None)

    def of_camera(self, camera: str) -> Self:
        """These features for cubes of `camera`, as far as that camera was learned apart."""
        return replace(self, features={name: found.of_camera(camera) for name, found in self.features.items()})

    def apart(self, camera: str) -> Self:
        """Only the features that learned `camera` apart, for its cubes."""
        own = {name: found.of_camera(camera) for name, found in self.features.items()}
        return replace(self, features={name: found for name, found in own.items() if found.camera}, engine=None)

    @property
    def reads_pixels(self) -> bool:
        """True if `measure` reads the appearance of cubes."""
        by_network = self.engine is not None and self.engine.reads_pixels
        return by_network or any("pixels" in feature.needs for feature in self.features.values())

    def measure(self, cubes: CubeArrays) -> FeatureValues:
        """The values, in pixels, of all features of some cubes."""
        values = {**self.measure_plain(cubes), **self.measure_networks(cubes)}
        return {name: values[name] for name in self.features}

    def excused(self, values: FeatureValues, cubes: CubeArrays, counted: Collection[str]) -> FeatureValues:
        """Values of some cubes, with no evidence in the features `counted` of those that people have called normal."""
        if not len(self.taught):
            return values
        like = self.taught.excuses(self.features, cubes)
        return {name: np.where(like, np.float32(0), own) if name in counted else own for name, own in values.items()}

    def measure_plain(self, cubes: CubeArrays) -> dict[str, F32]:
        """The values of the features that need no network."""
        return {name: measured(found, cubes) for name, found in self.features.items() if not _needs_network(found)}

    def measure_networks(self, cubes: CubeArrays) -> dict[str, F32]:
        """Run the networks; the values of the features that need them."""
        if self.engine is None:
            return {}
        ran = replace(cubes, errors=self.engine.errors(cubes.appearance, cubes.flow))
        return {name: measured(found, ran) for name, found in self.features.items() if _needs_network(found)}


def counted_features(fusion: FusionConfig) -> tuple[str, ...]:
    """The features with a weight, and the yardstick, in the order of FEATURES."""
    return tuple(name for name in FEATURES if name in fusion.weights or name == YARDSTICK)


def fitted_features(bundle: Bundle) -> tuple[str, ...]:
    """Every feature that can be measured with a bundle, in the order of FEATURES."""
    trained = set(bundle.networks)
    return tuple(name for name in FEATURES if bundle.feature(name).fitted and trained.issuperset(networks_for([name])))


def _needs_network(feature: Feature[Any]) -> bool:
    return not feature.needs.isdisjoint(NETWORK_OF)
