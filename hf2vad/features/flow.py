"""Feature `flow`: the flow network's reconstruction error (paper §3.1, §3.3)."""

from __future__ import annotations

from typing import ClassVar

from hf2vad.features.feature import CubeArrays, Feature, Need, NoSettings, Topic
from hf2vad.schema import F32


class Flow(Feature[NoSettings]):
    """S_r: squared error of a cube's four reconstructed flows, in squared flow units.

    How the errors of the four flows become one number: `ModelConfig.flow_error`.
    """

    name = "flow"
    word = "flow"
    topic: ClassVar[Topic] = "motion"
    says = "moves in a way that normal motion does not explain"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow_network"})
    length_power = 2

    def measure(self, cubes: CubeArrays) -> F32:
        return cubes.errors["flow"]
