"""What each job shows in a terminal: seconds to the first word, longest blank, lines at the end, options in its help.

Example:
    python -m benchmarks first_hour                   # some five minutes; nothing else should run beside it
    python -m benchmarks first_hour --jobs run train  # some jobs, nothing is written to benchmarks/results

Every job runs in a pseudo-terminal of its own on two generated clips, with Ray started by the job where it uses Ray.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import save
from benchmarks.processes import ROOT
from benchmarks.tables import markdown, results
from hf2vad.commandline import required_missing
from hf2vad.cubes.opencv import cv2
from hf2vad.demo.archive import generate
from hf2vad.evidence.choose import event_key
from hf2vad.jobs import JOBS, load
from hf2vad.options import Option, options_of
from hf2vad.report.site.evidence import video_key
from hf2vad.tables.read import scores_prefix, video_tables
from tests.site import TINY, environment
from tests.terminal import Shown, in_terminal

ROW = re.compile(r"^  (--[a-z][\w.-]*|[A-Z]{3,})", re.MULTILINE)
"""What a row of a job's help begins with."""
SECONDS = 560
SERVERS = {"review": "Serving"}
"""Jobs that work until Ctrl-C, and what they show when they do."""
PLAN = r"about .* of disk|[\d,]+ videos? of [\d,]+ camera|passed over: |sample: |cameras from |.* are trained on"
BEFORE = re.compile(rf"Starting|engine: |{PLAN}")
"""Lines of a plan, which stand before the work."""


def command(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "hf2vad", name, *map(str, arguments)]


def commands(work: Path) -> Mapping[str, Callable[[], Sequence[object]]]:
    """What gives the options of each job, on what those before it left in `work`."""
    archive = work / "archive"
    stc, bundle, scores, found = work / "stc", work / "bundle", work / "scores", work / "found"
    labels = archive / "labels.parquet"
    ablation = ("--rows", "smoothing-none", "--schedule.frame-steps", 2, "--schedule.flow-steps", 2)
    return {
        "run": lambda: (archive / "train", "--out", found),
        "demo": lambda: (
            *("--out", work / "demo", "--train-clips", 2, "--test-clips", 2, "--frames", 40, "--flow-epochs", 1),
        ),
        "extract": lambda: (archive / "train", "--out", stc),
        "train": lambda: (stc, "--out", bundle, *TINY),
        "score": lambda: (archive / "test", "--bundle", bundle, "--out", scores, "--vectors", 2),
        "report": lambda: (scores, "--archive", archive / "test", "--bundle", bundle, "--out", work / "site"),
        "review": lambda: (found, "--port", 0),
        "similar": lambda: (scores, "--video", "01_runner.mp4", "--at", 2),
        "teach": lambda: (
            *("--bundle", found / "bundle", "--archive", archive / "train"),
            *("--reviews", marked(work, highest(found)), "--out", work / "taught"),
        ),
        "case": lambda: (
            *(found / "scores", "--archive", archive / "train", "--bundle", found / "bundle"),
            *(
                "--events",
                event_key(highest(found)["video"], highest(found)["start_frame"]),
                "--out",
                work / "case.zip",
            ),
        ),
        "alarms": lambda: (scores, "--out", work / "alarms.json", "--per-hour", 60),
        "backfill": lambda: (
            *(archive / "test", "--bundle", bundle, "--out", work / "nightly", "--min-age-minutes", 0),
        ),
        "build-engine": lambda: (bundle,),
        "evaluate": lambda: (scores, "--labels", labels, "--out", work / "evaluation"),
        "reproduce": lambda: (
            *("ped2", "--data", ped2(work), "--out", work / "reproduced"),
            *("--preset", "features", "--boxes", "motion"),
        ),
        "ablate": lambda: (
            *("--train", archive / "train", "--test", archive / "test", "--labels", labels),
            *("--out", work / "ablation", *ablation),
        ),
    }


def highest(found: Path) -> dict[str, Any]:
    """The event with the highest score of what `hf2vad run` has found."""
    rows = [
        {"video": tables.video, "fingerprint": tables.metadata["fingerprint"], **row}
        for tables in video_tables(scores_prefix(str(found / "scores")), "events")
        for row in tables.table("events").to_pylist()
    ]
    return max(rows, key=lambda row: row["peak_score"])


def key_of(event: Mapping[str, Any]) -> str:
    """Key by which the review site names an event."""
    return event_key(event["video"], event["start_frame"])


