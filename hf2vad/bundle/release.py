"""Weights of the original release, as our network."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hf2vad.errors import BundleError, ConfigError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.settings import Level, ModelConfig

_MEMORIES: dict[Level, str] = {"bottleneck": "memAE.mem3", "up3": "memAE.mem2", "up2": "memAE.mem1"}

_CONV = {
    "direction": "conv.weight_v",
    "length": "conv.weight_g",
    "bias": "conv.bias",
    "gain": "gamma",
    "offset": "beta",
}


def load_release(data: bytes, where: str) -> HF2VAD:
    """The network in the content of a released checkpoint file, which is read without running code from it.

    The file is a torch-saved state dict, or a dict that has one as `model_state_dict`. `where` names it in messages.
    Raises BundleError for a file that is something else.
    """
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # what a file of another kind makes it raise has no common class
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BundleError(f"{where}: not a released HF2-VAD checkpoint: torch cannot load it: {reason}") from None
    state = content.get("model_state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BundleError(f"{where}: not a released HF2-VAD checkpoint: it holds no state dict")
    try:
        return from_release(state)
    except BundleError as error:
        raise BundleError(f"{where}: {error}") from None


def from_release(state_dict: Mapping[str, Any]) -> HF2VAD:
    """The network, in evaluation mode, for a released checkpoint's state dict (tensors or arrays by name).

    Sizes and memories are read off the names and shapes. Raises BundleError naming what is missing, unexpected or of
    another shape.
    """
    config = _config(state_dict)
    model = HF2VAD(config)
    ours = model.state_dict()
    names = release_names(config)
    missing = [theirs for theirs in names.values() if theirs not in state_dict]
    unexpected = sorted(set(state_dict) - set(names.values()))
    if missing or unexpected:
        raise BundleError(f"not a released HF2-VAD checkpoint: missing {missing[:5]}, unexpected {unexpected[:5]}")
    loaded: dict[str, Tensor] = {}
    for name, theirs in names.items():
        value = torch.as_tensor(state_dict[theirs])
        if value.shape != ours[name].shape:
            raise BundleError(f"released {theirs} has shape {tuple(value.shape)}, expected {tuple(ours[name].shape)}")
        loaded[name] = value.to(ours[name].dtype)
    model.load_state_dict(loaded)
    return model.eval()


def release_names(config: ModelConfig) -> dict[str, str]:
    """Name in the released checkpoint of each tensor in our network's state dict."""
    return {name: _release_name(name) for name in HF2VAD(config).state_dict()}


def _config(state: Mapping[str, Any]) -> ModelConfig:
    root = _size(state, "memAE.in_conv.conv.conv.0.weight", 0)
    widths = [_size(state, f"vunet.f_phi.blocks.s{stage}_1.conv2d.beta", 1) for stage in (1, 2, 3, 4)]
    memories = tuple(level for level, name in _MEMORIES.items() if f"{name}.memMatrix" in state)
    slots = _size(state, f"{_MEMORIES[memories[0] if memories else 'bottleneck']}.memMatrix", 0)
    try:
        return ModelConfig(
            flow_root=root,
            memories=memories,
            slots=slots,
            cvae_widths=(widths[0], widths[1], widths[2], widths[3]),
        )
    except ConfigError as error:
        raise BundleError(f"not a released HF2-VAD checkpoint: {error}") from None


def _size(state: Mapping[str, Any], name: str, axis: int) -> int:
    if name not in state:
        raise BundleError(f"not a released HF2-VAD checkpoint: no {name}")
    shape = tuple(getattr(state[name], "shape", ()))
    if len(shape) <= axis:
        raise BundleError(f"not a released HF2-VAD checkpoint: {name} has shape {shape}")
    return int(shape[axis])


def _release_name(name: str) -> str:
    part, rest = name.split(".", 1)
    return _autoencoder_name(rest) if part == "flow_autoencoder" else _cvae_name(rest)


def _autoencoder_name(name: str) -> str:
    head, rest = name.split(".", 1)
    if head == "stem":
        return f"memAE.in_conv.conv.conv.{rest}"
    if head == "head":
        return f"memAE.out_conv.conv.{rest}"
    if head == "memories":
        level = rest.split(".")[0]
        return f"{_MEMORIES[level]}.memMatrix"  # type: ignore[index]
    level = head[-1]
    if head.startswith("down"):
        layer, rest = rest.split(".", 1)
        return f"memAE.down_{level}.mpconv.0.{rest}" if layer == "0" else f"memAE.down_{level}.mpconv.1.conv.{rest}"
    layer, rest = rest.split(".", 1)
    return f"memAE.up_{level}.up.{rest}" if layer == "grow" else f"memAE.up_{level}.conv.conv.{rest}"


def _cvae_name(name: str) -> str:
    path, leaf = name.rsplit(".", 1)
    return f"vunet.{_cvae_module(path)}.{_CONV[leaf]}"


def _cvae_module(path: str) -> str:
    """The released name of one weight-normalised convolution."""
    keys = path.split(".")
    last = {"mix": "pre", "conv": "conv2d"}
    match keys:
        case ["frame_encoder" | "guide_encoder" as which, *rest]:
            encoder = {"frame_encoder": "f_phi", "guide_encoder": "e_theta"}[which]
            match rest:
                case ["stem"]:
                    return f"{encoder}.in_op"
                case ["downs", stage]:
                    return f"{encoder}.downs.s{int(stage) + 2}.down"
                case ["first" | "second" as block, stage, conv]:
                    return f"{encoder}.blocks.s{int(stage) + 1}_{1 if block == 'first' else 2}.{last[conv]}"
        case ["posterior", "stem"]:
            return "zc.conv1x1"
        case ["posterior", "join"]:
            return "zc.channel_norm"
        case ["posterior", "grow", _]:
            return "zc.up.up"
        case ["posterior", block, conv]:
            return f"zc.blocks.{('mean4', 'absorb', 'mean8').index(block)}.{last[conv]}"
        case ["generator", "stem"]:
            return "bottleneck.conv1x1"
        case ["generator", "grow", _]:
            return "bottleneck.up.up"
        case ["generator", "join", scale]:
            return f"bottleneck.channel_norm.s{4 - int(scale)}"
        case ["generator", "enter" | "absorb" as block, scale, conv]:
            return f"bottleneck.blocks.s{4 - int(scale)}_{2 if block == 'enter' else 1}.{last[conv]}"
        case ["generator", "prior", "reduce"]:
            return "bottleneck.param_converter"
        case ["generator", "prior", "first", conv]:
            return f"bottleneck.auto_blocks.0.{last[conv]}"
        case ["generator", "prior", "steps", step, conv]:
            return f"bottleneck.auto_blocks.{int(step) + 1}.{last[conv]}"
        case ["decoder", "head"]:
            return "decoder.final_layer"
        case ["decoder", "grow", scale, _]:
            return f"decoder.ups.s{3 - int(scale)}.up"
        case ["decoder", "outer" | "inner" as block, scale, conv]:
            return f"decoder.blocks.s{2 - int(scale)}_{2 if block == 'outer' else 1}.{last[conv]}"
    raise BundleError(f"the released network has no {path}")
