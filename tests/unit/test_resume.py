"""Promise 2, held to at every single step: the process is stopped before each write and each removal in turn.

The jobs run in this process, without Ray; test_walk.py kills real workers and drivers.
"""

from __future__ import annotations

import gc
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hf2vad.archive.catalog import catalogue
from hf2vad.bundle.bundle import save_bundle
from hf2vad.cluster.dispatch import Call
from hf2vad.cluster.inline import InlineCluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.cubes.settings import ExtractionConfig, MotionConfig
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.runs.scoring import scoring_task
from hf2vad.scoring.settings import EventConfig
from hf2vad.storage import local
from hf2vad.training.data import StcTable
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests import unwell
from tests.bundles import make_bundle
from tests.clips import Clip, write_clip
from tests.stc import SMALL_MODEL

MOTION = MotionConfig(min_area=16)
HERE = RayConfig(address="none")


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Stops the process before the write or removal number `at`; none: never."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: int | None = None
        self.steps = 0
        self.calls: list[str] = []
        """Names of the functions that the last run had called."""
        submit = InlineCluster.submit

        def noting(cluster: InlineCluster, call: Call) -> None:
            self.calls.append(call.function.__name__)
            submit(cluster, call)

        monkeypatch.setattr(InlineCluster, "submit", noting)
        for name in ("publish", "delete"):
            monkeypatch.setattr(local, name, self._burning(getattr(local, name)))

    def _burning(self, step: Callable[..., None]) -> Callable[..., None]:
        def burning(*args: Any) -> None:
            self.steps += 1
            if self.steps == self.at:
                raise Killed
            step(*args)

        return burning

    def run(self, job: Callable[[], int], *, at: int | None = None) -> bool:
        """Whether the job came to its end."""
        self.at, self.steps, self.calls = at, 0, []
        try:
            job()
        except Killed:
            return False
        return True


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Fuse:
    return Fuse(monkeypatch)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 24 frames, and a bundle that nobody has trained."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "archive").mkdir()
    write_clip(folder / "archive" / "clip.mp4", Clip(frames=24))
    torch.manual_seed(0)
    bundle = make_bundle(HF2VAD(SMALL_MODEL).state_dict(), extraction=ExtractionConfig(motion=MOTION))
    save_bundle(str(folder / "bundle"), bundle)
    return folder


def extraction(site: Path, out: Path, shard_frames: int) -> Callable[[], int]:
    job = ExtractJob(archive=str(site / "archive"), out=str(out), shard_frames=shard_frames, motion=MOTION, ray=HERE)
    return lambda: extract_job(job)


def scoring(site: Path, out: Path, smoothing: int) -> Callable[[], int]:
    job = ScoreJob.base({"bundle": str(site / "bundle")})
    job = replace(job, archive=str(site / "archive"), bundle=str(site / "bundle"), out=str(out), device="cpu")
    job = replace(job, shard_frames=12, batch=16, smoothing=smoothing, engine="eager", ray=HERE)
    return lambda: score_job(job)


def events(site: Path, out: Path, threshold: float) -> Callable[[], int]:
    job = ScoreJob.base({"bundle": str(site / "bundle")})
    job = replace(job, archive=str(site / "archive"), bundle=str(site / "bundle"), out=str(out), device="cpu")
    found = EventConfig(threshold=threshold, low=-100.0, min_length=1)
    job = replace(job, shard_frames=12, batch=16, smoothing=5, engine="eager", events=found, ray=HERE)
    return lambda: score_job(job)


def content(out: Path, *without: str) -> dict[str, bytes]:
    """All files that a run left but for its record."""
    files = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    return {name: data for name, data in files.items() if not {"runs", *without} & set(Path(name).parts)}


JOBS = [pytest.param(extraction, (12, 9), id="extraction"), pytest.param(scoring, (5, 3), id="scoring")]
EVENTS = pytest.param(events, (-50.0, 1e6), id="events")


@pytest.mark.slow
@pytest.mark.parametrize(("make", "settings"), JOBS)
def test_a_run_stopped_at_any_step_is_finished_by_the_next_with_the_same_files(
    make: Callable[..., Callable[[], int]], settings: tuple[int, int], site: Path, fuse: Fuse, tmp_path: Path
) -> None:
    assert fuse.run(make(site, tmp_path / "whole", settings[0]))
    whole, steps = content(tmp_path / "whole"), fuse.steps
    assert len(whole) >= 4
    assert any(name.split("/")[-2] == "done" or "/archive/clip.mp4." in name for name in whole)
    for at in range(1, steps):
        out = tmp_path / str(at)
        assert not fuse.run(make(site, out, settings[0]), at=at)
        left = len([name for name in content(out, "looks") if "00000000-" in name or "00000012-" in name])
        assert fuse.run(make(site, out, settings[0]))
        assert content(out) == whole
        worked = fuse.calls.count("run_shard")
        assert worked == 0 or left + worked == 2
        assert fuse.run(make(site, out, settings[0]))
        assert fuse.calls == []


