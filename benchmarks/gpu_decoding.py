"""What decoding on a GPU would change in the output, as far as a CPU can tell.

Example:
    python -m benchmarks gpu_decoding

A GPU's decoder gives NV12 where FFmpeg's own gives YUV 4:2:0 in three planes. *Formats*: one picture in both, converted
to BGR as extraction does it. *Damage*: bytes in the second half of some packets, behind every header, are replaced;
what FFmpeg's own decoders then say of the frames. A GPU's decoder, as FFmpeg drives it, says nothing of such damage:
FFmpeg reads the headers alone. Writes benchmarks/results/gpu_decoding.json.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from benchmarks._stages import settings
from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.demo.archive import render_clip
from hf2vad.demo.street import Street
from hf2vad.schema import U8
from hf2vad.video.decode import decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests.clips import Clip, only, played, write_clip

SIZES = ((360, 240), (640, 360), (1280, 720), (1920, 1080))
CLIPS = {
    "H.264": ("clip.mp4", Clip()),
    "HEVC": ("clip.mp4", Clip("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:keyint=10"})),
    "MPEG-4": ("clip.avi", Clip("mpeg4", {"g": "10"})),
    "MPEG-2": ("clip.mkv", Clip("mpeg2video", {"g": "10"})),
    "VP9": ("clip.webm", Clip("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "threads": "1", "g": "10"})),
}
PACKETS = 3
"""Packets of a file that are damaged."""
BYTES = 8
"""Bytes of such a packet that are replaced."""


def formats(width: int, height: int) -> dict[str, Any]:
    """Share of the bytes of a BGR picture that differ when it is made of NV12."""
    image = next(render_clip(Street(width, height, seed=0), "runner", frames=1, seed=[0, 2, 0])).image
    planes = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
    working = settings().working.size(width, height)
    how = None if working == (width, height) else Interpolation.AREA
    nv12 = VideoReformatter().reformat(planes, format="nv12", threads=1)
    again = VideoReformatter().reformat(nv12, format="yuv420p", threads=1)

    def bgr(frame: av.VideoFrame) -> U8:
        made = VideoReformatter().reformat(
            frame, width=working[0], height=working[1], format="bgr24", interpolation=how, threads=1
        )
        return np.asarray(made.to_ndarray(), np.uint8)

    wanted = bgr(planes)
    apart = np.abs(wanted.astype(np.int16) - bgr(nv12))
    return {
        "working": "x".join(map(str, working)),
        "differ": round(float((apart > 0).mean()), 4),
        "largest": int(apart.max()),
        "equal_in_planes_again": bool(np.array_equal(wanted, bgr(again))),
    }


def damage(name: str, clip: Clip, trials: int, seed: int) -> dict[str, int]:
    """What becomes of the frames of damaged files: without an image, with the wrong one, or whole."""
    counts = Counter[str]()
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_clip(path, replace(clip, frames=60, width=320, height=240))
        images, data = played(path), path.read_bytes()
        with av.open(str(path)) as container:
            packets = [(p.pos, p.size) for p in container.demux(video=0) if p.pos is not None and p.size > 64]
        for _ in range(trials):
            damaged = bytearray(data)
            for number in rng.choice(len(packets), PACKETS, replace=False):
                start, size = packets[number]
                at = start + size // 2 + int(rng.integers(0, size // 2 - BYTES))
                damaged[at : at + BYTES] = rng.bytes(BYTES)
            path.write_bytes(damaged)
            video = only(path)
            for shard in cut_shards(video, probe(video), 1000):
                for frame in decode(shard):
                    if frame.image is None:
                        counts["undecodable"] += 1
                    elif np.array_equal(frame.image, images[min(frame.index, len(images) - 1)]):
                        counts["whole"] += 1
                    else:
                        counts["changed"] += 1
    return dict(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="damaged files of each codec")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    result = {
        "trials": options.trials,
        "seed": options.seed,
        "formats": {f"{width}x{height}": formats(width, height) for width, height in SIZES},
        "damage": {codec: damage(*known, options.trials, options.seed) for codec, known in CLIPS.items()},
    }
    save("gpu_decoding", result)


def format_table() -> str:
    """NV12 against planes, by frame size."""
    rows = [
        [
            size,
            found["working"],
            f"{100 * found['differ']:.1f} %",
            str(found["largest"]),
            "equal" if found["equal_in_planes_again"] else "other",
        ]
        for result in results("gpu_decoding.json")
        for size, found in result["formats"].items()
    ]
    head = ["frames", "worked on at", "bytes that differ", "by at most", "NV12 taken apart first"]
    return markdown(head, rows or [["not measured yet", *[""] * 4]])


def damage_table() -> str:
    """What FFmpeg's own decoders say of damaged frames, by codec."""
    rows = [
        [codec, *(f"{found.get(name, 0):,}" for name in ("whole", "undecodable", "changed"))]
        for result in results("gpu_decoding.json")
        for codec, found in result["damage"].items()
    ]
    head = ["codec", "unchanged frames", "reported as damaged", "changed, not reported"]
    return markdown(head, rows or [["not measured yet", *[""] * 3]])


TABLES = {"decoder_formats": format_table, "decoder_damage": damage_table}


if __name__ == "__main__":
    main()
