"""Weights that training starts from: another bundle's, or those of the paper's code."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from hf2vad.bundle.bundle import load_bundle
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.errors import ConfigError
from hf2vad.hashes import content_hash
from hf2vad.models.settings import Network
from hf2vad.storage import exists, join, read_bytes

if TYPE_CHECKING:
    from hf2vad.models.hf2vad import HF2VAD


def initial_identity(uri: str) -> str:
    """Hash of the weights at `uri`: a bundle's id, or that of a file's content. Raises NotFoundError for nothing."""
    return load_bundle_settings(uri).id if _is_bundle(uri) else content_hash(uri)


def put_initial(uri: str, model: HF2VAD) -> tuple[Network, ...]:
    """Set the weights of `model` to those of the bundle at `uri`, or in the checkpoint file of the paper's code there.

    Returns the networks that have weights there.

    Raises ConfigError, which names the settings, when they are of a network of another shape; BundleError for a damaged
    bundle and for a file that is something else.
    """
    if _is_bundle(uri):
        bundle = load_bundle(uri)
        config, state = bundle.settings.model, bundle.state()
    else:
        from hf2vad.bundle.release import load_release  # imports PyTorch

        released = load_release(read_bytes(uri), uri)
        config, state = released.config, released.state_dict()
    try:
        return model.load_networks(state)
    except RuntimeError:
        theirs = {item.name: getattr(config, item.name) for item in fields(config)}
        other = ", ".join(
            f"model.{name} {list(value) if isinstance(value, tuple) else value}"
            for name, value in theirs.items()
            if value != getattr(model.config, name)
        )
        raise ConfigError(
            f"--init {uri}: its network has another shape; give its --preset, or what differs: {other}"
        ) from None


def _is_bundle(uri: str) -> bool:
    return exists(join(uri, "bundle.json"))
