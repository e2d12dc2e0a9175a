"""The one place that decides where the network runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf2vad.errors import ConfigError

if TYPE_CHECKING:
    import torch


def choose_device(name: str = "auto") -> torch.device:
    """`auto`: the GPU where there is one; else the device of that name.

    Raises ConfigError for a name that torch does not know, or a GPU that is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:<number>, got {name!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {name} is not there: torch sees {torch.cuda.device_count()} GPUs; use auto or cpu")
    return device
