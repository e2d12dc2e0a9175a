"""The classes behind FEATURES, and what follows from a choice of features."""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

from hf2vad.features.feature import NETWORK_OF, Feature
from hf2vad.features.settings import FEATURES
from hf2vad.models.settings import NETWORKS, Network
from hf2vad.settings import with_fields

T = TypeVar("T")


@cache
def feature_classes() -> Mapping[str, type[Feature[Any]]]:
    """The class of each feature, in the order of FEATURES."""
    return {name: pkgutil.resolve_name(path) for name, path in FEATURES.items()}


def networks_for(names: Collection[str]) -> tuple[Network, ...]:
    """The networks that features of these names need, in the order of NETWORKS."""
    needs = {need for name in names for need in feature_classes()[name].needs}
    wanted = {network for need, network in NETWORK_OF.items() if need in needs}
    return tuple(network for network in NETWORKS if network in wanted)


def with_feature_settings(cls: type[T]) -> type[T]:
    """Class decorator for use below `@dataclass`: adds the settings of each feature that has some, under its key."""
    own = {feature.key(): feature.Settings for feature in feature_classes().values() if fields(feature.Settings)}
    return with_fields(own)(cls)


def feature_settings(holder: Any) -> Mapping[str, Any]:
    """The settings of each feature by its name, from an object whose class has `with_feature_settings`."""
    return {name: getattr(holder, cls.key(), cls.Settings()) for name, cls in feature_classes().items()}
