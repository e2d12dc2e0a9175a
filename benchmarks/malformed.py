"""Damaged videos of every kind, decoded in a process of their own and then scored by the job.

Example:
    python -m benchmarks malformed --count 500

Small real files of each container and image type are mutated by a seed (cut, bits flipped, headers, zeros, noise, two
files joined, one inserted into another, halves swapped). Each is probed and decoded in a child process, where a crash,
a hang or an error that is not the project's own would be seen; then the scoring job runs over all of them, with a small
bundle that is trained first. Each must end with a failure row, with scores, or with both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.demo.archive import generate
from tests.mutations import examine, write_mutations, write_originals
from tests.site import SMALL, last_run, run_process


def decoded(folder: Path) -> dict[str, Any]:
    """Every video probed and decoded in a child process."""
    started = time.monotonic()
    found = list(examine(folder))
    return {
        "outcomes": dict(Counter(video.outcome for video in found)),
        "seconds": round(time.monotonic() - started, 1),
        "slowest_s": max(video.seconds for video in found),
        "grown_mib": max(video.grown_mib for video in found),
        "not_ours": [video.detail for video in found if video.outcome in ("error", "crash", "hang")],
    }


def scored(folder: Path, work: Path) -> dict[str, Any]:
    """Every video through the scoring job."""
    site = generate(work / "site", train_clips=2, test_clips=0, frames=60)
    run_process("extract_stc", "--archive", site.train, "--out", work / "stc")
    run_process("train", "--stc", work / "stc", "--out", work / "bundle", *SMALL)
    started = time.monotonic()
    out = work / "scores"
    run_process("score_archive", "--archive", folder, "--bundle", work / "bundle", "--out", out, expect=3, seconds=3600)
    seconds = time.monotonic() - started
    (bundle,) = out.glob("bundle=*")
    reasons = {row["video"]: row["reason"] for row in map(_read, (bundle / "failures").glob("*.json"))}
    frames = {pq.read_table(path, columns=["video"])[0][0].as_py() for path in (bundle / "frames").glob("*.parquet")}
    videos = {path.name for path in folder.iterdir()}
    record = last_run(out)
    return {
        "videos": record["videos"],
        "failure_rows": len(reasons),
        "with_scores": len(frames),
        "neither": sorted(videos - set(reasons) - frames),
        "worker_deaths": sum("worker died" in reason for reason in reasons.values()),
        "retried": record["retried"],
        "seconds": round(seconds, 1),
    }


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def table() -> str:
    """What became of the damaged videos."""
    rows = [["not measured yet", "", "", "", "", "", ""]]
    for result in results("malformed.json"):
        outcomes, score = result["decoded"]["outcomes"], result["scored"]
        figures = [outcomes.get(name, 0) for name in ("whole", "partial", "failure")]
        never = sum(outcomes.get(name, 0) for name in ("error", "crash", "hang"))
        rows = [
            [
                str(score["videos"]),
                *map(str, figures),
                str(never),
                str(score["worker_deaths"]),
                str(len(score["neither"])),
            ]
        ]
    head = ["videos", "decode as if whole", "in part", "failure", "crash, hang, other error", "workers lost in the job"]
    return markdown([*head, "without a row"], rows)


TABLES = {"malformed": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_originals(work / "originals")
        (work / "archive").mkdir()
        write_mutations(work / "originals", work / "archive", count=options.count, seed=options.seed)
        found = {"decoded": decoded(work / "archive"), "scored": scored(work / "archive", work)}
    save("malformed", {"count": options.count, "seed": options.seed, **found})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
