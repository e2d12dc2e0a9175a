"""The networks and their losses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hf2vad.settings import OMIT_DEFAULT, require

Level = Literal["bottleneck", "up3", "up2", "up1"]
FlowInput = Literal["flow", "frames"]
FlowError = Literal["sum", "median", "min"]
FlowResidual = Literal["pixels", "quarters", "mean"]
FrameResidual = Literal["pixels", "median"]

Network = Literal["flow", "frame"]
NETWORKS: tuple[Network, ...] = ("flow", "frame")
"""The two networks: `flow` is ML-MemAE-SC, which gives S_r; `frame` is the CVAE, which gives S_p."""

PREFIX: Mapping[Network, str] = {"flow": "flow_autoencoder.", "frame": "cvae."}
"""Prefix of the names of a network's weights."""


def networks_of(weights: Collection[str]) -> tuple[Network, ...]:
    """The networks that weights of these names are of, in the order of NETWORKS."""
    return tuple(network for network in NETWORKS if any(is_of(name, (network,)) for name in weights))


def is_of(name: str, networks: Sequence[Network]) -> bool:
    """True if a weight of this name belongs to one of `networks`."""
    return name.startswith(tuple(PREFIX[network] for network in networks))


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the network: ML-MemAE-SC (paper §3.1) and the CVAE (§3.2)."""

    flow_root: int = 32
    """Channels of the first level of the flow autoencoder; doubled at each of the three levels below."""

    memories: tuple[Level, ...] = ("bottleneck", "up3", "up2")
    """Positions of memory modules: after the bottleneck, or after an upsampling level."""

    slots: int = 2000
    """Slots of each memory."""

    shrink: float | None = None
    """Hard-shrinkage threshold of the addressing weights; none: 1 / slots."""

    addressing: Literal["dot", "cosine"] = "dot"
    """Similarity of a query and a slot. `dot`: their product, as in the releases of HF²-VAD and MemAE. `cosine`: the
    product at unit length times `sharpness`, as in MemAE's paper (Gong et al. 2019, Eq. 4)."""

    sharpness: float = 20.0
    """Inverse temperature of the softmax over cosines; `dot` does without."""

    flow_error: FlowError = "sum"
    """Combination of the squared errors of a cube's four flows into S_r: their sum (paper §3.3), or four times their
    median or minimum, so that one bad flow field does not rule. Does not change the network."""

    flow_residual: FlowResidual = field(default="pixels", metadata={OMIT_DEFAULT: True})
    """Residual that is squared: of each pixel (paper §3.3), its mean over each quarter of the crop, or its mean over
    the crop. The mean tells how far off the motion as a whole is, because limbs and flow noise cancel. It is multiplied
    by the number of averaged pixels, so that a uniform residual gives the same error in each form. Does not change the
    network."""

    frame_residual: FrameResidual = field(default="pixels", metadata={OMIT_DEFAULT: True})
    """Squared errors of the predicted frame that S_p adds up: of all pixels (paper §3.3), or the median over cells of
    4×4 pixels, times the number of cells. The median is of how much of the crop is unlike its prediction; the sum is
    ruled by a few pixels at the edges of limbs. Does not change the network."""

    flow_input: FlowInput = field(default="flow", metadata={OMIT_DEFAULT: True})
    """Input of the flow network. `flow`: it reconstructs each flow from itself (paper §3.1). `frames`: it predicts all
    four flows from the five frames, with the same memories and loss; not in the paper."""

    flow_pooling: Literal[1, 2] = field(default=1, metadata={OMIT_DEFAULT: True})
    """Side, in pixels of a cube, of the cells that the flow network sees and gives as one, by their means. With 2 it
    costs a quarter."""

    skips: tuple[Level, ...] = ("up3", "up2")
    """Upsampling levels that are joined with the encoder's features (`bottleneck` has none)."""

    condition: Literal["reconstructed", "observed", "none"] = "reconstructed"
    """Condition of the frame prediction: reconstructed flows (HF²-VAD), observed flows (CVAE), or none (VAE)."""

    cvae_widths: tuple[int, int, int, int] = (64, 128, 128, 128)
    """Channels of the CVAE's four stages, 32², 16², 8² and 4²; the last two must be equal (they are the latent's)."""

    dropout: float = 0.1
    """Dropout of the CVAE's residual blocks while training."""

    def __post_init__(self) -> None:
        require(self.flow_root > 0, f"model.flow_root must be positive, got {self.flow_root}")
        require(self.slots > 1, f"model.slots must be at least 2, got {self.slots}")
        require(self.sharpness > 0, f"model.sharpness must be positive, got {self.sharpness}")
        require("up1" not in self.memories, "model.memories may hold bottleneck, up3 and up2, got up1")
        require("bottleneck" not in self.skips, "model.skips may hold up3, up2 and up1, got bottleneck")
        require(len(set(self.memories)) == len(self.memories), f"model.memories repeats a level: {self.memories}")
        require(len(set(self.skips)) == len(self.skips), f"model.skips repeats a level: {self.skips}")
        w = self.cvae_widths
        require(w[1] == w[2] == w[3], f"model.cvae_widths must have three equal last entries, got {w}")
        require(w[0] in (w[1], w[1] // 2), f"model.cvae_widths must start with the others or half of them, got {w}")
        require(0 <= self.dropout < 1, f"model.dropout must be in [0, 1), got {self.dropout}")
        if self.shrink is not None:
            require(0 <= self.shrink < 1, f"model.shrink must be in [0, 1), got {self.shrink}")

    @property
    def shrink_threshold(self) -> float:
        """λ of the hard shrinkage."""
        return 1.0 / self.slots if self.shrink is None else self.shrink

    def reads_pixels(self, networks: Collection[Network]) -> bool:
        """True if `networks` read the frames of a cube."""
        return "frame" in networks or ("flow" in networks and self.flow_input == "frames")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the loss terms (Eq. 3 and 8)."""

    flow: float = 1.0
    """Mean squared error of the reconstructed flow."""

    entropy: float = 2e-4
    """Entropy of the memory addressing weights (Eq. 2), summed over memories."""

    frame: float = 1.0
    """Mean squared error of the predicted frame."""

    kl: float = 1.0
    """Divergence of the posterior from the prior (Eq. 6)."""

    kl_scale: Literal["published", "eq6"] = "published"
    """`published`: KL summed over a cube's latent beside a *mean* over pixels, as the published numbers were made.
    `eq6`: both as sums, so that the KL weighs 3,072 times less against the frame error."""

    gradient: float = 1.0
    """Gradient loss of the predicted frame (Eq. 7)."""

    gradient_form: Literal["eq7", "published"] = "eq7"
    """`eq7`: per channel. `published`: the channels' signed differences are summed first, as the release did, so that
    opposite errors of two channels cancel."""
