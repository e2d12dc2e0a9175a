"""Cubes that travel in a bundle, beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from hf2vad.errors import BundleError
from hf2vad.schema import F16, U8


@dataclass(frozen=True, eq=False)
class KeptCubes:
    """Some cubes, or what is kept of each; a class of its own says what that is."""

    NAME: ClassVar[str]
    """Name of such cubes in error messages."""
    APPEARANCE: ClassVar[tuple[int, ...]]
    """Shape of one cube's pixels."""
    FLOW: ClassVar[tuple[int, ...]]
    """Shape of one cube's flow."""

    appearance: U8
    """(B, *APPEARANCE) BGR."""
    flow: F16
    """(B, *FLOW)."""

    def __post_init__(self) -> None:
        b = len(self.flow)
        if self.appearance.shape != (b, *self.APPEARANCE) or self.flow.shape != (b, *self.FLOW):
            raise BundleError(f"{self.NAME} have shapes {self.appearance.shape} and {self.flow.shape}; train again")
        if self.appearance.dtype != np.uint8 or self.flow.dtype != np.float16:
            raise BundleError(f"{self.NAME} are {self.appearance.dtype} and {self.flow.dtype}; train again")

    @classmethod
    def none(cls) -> Self:
        return cls(np.empty((0, *cls.APPEARANCE), np.uint8), np.empty((0, *cls.FLOW), np.float16))

    def __len__(self) -> int:
        return len(self.flow)

    @property
    def arrays(self) -> Mapping[str, U8 | F16]:
        """The arrays as a bundle keeps them; empty for no cubes."""
        return {"appearance": self.appearance, "flow": self.flow} if len(self) else {}
