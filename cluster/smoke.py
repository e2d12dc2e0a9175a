"""Say whether image, cluster, storage and jobs work together: what the smoke RayJob runs.

Example (in the image; in a checkout the same with cluster/smoke.py):
    python /opt/hf2vad/smoke.py s3://vad/smoke --ray.workers 1 --ray.cpus 4

Renders four clips, puts them under PLACE/videos, lets `hf2vad run` learn from two and score two on the cluster, and
reads the tables back. Other options go to `hf2vad run`. The last line is `smoke: all right`, or says what is not.

Exit code: 0 all right, 1 not.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from hf2vad.demo.archive import generate
from hf2vad.jobs import load
from hf2vad.storage import join, put_bytes
from hf2vad.tables.read import scored_videos, scores_prefix


def main() -> int:
    """Put, run, read back; returns the exit code."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 1
    place, options, started = sys.argv[1], sys.argv[2:], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        made = generate(folder, train_clips=3, test_clips=1, frames=60)
        for number, clip in enumerate([*sorted(made.train.glob("*.mp4")), *sorted(made.test.glob("*.mp4"))], 1):
            put_bytes(join(place, "videos", "camera", f"{number}.mp4"), Path(clip).read_bytes())
    print(f"smoke: 4 clips are under {place}/videos", flush=True)
    found = join(place, "found")
    code = load("run").main([join(place, "videos"), "--out", found, *options])
    if code:
        print(f"smoke: hf2vad run ended with exit code {code}; the lines above say why")
        return 1
    scored = {
        tables.video: len(tables.table("frames")) for tables in scored_videos(scores_prefix(join(found, "scores")))
    }
    if set(scored.values()) != {60} or len(scored) != 2:
        print(f"smoke: two videos of 60 frames should have been scored, there are {scored}")
        return 1
    print(f"smoke: {len(scored)} videos scored, site at {found}/index.html, {time.monotonic() - started:.0f} s")
    print("smoke: all right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
