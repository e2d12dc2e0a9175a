"""Everything that is measured of a cube before it is fused into one score."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.engines.eager import CubeScores, Engine
from hf2vad.features.density import NO_DENSITY, MotionDensity
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import FusionConfig
from hf2vad.features.speed import flow_speed
from hf2vad.schema import F16, F32, U8
from hf2vad.scoring.fuse import Parts


@dataclass(frozen=True)
class Measure:
    """The network, the motion density, and the unit of lengths."""

    engine: Engine
    density: MotionDensity = NO_DENSITY
    perspective: Perspective | None = None
    """Where S_r and speed are measured in box heights; none: in pixels."""

    @classmethod
    def of(
        cls, engine: Engine, fusion: FusionConfig, density: MotionDensity, perspective: Perspective | None
    ) -> Measure:
        """What `fusion` asks for."""
        return cls(engine, density, perspective if fusion.perspective else None)

    @property
    def batch(self) -> int:
        """Cubes that are best measured at once."""
        return self.engine.batch

    def __call__(self, appearance: U8, flow: F16, boxes: F32) -> Parts:
        """The parts, in pixels, of (B, 5, 32, 32, 3) pixels and (B, 4, 32, 32, 2) flow in (B, 4) boxes."""
        return self.joined(self.engine.score(appearance, flow), *self.motion(flow, boxes))

    def motion(self, flow: F16, boxes: F32) -> tuple[F32, F32]:
        """What needs no network: (B,) flow speeds, and (B,) scores of the motion density."""
        return flow_speed(flow), self.density.score(flow, boxes)

    def joined(self, errors: CubeScores, speed: F32, motion: F32) -> Parts:
        """The parts, in pixels, of what the engine and `motion` found."""
        return Parts(flow=errors.s_flow, frame=errors.s_frame, speed=speed, motion=motion)

    def scaled(self, parts: Parts, boxes: F32) -> Parts:
        """`parts` in the unit that they are fused in."""
        return parts if self.perspective is None else parts.in_heights(self.perspective.heights(boxes))
