"""A walk through killed workers, a lost node, killed drivers and a store that fails, beside the same walk in quiet.

Example:
    python -m benchmarks chaos          # or: make chaos

Short generated videos, some of them corrupt, are in a real S3 server (SeaweedFS) behind a proxy. They are scored on a
cluster of three nodes in quiet, and then, under another prefix, while workers are killed every few seconds, one node is
lost, the driver is killed twice and started again by the same command, and a share of the requests fails (errors 500
and 503, SlowDown, resets before and after, half answers). Exit code 1, and a line for each, where a promise is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from tests.chaos.run import Both, Plan, chaos_run, quiet_run
from tests.chaos.site import ChaosSite, chaos_site
from tests.seaweed import SeaweedServer

LIMIT_S = 3600.0


@contextlib.contextmanager
def store(folder: Path) -> Iterator[SeaweedServer]:
    """An S3 server that this process's environment leads to."""
    with SeaweedServer(folder) as server:
        os.environ.update({**server.env, "AWS_EC2_METADATA_DISABLED": "true"})
        yield server


def measured(site: ChaosSite, plan: Plan) -> dict[str, Any]:
    """Both runs, and what of the promises was broken."""
    quiet = quiet_run(site, seconds=LIMIT_S)
    print(f"quiet: {quiet.seconds:.0f} s", flush=True)
    chaos = chaos_run(site, plan, quiet.computed.shards, seconds=LIMIT_S)
    both = Both(site, quiet, chaos)
    return {**both.figures(), "broken": both.broken()}


def table() -> str:
    """What was killed and failed, and what it cost."""
    head = ["videos", "corrupt", "workers, nodes, drivers killed", "requests failed", "shards", "computed again"]
    head += ["kills explain", "tables that differ", "quiet", "through chaos"]
    rows = [["not measured yet", *[""] * (len(head) - 1)]]
    for found in results("chaos.json"):
        run = found["chaos"]
        failed = sum(run["requests_failed"].values())
        rows = [
            [
                str(found["videos"]),
                str(found["corrupt"]),
                ", ".join(str(run["killed"][what]) for what in ("worker", "node", "driver")),
                f"{failed:,} of {run['requests']:,}",
                str(run["shards"]),
                str(run["computations"] - run["shards"]),
                f"up to {run['explained_by_kills']}",
                str(len(run["differences"])),
                f"{run['quiet_s']:.0f} s",
                f"{run['chaos_s']:.0f} s",
            ]
        ]
    return markdown(head, rows)


TABLES = {"chaos": table}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--corrupt", type=int, default=10)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--faults", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry", action="store_true", help="do not write benchmarks/results/chaos.json")
    options = parser.parse_args()
    size = {"videos": options.videos, "corrupt": options.corrupt, "frames": options.frames, "nodes": options.nodes}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        with store(work) as s3, chaos_site(s3, work / "archive", bucket="chaos", network=True, **size) as site:
            found = measured(site, Plan(faults=options.faults, seed=options.seed))
    print(json.dumps(found, indent=2))
    if not options.dry:
        save("chaos", {**size, "faults": options.faults, "seed": options.seed, "chaos": found})
    for line in found["broken"]:
        print(f"broken: {line}", file=sys.stderr)
    return 1 if found["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
