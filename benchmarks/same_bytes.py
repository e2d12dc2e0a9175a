"""Every output of two commits on one archive, byte for byte: what a change of the code must not change.

Example:
    git worktree add ../old 661f10a
    python -m benchmarks same_bytes --old ../old --work /tmp/same_bytes
    python -m benchmarks same_bytes --old ../old --work /tmp/same_bytes --steps extract score

The old code renders a small archive with what goes wrong in real ones: footage that freezes, a file that is no video,
one of three frames, pictures of which one is torn, names that keys must encode. Both commits extract, train, score,
find other events, run a night and make a review site of it, each by its own jobs/*.py in processes of its own. Then
their folders are compared: every table (finished ones, and the shards of videos that cannot be finished), mark, failure
row, bundle id and weight, and the data and evidence of the site. Records of runs and leases hold times, and are not
compared; nor is archives.json, which is newer.

A Parquet file counts as equal that differs in what is stated alone: metadata named by --may-differ, columns that are
null throughout, because what has no weight is not measured (new ones, and those named by --may-be-null), and columns
that a commit between the two says that it changes (--may-change). Exit code: 0 all equal, 1 a difference, 2 a job did
not exit as it should. With --work, what the old commit made stays there for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]

NOT_COMPARED = {"runs", "lease", "archives.json"}
"""Names of files and folders."""
CHANGED = ("at_edge", *(f"events:{name}" for name in ("peak_frame", "peak_s", "x1", "y1", "x2", "y2")))
"""Cubes say whether the picture's edge cuts their box, and events are shown by a frame that is as unusual as they."""

SMALL = (
    "--model.flow-root=4",
    "--model.slots=8",
    *("--model.cvae-widths", "8", "16", "16", "16"),
    "--training.batch=32",
    "--training.flow.epochs=1",
    "--training.frame.epochs=1",
    "--threads=1",
)
"""A network of full structure that trains in seconds."""

AS_BEFORE = {
    "extract_stc": (
        *("--preset", "compact_eq9", "--working.longest", "960"),
        *("--flow.region", "frame", "--flow.preset", "fast", "--flow.scale", "2"),
    ),
    "train": ("--preset", "compact_eq9"),
}
"""Options of today's jobs that name what the old commit's defaults were."""

RENDER = """
import shutil, sys
from pathlib import Path
import av
from PIL import Image
from hf2vad.demo.archive import generate
from tests import unwell
out = Path(sys.argv[1])
made = generate(out / "demo", train_clips=2, test_clips=3, frames=60)
made.train.rename(out / "train")
runner, cyclist, cart = sorted(made.test.glob("*.mp4"))
night = out / "night"
names = {runner: "gate/2026-11-23/runner.mp4", cyclist: "gate/2026-11-24/cyclist.mp4", cart: "Hof 2~ü/2026-11-23/#.mp4"}
for clip, name in names.items():
    (night / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(clip, night / name)
(night / "yard" / "2026-11-24" / "pictures").mkdir(parents=True)
unwell.write(night / "yard" / "2026-11-24" / "frozen.mp4", unwell.frozen(40, 110)[:140])
unwell.write(night / "yard" / "2026-11-24" / "short.mp4", unwell.normal()[:3])
(night / "gate" / "2026-11-24" / "torn.mp4").write_bytes(b"no video")
for number, image in enumerate(unwell.normal()[:40]):
    Image.fromarray(image[..., ::-1]).save(night / "yard" / "2026-11-24" / "pictures" / f"{number}.png")
(night / "yard" / "2026-11-24" / "pictures" / "20.png").write_bytes(b"torn")
"""
"""Makes `train` and `night`, by the old code."""

LOCAL = ("--ray.address", "{ray}")
SCORE = ("--archive", "{archive}/night", "--bundle", "{old}/bundle", "--out", "{out}", "--shard-frames", "30")
EAGER = ("--engine", "eager", "--device", "cpu", *LOCAL)
UNHEALTHY = ("--leave-out-unhealthy", "--motion.min-area", "4")
BY_DAY = ("--archive", "north={archive}/night", "--pattern", "{{camera}}/{{date}}/*", "--order", "newest")
SITE = ("--scores", "{old}/events", "--archive", "{archive}/night", "--bundle", "{old}/bundle", "--out", "{out}")


