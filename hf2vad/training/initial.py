"""Weights that training starts from: another bundle's, or those of the paper's code."""

from __future__ import annotations

from hf2vad.bundle.bundle import load_bundle
from hf2vad.bundle.release import load_release
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.errors import ConfigError
from hf2vad.hashes import content_hash
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.settings import to_dict
from hf2vad.storage import exists, join, read_bytes


def initial_identity(uri: str) -> str:
    """Hash of the weights at `uri`: a bundle's id, or that of a file's content. Raises NotFoundError for nothing."""
    return load_bundle_settings(uri).id if _is_bundle(uri) else content_hash(uri)


def put_initial(uri: str, model: HF2VAD) -> None:
    """Set the weights of `model` to those of the bundle at `uri`, or in the checkpoint file of the paper's code there.

    Raises ConfigError, which names the settings, when they are of a network of another shape; BundleError for a damaged
    bundle and for a file that is something else.
    """
    if _is_bundle(uri):
        bundle = load_bundle(uri)
        config, state = bundle.settings.model, dict(bundle.weights)
    else:
        released = load_release(read_bytes(uri), uri)
        config, state = released.config, released.state_dict()
    try:
        model.load_state_dict(state)
    except RuntimeError:
        ours, theirs = to_dict(model.config), to_dict(config)
        other = ", ".join(f"model.{name} {value}" for name, value in theirs.items() if value != ours[name])
        raise ConfigError(
            f"--init {uri}: its network has another shape; give its --preset, or what differs: {other}"
        ) from None


def _is_bundle(uri: str) -> bool:
    return exists(join(uri, "bundle.json"))