@pytest.mark.slow
@pytest.mark.parametrize(("make", "settings"), [*JOBS, EVENTS])
def test_other_settings_stopped_at_any_step_leave_nothing_that_either_takes_for_its_own(
    make: Callable[..., Callable[[], int]], settings: tuple[int, int], site: Path, fuse: Fuse, tmp_path: Path
) -> None:
    """A finished run, one of other settings that is stopped, and then either of the two to its end."""
    finals = []
    for setting in settings:
        assert fuse.run(make(site, tmp_path / f"whole{setting}", setting))
        finals.append(content(tmp_path / f"whole{setting}", "shards", "looks"))
    assert finals[0] != finals[1]
    shutil.copytree(tmp_path / f"whole{settings[0]}", tmp_path / "there")
    assert fuse.run(make(site, tmp_path / "there", settings[1]))
    steps = fuse.steps
    assert content(tmp_path / "there", "shards", "looks") == finals[1]
    for at in range(1, steps):
        for last in (0, 1):
            out = tmp_path / f"{at}-{last}"
            shutil.copytree(tmp_path / f"whole{settings[0]}", out)
            assert not fuse.run(make(site, out, settings[1]), at=at)
            assert fuse.run(make(site, out, settings[last]))
            assert content(out, "shards", "looks") == finals[last]


def test_what_is_finished_is_known_without_reading_it(site: Path, fuse: Fuse, tmp_path: Path) -> None:
    job = scoring(site, tmp_path, 5)
    assert fuse.run(job)
    for path in tmp_path.rglob("*.parquet"):
        path.write_bytes(b"nobody reads this")
    assert fuse.run(job)
    assert fuse.calls == []


def test_other_events_are_found_in_the_scores_there(site: Path, fuse: Fuse, tmp_path: Path) -> None:
    assert fuse.run(events(site, tmp_path, -50.0))
    assert "run_shard" in fuse.calls
    assert fuse.run(events(site, tmp_path, 1e6))
    assert fuse.calls == ["open_video"]
    assert fuse.run(events(site, tmp_path, 1e6))
    assert fuse.calls == []


def test_outputs_without_a_mark_are_marked_and_not_made_again(site: Path, fuse: Fuse, tmp_path: Path) -> None:
    for make, setting in ((extraction, 12), (scoring, 5)):
        job = make(site, tmp_path / str(setting), setting)
        assert fuse.run(job)
        before = content(tmp_path / str(setting))
        shutil.rmtree(next((tmp_path / str(setting)).rglob("done")))
        assert fuse.run(job)
        assert fuse.calls == ["open_video"]
        assert content(tmp_path / str(setting)) == before


@pytest.mark.slow
def test_cubes_of_unhealthy_footage_are_left_out_whatever_the_shards_and_wherever_it_was_stopped(
    tmp_path: Path, fuse: Fuse
) -> None:
    """A picture that freezes from frame 40 to 110; the rows around it are those of a table with everything."""
    archive = tmp_path / "archive"
    archive.mkdir()
    unwell.write(archive / "frozen.mp4", unwell.frozen(40, 110)[:140])

    def run(name: str, frames: int = 60, *, leave_out: bool = True, at: int | None = None) -> Path:
        job = ExtractJob(archive=str(archive), out=str(tmp_path / name), shard_frames=frames, dataset="d")
        job = replace(job, leave_out_unhealthy=leave_out, motion=MotionConfig(min_area=4), ray=HERE)
        fuse.run(lambda: extract_job(job), at=at)
        return tmp_path / name

    def cubes(out: Path) -> pa.Table:
        return pa.concat_tables(
            [pq.read_table(file.uri) for file in StcTable(str(out)).files]
        ).replace_schema_metadata()

    everything, whole = run("everything", leave_out=False), run("whole")
    (health,) = pq.read_table(whole / "health" / "d" / "frozen.mp4.parquet").to_pylist()
    assert (health["kind"], health["start_frame"]) == ("frozen", 40)
    away = range(health["start_frame"] - 1, health["stop_frame"] + 4)
    frames = cubes(everything)["frame"].to_numpy()
    inside = np.isin(frames, away)
    assert inside.any(), "nothing there to be left out"
    assert cubes(whole).equals(cubes(everything).filter(pa.array(~inside)))
    assert StcTable(str(whole)).fingerprint != StcTable(str(everything)).fingerprint
    assert not list((whole / "looks").rglob("*.parquet"))
    steps = 1
    while True:
        stopped = run("stopped", 35, at=steps)
        if fuse.steps < steps:
            break
        steps += 1
    assert steps > 5
    assert cubes(stopped).equals(cubes(whole))
    assert not list((stopped / "looks").rglob("*.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize(("make", "settings"), JOBS)
def test_the_garbage_of_a_shard_is_collected_when_it_is_done(
    make: Callable[..., Callable[[], int]], settings: tuple[int, int], site: Path, fuse: Fuse, tmp_path: Path
) -> None:
    """Whatever Python's own collector does: a closed container and its decoder may hold each other, some MB a shard."""
    whole: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        whole.extend([info["generation"]] if phase == "start" else [])

    gc.disable()
    gc.callbacks.append(note)
    try:
        assert fuse.run(make(site, tmp_path, settings[0]))
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert whole.count(2) >= 24 // 12, "two shards"


def test_a_call_of_scoring_carries_nothing_of_what_a_worker_reads_from_the_bundle(site: Path, tmp_path: Path) -> None:
    """Every shard of an archive is a call: 2.2 MiB of cubes that no worker read went with each."""
    job = ScoreJob.base({"bundle": str(site / "bundle")})
    job = replace(job, archive=str(site / "archive"), bundle=str(site / "bundle"), out=str(tmp_path))
    task, (video,) = scoring_task(job), catalogue(job.archive)
    timeline = probe(video)
    (shard,) = cut_shards(video, timeline, 200)
    calls = [(task, video), (task, shard), (task, video, timeline, [(0, 24)], [])]
    assert (site / "bundle" / "weights.safetensors").stat().st_size > 2**18
    assert max(len(pickle.dumps(arguments)) for arguments in calls) < 2**13
