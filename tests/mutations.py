"""Damaged videos of every kind the project reads: real files, mutated by a seed.

Example:
    python -m tests.mutations FOLDER ''     # examine the videos there, two JSON lines each
"""

from __future__ import annotations

import json
import queue
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.errors import VideoError
from hf2vad.video.decode import decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests.clips import Clip, pictures, write_clip

ROOT = Path(__file__).parents[1]

CLIPS = {
    "h264.mp4": Clip(),
    "faststart.mp4": Clip(muxer={"movflags": "faststart"}),
    "fragmented.mp4": Clip(muxer={"movflags": "frag_keyframe+empty_moov"}),
    "h264.mov": Clip(),
    "h264.mkv": Clip(),
    "h264.ts": Clip(),
    "h264.avi": Clip(options={"g": "10", "bf": "0", "threads": "1"}),
    "mpeg4.avi": Clip("mpeg4", {"g": "10"}),
    "mjpeg.avi": Clip("mjpeg", {}, "yuvj420p"),
    "mjpeg.mkv": Clip("mjpeg", {}, "yuvj420p"),
    "vp9.webm": Clip("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "threads": "1", "g": "10"}),
    "hevc.mp4": Clip("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:keyint=10"}),
}
"""One video file of each container, and of each codec."""
IMAGES = ("png", "jpg", "bmp", "tiff")
"""One folder of images of each type."""
FRAMES = 12
"""Images in a folder."""
MODULE = "tests.mutations"
"""What examines a folder, as a process."""
SECONDS = 20.0
"""No damaged video of 40 small frames may take longer."""


@dataclass(frozen=True)
class Examined:
    """What became of one damaged video."""

    video: str
    outcome: str
    """`whole`, `partial`, `failure`, or, never hoped for, `error`, `crash` or `hang`."""
    detail: str
    seconds: float
    grown_mib: float
    """By how much the process's peak memory is above that before its first video."""


def write_originals(folder: Path) -> None:
    """Small videos of each kind, undamaged."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, clip in CLIPS.items():
        write_clip(folder / name, replace(clip, frames=30))
    for suffix in IMAGES:
        (folder / suffix).mkdir()
        for t, image in enumerate(pictures(FRAMES, 64, 48)):
            cv2.imwrite(str(folder / suffix / f"{t}.{suffix}"), image)


def write_mutations(originals: Path, folder: Path, *, count: int, seed: int) -> None:
    """`count` damaged videos in `folder`, of all kinds in turn: the same for the same seed."""
    kinds = sorted(originals.iterdir())
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        source = kinds[number % len(kinds)]
        other = [kind for kind in kinds if kind.is_file()][int(rng.integers(len(CLIPS)))]
        if source.is_file():
            how, data = mutate(source.read_bytes(), other.read_bytes(), rng)
            (folder / f"{number:04d}-{how}-{source.stem}{source.suffix}").write_bytes(data)
            continue
        damaged = folder / f"{number:04d}-{source.name}"
        shutil.copytree(source, damaged)
        images = sorted(damaged.iterdir())
        for path in rng.choice(np.array(images, object), int(rng.integers(1, FRAMES + 1)), replace=False):
            path.write_bytes(mutate(path.read_bytes(), images[0].read_bytes(), rng)[1])


def mutate(data: bytes, other: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """One kind of damage, its name first."""
    array = np.frombuffer(data, np.uint8).copy()
    how = str(rng.choice(["cut", "bits", "header", "zeros", "noise", "joined", "inserted", "swapped"]))
    start = int(rng.integers(len(data)))
    length = int(rng.integers(1, max(2, len(data) // 5)))
    if how == "cut":
        return how, data[:start]
    if how == "bits":
        places = rng.integers(len(data), size=int(rng.integers(1, 50)))
        array[places] ^= (1 << rng.integers(8, size=len(places))).astype(np.uint8)
    elif how == "header":
        places = rng.integers(min(256, len(data)), size=int(rng.integers(1, 12)))
        array[places] = rng.choice(np.array([0, 1, 127, 128, 255, int(rng.integers(256))], np.uint8), len(places))
    elif how == "zeros":
        array[start : start + length] = 0
    elif how == "noise":
        part = array[start : start + length]
        part[:] = rng.integers(0, 256, len(part))
    elif how == "joined":
        return how, data[:start] + other
    elif how == "inserted":
        return how, data[:start] + other[:length] + data[start:]
    else:
        return how, data[start:] + data[:start]
    return how, array.tobytes()


def examine(folder: Path) -> Iterator[Examined]:
    """Probe and decode every video of `folder`, in other processes, so that a crash or a hang is seen and got over."""
    after = ""
    while True:
        command = [sys.executable, "-m", MODULE, str(folder), after]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
            lines: queue.Queue[str | None] = queue.Queue()
            threading.Thread(target=_read, args=(child, lines), daemon=True).start()
            current = ""
            while True:
                try:
                    line = lines.get(timeout=SECONDS + 60 * (not current))
                except queue.Empty:
                    child.kill()
                    yield Examined(current, "hang", f"more than {SECONDS} s", SECONDS, 0.0)
                    break
                if line is None:
                    if child.wait() == 0 and not current:
                        return
                    yield Examined(current, "crash", f"exit code {child.returncode}", 0.0, 0.0)
                    break
                found = json.loads(line)
                if isinstance(found, str):
                    current = found
                else:
                    after, current = found["video"], ""
                    yield Examined(**found)
            after = current or after


def _read(child: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        lines.put(line)
    lines.put(None)


def look_at(video: Video) -> tuple[str, str]:
    """Outcome and detail of one video."""
    try:
        timeline = probe(video)
        images = [frame.image for shard in cut_shards(video, timeline, 100) for frame in decode(shard)]
    except VideoError as error:
        return "failure", str(error)
    except Exception as error:  # the report names whatever it is
        return "error", f"{type(error).__name__}: {error}"
    missing = sum(image is None for image in images)
    whole = not missing and not timeline.truncated
    return ("whole" if whole else "partial"), f"{len(images) - missing} of {len(images)} frames"


def main() -> None:
    folder, after = sys.argv[1:3]
    before = _peak_mib()
    for video in catalogue(folder):
        if video.id <= after:
            continue
        print(json.dumps(video.id), flush=True)
        started = time.monotonic()
        outcome, detail = look_at(video)
        seconds, grown = round(time.monotonic() - started, 3), round(_peak_mib() - before, 1)
        print(json.dumps(asdict(Examined(video.id, outcome, detail, seconds, grown))), flush=True)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
