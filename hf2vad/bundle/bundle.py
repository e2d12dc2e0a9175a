"""Bundles: a trained model as a folder of weights.safetensors and bundle.json, local or on S3.

The id is a hash of the content that decides scores: weights, fitted features, network, extraction, fusion, smoothing
and calibration. Provenance stands beside it. Loading executes nothing and verifies everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from hf2vad.bundle.kept import NO_EXAMPLES, NO_PROBE, NormalExamples, ProbeCubes
from hf2vad.bundle.settings import SETTINGS, BundleSettings, read_bundle_json, settings_from_json
from hf2vad.errors import BundleError, MismatchError
from hf2vad.features.feature import Feature
from hf2vad.features.registry import feature_classes, networks_for
from hf2vad.features.taught import NO_TAUGHT, TaughtCubes
from hf2vad.models.settings import Network, networks_of
from hf2vad.settings import fingerprint
from hf2vad.storage import join, put_bytes, put_json, read_bytes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hf2vad.models.hf2vad import HF2VAD

WEIGHTS = "weights.safetensors"
PROBE = "probe/"
"""Prefix of the arrays of probe cubes, stored beside the weights."""
EXAMPLES = "examples/"
"""Prefix of the arrays of normal examples."""
TAUGHT = "taught/"
"""Prefix of the arrays of taught cubes."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A trained model with its arrays. Read once by each worker; what travels is `settings`."""

    settings: BundleSettings
    weights: Mapping[str, np.ndarray[Any, Any]] = field(repr=False, compare=False)
    """State of the networks that were trained; empty where there are none. NumPy arrays, so that a bundle is read
    without PyTorch, which takes seconds to import and which only its networks need."""
    features: Mapping[str, Feature[Any]] = field(default_factory=dict, repr=False, compare=False)
    """Fitted features by name; one that is not named is as its class makes it without a fit."""
    probe: ProbeCubes = field(default=NO_PROBE, repr=False, compare=False)
    """Training cubes on which engines are compared."""
    examples: NormalExamples = field(default=NO_EXAMPLES, repr=False, compare=False)
    """Training cubes to show beside events."""
    taught: TaughtCubes = field(default=NO_TAUGHT, repr=False, compare=False)
    """Cubes of events that people have called normal or interesting."""
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Record of the training: settings, table, loss history, versions."""

    @property
    def id(self) -> str:
        """16 hex digits: a hash of what decides scores."""
        return self.settings.id

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that it has weights of."""
        return networks_of(self.weights)

    def feature(self, name: str) -> Feature[Any]:
        """A feature, fitted where it was fitted in training."""
        cls = feature_classes()[name]
        settings = self.settings.features.get(name, cls.Settings())
        return self.features.get(name) or cls(settings, perspective=self.settings.perspective)

    def state(self) -> dict[str, Tensor]:
        """The weights as tensors on the CPU."""
        import torch

        return {name: torch.from_numpy(array) for name, array in self.weights.items()}

    def build(self, device: torch.device) -> HF2VAD:
        """The networks with these weights on `device`, in evaluation mode; one without weights must not be run.

        Raises BundleError when the weights are not those of the networks that the bundle describes.
        """
        from hf2vad.models.hf2vad import HF2VAD

        model = HF2VAD(self.settings.model)
        try:
            model.load_networks(self.state())
        except RuntimeError as error:
            raise BundleError(f"bundle {self.id}: weights do not fit its network: {error}") from None
        return model.to(device).eval()


def save_bundle(uri: str, bundle: Bundle) -> Bundle:
    """Put `bundle` under `uri` and return it with its id; it may be one without.

    Its settings come last, so that a bundle which is half there cannot be loaded.
    """
    arrays = dict(sorted(bundle.weights.items()))
    for feature in bundle.features.values():
        arrays |= {f"{feature.key()}/{name}": array for name, array in feature.arrays.items()}
    arrays |= {PROBE + name: array for name, array in bundle.probe.arrays.items()}
    arrays |= {EXAMPLES + name: array for name, array in bundle.examples.arrays.items()}
    arrays |= {TAUGHT + name: array for name, array in bundle.taught.arrays.items()}
    data = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    decisive = bundle.settings.to_json(hashlib.sha256(data).hexdigest())
    content = {"id": fingerprint(decisive), **decisive, "provenance": bundle.provenance}
    put_bytes(join(uri, WEIGHTS), data)
    put_json(join(uri, SETTINGS), content)
    return replace(bundle, settings=settings_from_json(uri, content))


def load_bundle(uri: str) -> Bundle:
    """The bundle under `uri`.

    Raises NotFoundError where there is none, SchemaError for one of another release, BundleError for a damaged one.
    """
    content = read_bundle_json(uri)
    settings = settings_from_json(uri, content)
    data = read_bytes(join(uri, WEIGHTS))
    if hashlib.sha256(data).hexdigest() != content.get("weights_sha256"):
        raise BundleError(f"{join(uri, WEIGHTS)}: its content is not what {SETTINGS} was written for; train again")
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise BundleError(f"{join(uri, WEIGHTS)}: not a safetensors file: {error}") from None
    probe, examples, taught = (_taken(arrays, prefix) for prefix in (PROBE, EXAMPLES, TAUGHT))
    try:
        features = {
            name: cls(settings.features.get(name, cls.Settings()), own, settings.perspective)
            for name, cls in feature_classes().items()
            if (own := _taken(arrays, cls.key() + "/"))
        }
        bundle = Bundle(
            settings=settings,
            weights=arrays,
            features=features,
            probe=ProbeCubes(**probe) if probe else NO_PROBE,
            examples=NormalExamples(**examples) if examples else NO_EXAMPLES,
            taught=TaughtCubes.from_arrays(taught),
            provenance=content["provenance"],
        )
    except (TypeError, BundleError) as error:
        raise BundleError(f"{join(uri, WEIGHTS)}: {error}") from None
    if missing := [name for name in settings.fusion.weights if not bundle.feature(name).fitted]:
        raise BundleError(
            f"{join(uri, WEIGHTS)}: {', '.join(missing)} count in its score and were not fitted; train again"
        )
    if absent := [name for name in networks_for(settings.fusion.weights) if name not in bundle.networks]:
        raise BundleError(f"{join(uri, WEIGHTS)}: has no weights of its {' and '.join(absent)} network; train again")
    return bundle


def same_bundle(uri: str, bundle_id: str) -> Bundle:
    """The bundle at `uri`. Raises MismatchError for one that changed since the run began."""
    bundle = load_bundle(uri)
    if bundle.id != bundle_id:
        raise MismatchError(f"{uri} was bundle {bundle_id} when the run began and is {bundle.id} now")
    return bundle


def _taken(arrays: dict[str, np.ndarray[Any, Any]], prefix: str) -> dict[str, Any]:
    """Take the arrays whose names begin with `prefix` out of `arrays`; by the rest of their names."""
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays.pop(name) for name in names}