def marked(work: Path, event: Mapping[str, Any]) -> Path:
    """The file of marks that a page saves of an event called normal."""
    names = ("video", "fingerprint", "start_frame", "end_frame", "start_s", "end_s")
    mark = {
        "event": key_of(event),
        "video_key": video_key(event["video"]),
        "verdict": "normal",
        **{n: event[n] for n in names},
    }
    path = work / "marks.json"
    path.write_text(json.dumps({"hf2vad.marks": 1, "marks": [mark]}))
    return path


def ped2(work: Path) -> Path:
    """The generated clips in the layout of UCSD Ped2: folders of images, and labels by folder."""
    data = work / "ped2"
    for part, folder in (("training", "train"), ("testing", "test")):
        for clip in (work / "archive" / folder).glob("*.mp4"):
            place = data / part / "frames" / clip.stem
            place.mkdir(parents=True, exist_ok=True)
            with av.open(str(clip)) as container:
                for number, frame in enumerate(container.decode(video=0), 1):
                    cv2.imwrite(str(place / f"{number:03}.jpg"), frame.to_ndarray(format="bgr24"))
    if (labels := work / "archive" / "labels.parquet").is_file():
        table = pq.read_table(labels)
        names = [name.removesuffix(".mp4") for name in table["video"].to_pylist()]
        table = table.set_column(table.schema.get_field_index("video"), "video", pa.array(names))
        pq.write_table(table, data / "testing" / "frame_labels.parquet")
    return data


def shown(work: Path, jobs: Sequence[str], *, without_ray: bool = False) -> Iterator[tuple[str, Shown]]:
    """What each of `jobs` shows. Raises AssertionError where one fails."""
    alone = ("--ray.address", "none") if without_ray else ()
    generate(work / "archive", seed=0, train_clips=2, test_clips=2, frames=60)
    for name, arguments in commands(work).items():
        if name in jobs:
            more = alone if any(option.name == "ray.address" for option in options_of_job(name)) else ()
            end = SERVERS.get(name, "")
            line = command(name, *arguments(), *more)
            found = in_terminal(line, cwd=work, env=_environment(), timeout=SECONDS, ctrl_c_after=end)
            assert found.returncode == 0, f"{name}: exit code {found.returncode}\n{found.text[-3000:]}"
            yield name, found


def at_end(found: Shown) -> list[str]:
    """The lines that are left on the screen, without those of the plan."""
    return [line for line in found.lines if not BEFORE.match(line)]


def _environment() -> dict[str, str]:
    env = {name: value for name, value in environment().items() if name != "RAY_ADDRESS"}
    return {**env, "PYTHONPATH": str(ROOT)}


def options_of_job(name: str) -> list[Option]:
    kind = load(name).settings
    return list(options_of(kind(**required_missing(kind))))


def options(name: str) -> tuple[int, int]:
    """Options that `--help` and `--help-all` of a job list, without those of every job."""
    counts = []
    for tier in ("--help", "--help-all"):
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
            load(name).main([tier])
        counts.append(len(ROW.findall(printed.getvalue().partition("\nEvery job:\n")[0])))
    return counts[0], counts[1]


def table() -> str:
    """What each job shows: options by its code, the rest as measured, where it was."""
    (result,) = results("first_hour.json")
    measured = {row["job"]: row for row in result["rows"]}
    rows = []
    for name in JOBS:
        row = measured.get(name)
        figures = ["", "", ""] if row is None else [f"{row['first_s']:.1f}", f"{row['blank_s']:.1f}", str(row["lines"])]
        rows.append([f"`hf2vad {name}`", *map(str, options(name)), *figures])
    head = ["job", "options in `--help`", "in `--help-all`", "first word, s", "longest blank, s", "lines at the end"]
    return markdown(head, rows)


TABLES = {"first_hour": table}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="+", default=list(JOBS))
    chosen = parser.parse_args().jobs
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        for name, found in shown(Path(work), chosen):
            row = {"job": name, "first_s": round(found.first_s, 2)}
            rows.append(row | {"blank_s": round(found.longest_blank_s, 2), "lines": len(at_end(found))})
            print(rows[-1], flush=True)
            print("\n".join(f"    {line}" for line in found.lines), flush=True)
    if set(chosen) == set(JOBS):
        save("first_hour", {"benchmark": "first_hour", "rows": rows})
    return 0