@dataclass(frozen=True)
class Step:
    """One job, run by both commits."""

    job: str
    """Its file in jobs/, without the ending."""
    arguments: tuple[str, ...]
    """In them {archive}, {old} and {out} are folders: of the archive, of the old commit's outputs, of the own ones; and
    {ray} is where the calls are made."""
    exit_code: int = 0
    compared: tuple[str, ...] = ()
    """Patterns of the files in the step's folder that are compared; empty: all of them."""
    begins_with: str = ""
    """A step whose outputs it starts from."""
    unfinished: bool = False
    """Whether no frame table can be put, so that videos keep their shards."""


STEPS = {
    "extract": Step("extract_stc", ("--archive", "{archive}/train", "--out", "{out}", "--shard-frames", "25", *LOCAL)),
    "extract_healthy": Step(
        "extract_stc",
        ("--archive", "{archive}/night", "--out", "{out}", "--shard-frames", "40", *UNHEALTHY, *LOCAL),
        exit_code=3,
    ),
    "bundle": Step(
        "train", ("--stc", "{old}/extract", "--out", "{out}", *SMALL), compared=("bundle.json", "weights.safetensors")
    ),
    "score": Step("score_archive", (*SCORE, *EAGER), exit_code=3),
    "shards": Step("score_archive", (*SCORE, *EAGER, "--ray.retries", "0"), exit_code=3, unfinished=True),
    "events": Step(
        "score_archive",
        (*SCORE, *EAGER, "--events.threshold", "0.5", "--events.low", "0"),
        exit_code=3,
        begins_with="score",
    ),
    "nights": Step("backfill", (*SCORE, *BY_DAY, *EAGER, "--min-age-minutes", "0"), exit_code=3),
    "site": Step("report", (*SITE, *LOCAL), compared=("data/**/*", "events/**/*", "media/**/*")),
}


@dataclass(frozen=True)
class Side:
    """One of the two commits."""

    name: str
    checkout: Path
    work: Path
    ray: str = "local"

    @property
    def outputs(self) -> Path:
        return self.work / self.name

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """A command by this commit's code: the process, and the workers that it starts, import it from there."""
        threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.checkout)}
        return subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=self.checkout,
            env={**os.environ, **threads},
            capture_output=True,
            text=True,
        )

    def take(self, name: str, step: Step) -> None:
        """Take a step, unless the outputs of this very commit are there. Ends the process where a job fails."""
        out = self.outputs / name
        done = self.outputs / f"{name}.done"
        if self.name == "old" and done.exists() and done.read_text() == self.commit:
            return
        for before in (out, done):
            shutil.rmtree(before) if before.is_dir() else before.unlink(missing_ok=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        if step.begins_with:
            shutil.copytree(self.outputs / step.begins_with, out)
        if step.unfinished:
            self._keep_unfinished(out)
        values = {"archive": self.work / "archive", "old": self.work / "old", "out": out, "ray": self.ray}
        arguments = [argument.format(**values) for argument in step.arguments]
        before = () if self.name == "old" else AS_BEFORE.get(step.job, ())
        ended = self.run(self.checkout / "jobs" / f"{step.job}.py", *arguments, *before)
        if ended.returncode != step.exit_code:
            sys.stderr.write(ended.stdout[-3000:] + ended.stderr[-6000:])
            print(f"{self.name}: {name} exited with {ended.returncode}, not {step.exit_code}", file=sys.stderr)
            raise SystemExit(2)
        done.write_text(self.commit)

    @property
    def commit(self) -> str:
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=self.checkout, capture_output=True, text=True)
        return asked.stdout.strip()

    def _keep_unfinished(self, out: Path) -> None:
        """A file stands where the folder of frame tables is to be."""
        bundle = json.loads((self.work / "old" / "bundle" / "bundle.json").read_text())["id"]
        (out / f"bundle={bundle}").mkdir(parents=True)
        (out / f"bundle={bundle}" / "frames").touch()


