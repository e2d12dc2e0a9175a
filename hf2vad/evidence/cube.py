"""The cube that an event is shown by, cut again from its video, and what the network makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import cut_shards
from hf2vad.archive.timeline import Timeline
from hf2vad.cubes.extract import Extractor
from hf2vad.errors import VideoError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from hf2vad.schema import BOX, F16, F32, SIZE, U8

TOLERANCE = 0.05
"""Relative difference of S_r and S_p from the table's up to which a cube counts as the same: engines may differ by 0.03
in bf16. What differs more is not shown."""


@dataclass(frozen=True)
class Cube:
    """One cube."""

    appearance: U8
    """(1, 5, 32, 32, 3) BGR."""
    flow: F16
    """(1, 4, 32, 32, 2)."""


@dataclass(frozen=True)
class Seen:
    """What the network makes of a cube."""

    given: U8
    """(32, 32, 3): the last crop."""
    predicted: F32
    """(32, 32, 3): its prediction, in grey levels 0 … 255."""
    flow: F32
    """(32, 32, 2): the one of the four flows that S_r goes by."""
    reconstructed: F32
    """(32, 32, 2)."""
    number: int
    """Which of the four flows that is, from 0."""
    s_flow: float
    s_frame: float


def cut_again(extractor: Extractor, video: Video, timeline: Timeline, found: Mapping[str, Any]) -> Cube:
    """The cube of a row of `objects`, by the extraction it was made with.

    Raises VideoError when it does not come out again.
    """
    frame = int(found["frame"])
    box = np.array([found[name] for name in BOX], np.float32)
    for shard in cut_shards(video, timeline, 1, start=frame, stop=frame + 1):
        for batch in extractor.cubes(shard):
            same = np.flatnonzero(np.abs(batch.boxes - box).max(axis=1, initial=0) < 0.01)
            if len(same):
                place = slice(int(same[0]), int(same[0]) + 1)
                return Cube(batch.appearance[place], batch.flow[place])
    raise VideoError(f"{video.id}: frame {frame} has no such box as it was scored; is it another detector, or video?")


@torch.inference_mode()
def seen(model: HF2VAD, cube: Cube, device: torch.device) -> Seen:
    """What `model`, in evaluation mode on `device`, makes of `cube`."""
    inputs = cube_tensors(cube.appearance, cube.flow, device)
    found = model.reconstruct(inputs.flows).flow
    predicted = model.predict(inputs, found, sample=False, prior=False).frame
    s_flow, s_frame = model.errors(inputs)
    flows, rebuilt = (each.float().reshape(4, 2, SIZE, SIZE).permute(0, 2, 3, 1).cpu().numpy()
                      for each in (inputs.flows, found))  # fmt: skip
    rank = {"sum": 3, "min": 0, "median": 2}[model.config.flow_error]
    number = int(np.argsort(np.square(rebuilt - flows).sum((1, 2, 3)), kind="stable")[rank])
    pixels = predicted[0].float().permute(1, 2, 0).cpu().numpy() * 255
    return Seen(
        cube.appearance[0, -1], pixels, flows[number], rebuilt[number], number, float(s_flow[0]), float(s_frame[0])
    )


def check_same(known: Mapping[str, Any], found: Seen) -> None:
    """Raise VideoError where the errors are not those of the row of `objects`."""
    for name in ("s_flow", "s_frame"):
        table, now = float(known[name]), float(getattr(found, name))
        if abs(now - table) > TOLERANCE * max(abs(table), 1e-3):
            raise VideoError(
                f"{known['video']}: frame {known['frame']} has {name} {now:.4g} now and {table:.4g} in the table, so "
                "its maps are not shown; score it again"
            )
