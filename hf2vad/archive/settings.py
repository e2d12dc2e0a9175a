"""Limits on a video's size, and how stored pictures become frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf2vad.settings import OMIT_DEFAULT, require


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """How stored pictures become frames. Changes pixels, so it is part of a trained model."""

    rotate: bool = True
    """Turn pictures upright as their file says (display matrix, EXIF); boxes are in pixels of the upright picture."""

    deinterlace: Literal["auto", "never"] = "auto"
    """`auto`: pictures that are flagged as interlaced go through FFmpeg's bwdif, because combs are motion to a frame
    difference. `never`: both fields stay as stored."""

    skip_loop_filter: Literal["none", "noref", "all"] = field(default="none", metadata={OMIT_DEFAULT: True})
    """Pictures that FFmpeg decodes without the deblocking of H.264 and H.265. `noref`: those that no other picture
    refers to. `all`: every one, so that small errors grow until the next keyframe. It saves a tenth at most."""


@dataclass(frozen=True, kw_only=True)
class ZoneSettings:
    """Settings of jobs that leave out what moves in some parts of the picture."""

    zones: str = ""
    """Zones of cameras to ignore or to watch alone: a file, or the review site in which they were drawn."""


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """Limits on a video's size, checked against its headers before any frame is decoded. A larger video gets a failure
    row."""

    pixels: int = 2**25
    """Pixels of a frame, width times height; 8K has 33 million."""

    frames: int = 5_000_000
    """Frames of a video: two days at 25 a second. The timeline takes 16 bytes a frame."""

    hours: float = 72.0
    """Length of a video by its timestamps."""

    def __post_init__(self) -> None:
        for name in ("pixels", "frames", "hours"):
            require(getattr(self, name) > 0, f"limits.{name} must be positive, got {getattr(self, name)}")
