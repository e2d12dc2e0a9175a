"""The six networks that are compared."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.models.settings import Level, ModelConfig

_MEMORIES: tuple[Level, ...] = ("bottleneck", "up3", "up2")
"""All levels that a memory can have; `up1`, the outermost, has none in the paper either."""

_SKIPS: tuple[Level, ...] = ("up3", "up2", "up1")


@dataclass(frozen=True)
class Variant:
    """ML-MemAE-SC with some of its memories and skips."""

    name: str
    """The paper's letter."""
    memories: tuple[Level, ...]
    skips: tuple[Level, ...]

    def config(self, *, flow_root: int, slots: int) -> ModelConfig:
        """The network's settings; the frame prediction, which the experiment does not use, is as small as it can be."""
        return ModelConfig(
            flow_root=flow_root,
            slots=slots,
            memories=self.memories,
            skips=self.skips,
            cvae_widths=(8, 16, 16, 16),
        )


VARIANTS = (
    Variant("a", ("bottleneck",), ()),
    Variant("b", _MEMORIES, ()),
    Variant("c", ("bottleneck",), _SKIPS),
    Variant("d", _MEMORIES, _SKIPS),
    Variant("e", ("bottleneck", "up3"), ("up3",)),
    Variant("f", _MEMORIES, ("up3", "up2")),
)
"""(a) to (f) of paper §4.1; (f) is the network that the paper proposes.

In (e) and (f) a memory follows each skip's join, so that no way from picture to reconstruction avoids all memories; the
memory at the bottleneck, where nothing is joined, is counted as a pair too. The outermost skip of (c) and (d) is such a
way.
"""
