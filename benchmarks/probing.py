"""Files that the fast way can treat, probed and decoded by two commits: what knowing more of a file costs.

Example:
    git worktree add ../old 661f10a
    python -m benchmarks probing --old ../old --work /tmp/extraction

The clips of the extraction benchmark. Each commit has a process of its own; file after file goes to the one and then to
the other, and all of them again in the next round. Seconds are the processor's, the fewest of the rounds: what else
the machine does takes caches and clock away, and adds to them. Writes benchmarks/results/probing.json: milliseconds,
and how many times as fast as the old commit this one is (wanted: at least 0.97 of probing and decoding together).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks._stages import clip
from benchmarks.extraction import SIZES
from benchmarks.measure import save

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("probe", "decode")
CHILD = """
import json, sys, time
from hf2vad.archive.catalog import catalogue
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from hf2vad.video.decode import decode
for line in sys.stdin:
    (video,) = catalogue(line.strip())
    started = time.process_time()
    timeline = probe(video)
    probed = time.process_time()
    frames = sum(1 for shard in cut_shards(video, timeline, timeline.frame_count) for _ in decode(shard))
    seconds = {"probe": probed - started, "decode": time.process_time() - probed}
    print(json.dumps({"seconds": seconds, "frames": frames}), flush=True)
"""


class Checkout:
    """A process that imports the package of one commit."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        command = [sys.executable, "-c", CHILD]
        process = subprocess.Popen(
            command, cwd=folder, env={"PYTHONPATH": str(folder)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._process = stack.enter_context(process)

    def __call__(self, video: Path) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(video.resolve(), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def compared(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Of one file's rounds: milliseconds of each step in each commit, and the ratios."""
    ms = {
        name: {step: 1000 * min(each[name][step] for each in rounds) for step in STEPS} | {"both": 0.0}
        for name in ("old", "new")
    }
    for steps in ms.values():
        steps["both"] = steps["probe"] + steps["decode"]
    ratio = {step: round(ms["old"][step] / ms["new"][step], 3) for step in ms["old"]}
    return {"ms": {name: {step: round(value, 2) for step, value in ms[name].items()} for name in ms}, "ratio": ratio}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="checkout of the commit to compare with")
    parser.add_argument("--work", type=Path, required=True, help="folder for the rendered clips")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    videos = {size: clip(options.work, *map(int, size.split("x")), SIZES[size]).video for size in options.sizes}
    rounds: dict[str, list[dict[str, dict[str, float]]]] = {size: [] for size in videos}
    with ExitStack() as stack:
        commits = {"old": Checkout(options.old.resolve(), stack), "new": Checkout(ROOT, stack)}
        for number in range(1 + options.rounds):
            for size, video in videos.items():
                answers = {name: commit(Path(video.uri)) for name, commit in commits.items()}
                if {answer["frames"] for answer in answers.values()} != {SIZES[size]}:
                    print(f"{size}: not all frames were decoded: {answers}", file=sys.stderr)
                    return 1
                if number:
                    rounds[size].append({name: answer["seconds"] for name, answer in answers.items()})
    files = {size: compared(some) for size, some in rounds.items()}
    old = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=options.old, capture_output=True, text=True)
    save("probing", {"old": old.stdout.strip(), "rounds": options.rounds, "files": files})
    slower = {size: result["ratio"]["both"] for size, result in files.items() if result["ratio"]["both"] < 0.97}
    print(f"slower than wanted: {slower}" if slower else "none is slower than wanted")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