def files(folder: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """What is compared below `folder`, by path."""
    paths = sorted(path for pattern in patterns or ("**/*",) for path in folder.glob(pattern) if path.is_file())
    named = {str(path.relative_to(folder)): path for path in paths}
    return {
        name: path for name, path in named.items() if not {"runs", "lease", "archives.json"} & set(Path(name).parts)
    }


@dataclass(frozen=True)
class Stated:
    """What may differ in Parquet files, because a commit between the two says that it changes it."""

    keys: frozenset[str]
    """Metadata."""
    columns: frozenset[str]
    """Columns that may be null after where they were not before: what has no weight is not measured. Any column may be
    new and null."""
    changed: frozenset[str]
    """Columns that may be others: their names, or `events:x1` for those of tables below a folder of that name."""


def differences(step: Step, old: Path, new: Path, stated: Stated) -> Iterator[str]:
    """One line for each file that is not the same in both folders."""
    ours, theirs = files(new, step.compared), files(old, step.compared)
    if not theirs:
        yield f"{old}: nothing to compare"
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            yield f"{name}: only {'before' if name in theirs else 'after'}"
        elif (said := difference(theirs[name], ours[name], stated)) is not None:
            yield f"{name}: {said}"


def difference(old: Path, new: Path, stated: Stated) -> str | None:
    """How two files differ; None where they do not, or only in what is stated."""
    if old.read_bytes() == new.read_bytes():
        return None
    if old.name == "bundle.json":
        ids = [json.loads(path.read_text())["id"] for path in (old, new)]
        return None if ids[0] == ids[1] else f"bundle {ids[0]} became {ids[1]}"
    if old.suffix != ".parquet":
        return f"{old.stat().st_size} bytes became {new.stat().st_size} others"
    before, after = pq.read_table(old), pq.read_table(new)
    names = dict.fromkeys(before.column_names + after.column_names)
    columns = {name for name in names if not same_column(before, after, name)}
    null = {name for name in columns if name in after.column_names and after[name].null_count == len(after)}
    unmeasured = {name for name in null if name in stated.columns or name not in before.column_names}
    changed = {name for name in columns if stated.changed & {name, *(f"{folder}:{name}" for folder in old.parts)}}
    if unstated := columns - unmeasured - changed:
        return f"{len(before)} rows became {len(after)} others, in {', '.join(sorted(unstated))}"
    values = [table.schema.metadata or {} for table in (before, after)]
    keys = {key.decode() for key in values[0].keys() | values[1].keys() if values[0].get(key) != values[1].get(key)}
    if keys - {f"hf2vad.{key}" for key in stated.keys}:
        return f"the same rows, but metadata differ: {', '.join(sorted(keys))}"
    return None if keys or columns else "the same rows and metadata in other bytes"


def same_column(before: pa.Table, after: pa.Table, name: str) -> bool:
    there = name in before.column_names and name in after.column_names
    return there and before.schema.field(name) == after.schema.field(name) and before[name].equals(after[name])


def compare(sides: tuple[Side, Side], steps: Sequence[str], stated: Stated) -> int:
    """Take `steps` with both commits and print how what they left differs; returns how many files do."""
    work = sides[0].work
    if not (work / "archive" / "night").exists():
        rendered = sides[0].run("-c", RENDER, work / "archive")
        if rendered.returncode:
            print(f"the archive cannot be rendered: {rendered.stderr[-3000:]}", file=sys.stderr)
            raise SystemExit(2)
    count = 0
    for name in steps:
        for side in sides:
            side.take(name, STEPS[name])
        folders = [side.outputs / name for side in sides]
        found = list(differences(STEPS[name], *folders, stated))
        print(f"{name}: {len(files(folders[1], STEPS[name].compared))} files, {len(found)} differ", flush=True)
        for line in found:
            print(f"  {line}", flush=True)
        count += len(found)
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="a checkout of the commit to compare with")
    parser.add_argument("--work", type=Path, help="folder for archive and outputs, by default a temporary one")
    parser.add_argument("--steps", nargs="+", choices=tuple(STEPS), default=tuple(STEPS))
    parser.add_argument("--ray", default="local", help="where the new commit works: none is quicker than local")
    parser.add_argument("--may-differ", nargs="*", default=["fps"], metavar="KEY", help="metadata of Parquet files")
    parser.add_argument("--may-be-null", nargs="*", default=["s_motion"], metavar="COLUMN", help="columns, now null")
    parser.add_argument("--may-change", nargs="*", default=CHANGED, metavar="COLUMN", help="as events:x1 or at_edge")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="same-bytes-") as temporary:
        work = options.work.resolve() if options.work else Path(temporary)
        sides = Side("old", options.old.resolve(), work), Side("new", ROOT, work, options.ray)
        stated = Stated(*map(frozenset, (options.may_differ, options.may_be_null, options.may_change)))
        return 1 if compare(sides, options.steps, stated) else 0


if __name__ == "__main__":
    sys.exit(main())
