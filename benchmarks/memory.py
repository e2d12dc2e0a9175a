"""Peak memory of a scoring worker on a video of one minute and on one of ten.

Example:
    python -m benchmarks memory --work /tmp/memory

Promise: within 10 %. Both with shards of 200 frames and with one shard a video, which is what a video without usable
timestamps gets.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av

from benchmarks.machine import describe
from benchmarks.processes import job, peak_of_workers
from hf2vad.demo.archive import generate

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--model.flow-root=4", "--model.slots=8", "--model.cvae-widths", "8", "16", "16", "16", "--training.batch=32"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for videos and scores")
    options = parser.parse_args()
    work = options.work
    made = generate(work / "archive", train_clips=1, test_clips=1, frames=750)
    videos = {minutes: repeat(made.test / "01_runner.mp4", work / f"{minutes}_min.mp4", minutes) for minutes in (1, 10)}
    job("extract_stc", "--archive", made.train, "--out", work / "stc", "--frames", "0:150")
    job("train", "--stc", work / "stc", "--out", work / "bundle", *TINY, "--training.flow.epochs", 1)
    result: dict[str, object] = {"benchmark": "memory", "machine": describe(), "unit": "MiB, peak resident set"}
    for shard_frames in (200, 10**6):
        peaks = {}
        for minutes, video in videos.items():
            out = work / f"scores_{minutes}_{shard_frames}"
            arguments = ["--archive", video, "--bundle", work / "bundle", "--out", out, "--shard-frames", shard_frames]
            peaks[minutes] = peak_of_workers("score_archive", *arguments, "--ray.workers", 1, "--ray.address", "local")
            print(f"{minutes} min, shards of {shard_frames}: {peaks[minutes]:.1f} MiB", flush=True)
        name = "shards_of_200" if shard_frames == 200 else "one_shard"
        ratio = round(peaks[10] / peaks[1], 4)
        result[name] = {"1_min": round(peaks[1], 1), "10_min": round(peaks[10], 1), "ratio": ratio}
    out = ROOT / "benchmarks" / "results" / "memory.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {out}")


def repeat(source: Path, target: Path, times: int) -> Path:
    """A clip, `times` over, as one video."""
    if target.exists():
        return target
    with av.open(str(source)) as read:
        images = [frame.to_ndarray(format="bgr24") for frame in read.decode(video=0)]
    height, width = images[0].shape[:2]
    with av.open(str(target), "w") as written:
        stream = written.add_stream("libx264", rate=Fraction(25, 2), options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images * times:
            written.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        written.mux(stream.encode(None))
    return target
