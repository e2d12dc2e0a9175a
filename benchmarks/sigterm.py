"""SIGTERM at random moments of scoring: is storage sound each time, and what is computed twice?

Example:
    python -m benchmarks sigterm --moments 20

One archive of many short shards is scored by the job, in a process and on a Ray of its own, which gets SIGTERM after a
random time (of up to what a quiet run takes, start included), and every fourth time a second one at once. Then
everything that is there must read, and the same command is run again, and told to stop again. An output that is
finished is compared with a quiet run's byte for byte, and the next begins, until all signals are sent.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.demo.archive import generate
from tests.site import SMALL, environment, job, run_process, tables
from tests.sound import unsound

SHARD_FRAMES = 5
CLIPS, FRAMES = 6, 60
SHARDS = CLIPS * FRAMES // SHARD_FRAMES


@dataclass(frozen=True)
class Run:
    """One run of the job that was, or was to be, told to stop."""

    moment: float
    """Seconds from its start."""
    twice: bool
    code: int
    seconds_to_end: float
    """From the signal; negative: it was over before."""
    unsound: list[str]


def scoring(work: Path, out: Path) -> list[object]:
    arguments = ["--archive", work / "site" / "test", "--bundle", work / "bundle", "--out", out, "--engine", "eager"]
    return [*arguments, "--shard-frames", SHARD_FRAMES, "--ray.address", "local"]


def told_to_stop(work: Path, out: Path, moment: float, *, twice: bool) -> Run:
    """Run the job, and signal it after `moment` seconds."""
    began = time.monotonic()
    command = job("score_archive", *scoring(work, out))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as running:
        try:
            running.wait(moment)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGTERM)
            if twice:
                time.sleep(0.2)
                running.send_signal(signal.SIGTERM)
        code = running.wait(120)
    return Run(round(moment, 2), twice, code, round(time.monotonic() - began - moment, 2), unsound(out))


def shards_of(out: Path) -> int:
    """Shards computed by all runs on `out`."""
    return sum(json.loads(path.read_text())["shards"] for path in (out / "runs").glob("*.json"))


def rounds(work: Path, moments: Iterator[float], expected: dict[str, bytes]) -> Iterator[dict[str, Any]]:
    """One output after the other, each run until it is finished, while there are moments left."""
    number, waiting = 0, next(moments, None)
    while waiting is not None:
        out, runs, done = work / f"out_{number}", [], False
        while waiting is not None and not done:
            run = told_to_stop(work, out, waiting, twice=len(runs) % 4 == 3)
            print(f"{out.name}: {run}", flush=True)
            done = run.code == 0
            runs.append(run)
            waiting = next(moments, None)
        if not done:
            run_process("score_archive", *scoring(work, out))
        yield {
            "runs": [vars(run) for run in runs],
            "shards": shards_of(out),
            "same_bytes": tables(out) == expected,
            "unsound_at_the_end": unsound(out),
        }
        number += 1


def table() -> str:
    """What became of the signals."""
    rows = [["not measured yet", "", "", "", "", ""]]
    for found in results("sigterm.json"):
        computed = f"{found['shards']} of {found['shards_needed']}, at most ×{found['most_of_one_output']:.3f}"
        same = f"{found['same_bytes']} of {found['outputs']}"
        longest = f"{found['longest_seconds_to_end']:.1f} s"
        rows = [[str(found["moments"]), str(found["unsound"]), str(found["outputs"]), same, computed, longest]]
    head = ["signals", "left something that cannot be read", "outputs finished", "with the bytes of a quiet run"]
    return markdown([*head, "shards computed, of those needed", "longest from signal to end"], rows)


TABLES = {"sigterm": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        generate(work / "site", train_clips=2, test_clips=CLIPS, frames=FRAMES)
        run_process(
            "extract_stc", "--archive", work / "site" / "train", "--out", work / "stc", "--ray.address", "local"
        )
        run_process("train", "--stc", work / "stc", "--out", work / "bundle", *SMALL)
        began = time.monotonic()
        run_process("score_archive", *scoring(work, work / "quiet"))
        quiet = time.monotonic() - began
        choose = random.Random(options.seed)
        moments = [choose.uniform(0.0, quiet) for _ in range(options.moments)]
        found = list(rounds(work, iter(moments), tables(work / "quiet")))
    runs = [run for one in found for run in one["runs"]]
    result = {
        "moments": len(runs),
        "quiet_seconds": round(quiet, 1),
        "exit_codes": {str(code): sum(run["code"] == code for run in runs) for code in {run["code"] for run in runs}},
        "longest_seconds_to_end": max(run["seconds_to_end"] for run in runs),
        "unsound": sum(bool(run["unsound"]) for run in runs) + sum(bool(one["unsound_at_the_end"]) for one in found),
        "outputs": len(found),
        "same_bytes": sum(one["same_bytes"] for one in found),
        "shards": sum(one["shards"] for one in found),
        "shards_needed": SHARDS * len(found),
        "most_of_one_output": max(one["shards"] for one in found) / SHARDS,
        "seed": options.seed,
        "rounds": found,
    }
    save("sigterm", result)
    print(json.dumps({name: value for name, value in result.items() if name != "rounds"}, indent=2))


if __name__ == "__main__":
    main()
