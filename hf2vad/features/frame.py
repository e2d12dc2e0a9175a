"""Feature `frame`: the frame network's prediction error (paper §3.2, §3.3)."""

from __future__ import annotations

from typing import ClassVar

from hf2vad.features.feature import CubeArrays, Feature, Need, NoSettings, Topic
from hf2vad.schema import F32


class Frame(Feature[NoSettings]):
    """S_p: squared error of a cube's predicted last frame, summed over the crop, pixels in [0, 1].

    The prediction is guided by the reconstructed flows, so the flow network runs too.
    """

    name = "frame"
    word = "appearance"
    topic: ClassVar[Topic] = "looks"
    says = "looks other than the frames before it promise"
    needs: ClassVar[frozenset[Need]] = frozenset({"flow_network", "frame_network"})

    def measure(self, cubes: CubeArrays) -> F32:
        return cubes.errors["frame"]
