"""--profile: the trace of a real run, and the table of where its time went."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hf2vad.video.shards import SAMPLES
from tests.site import Site, last_run, run_job

pytestmark = pytest.mark.usefixtures("ray_cluster")

LANES = {
    "score_archive": {"decode", "boxes", "flow", "cubes", "network"},
    "extract_stc": {"decode", "boxes", "flow", "cubes", "write"},
}

ROUNDING = 0.15
"""Microseconds: times in a trace are rounded to 0.1."""


@dataclass(frozen=True)
class Profiled:
    """A run with --profile."""

    job: str
    record: dict[str, Any]
    printed: str
    events: list[dict[str, Any]]

    def spans(self) -> dict[tuple[int, int], list[dict[str, Any]]]:
        """The spans of each process and thread, in order of their start; of two that start together, the longer."""
        found = defaultdict(list)
        for event in self.events:
            if event["ph"] == "X":
                found[event["pid"], event["tid"]].append(event)
        return {row: sorted(spans, key=lambda span: (span["ts"], -span["dur"])) for row, spans in found.items()}

    def names(self, what: str) -> dict[tuple[int, int], str]:
        return {(e["pid"], e["tid"]): e["args"]["name"] for e in self.events if e["ph"] == "M" and e["name"] == what}


@pytest.fixture(scope="module", params=sorted(LANES))
def profiled(request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Profiled:
    out = tmp_path_factory.mktemp("profiled")
    bundle = ("--bundle", site.network, "--batch", 8) if request.param == "score_archive" else ()
    arguments = ("--archive", site.test, *bundle, "--out", out, "--shard-frames", 25)
    done = run_job(request.param, *arguments, "--profile")
    record = last_run(out)
    trace = json.loads(gzip.decompress(Path(record["trace"]).read_bytes()))
    assert Path(record["trace"]).parent == out / "runs"
    return Profiled(request.param, record, done.stdout, trace["traceEvents"])


def test_a_process_row_is_a_worker_and_a_thread_row_a_stage_of_the_pipeline(profiled: Profiled) -> None:
    workers, threads = profiled.names("process_name"), profiled.names("thread_name")
    assert 1 <= len(workers) <= profiled.record["workers"] + 1
    assert all(name.startswith("worker ") for name in workers.values())
    for process, _ in workers:
        assert {name for row, name in threads.items() if row[0] == process} == LANES[profiled.job]
    assert set(profiled.spans()) == set(threads)


def test_spans_of_a_thread_nest(profiled: Profiled) -> None:
    for spans in profiled.spans().values():
        open_until: list[float] = []
        for event in spans:
            assert event["dur"] >= 0
            start, end = event["ts"], event["ts"] + event["dur"]
            while open_until and open_until[-1] <= start + ROUNDING:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 2 * ROUNDING
            open_until.append(end)


def test_every_shard_is_there_once_with_its_video_and_range(profiled: Profiled) -> None:
    whole = [event["name"] for event in profiled.events if event.get("cat") == "other"]
    assert len(whole) == len(set(whole)) == profiled.record["shards"] == 9
    assert "02_cyclist.mp4 25-50" in whole


def test_the_table_is_the_sum_of_the_spans(profiled: Profiled) -> None:
    threads = profiled.names("thread_name")
    own: dict[tuple[str, str], float] = defaultdict(float)
    count: dict[tuple[str, str], int] = defaultdict(int)
    for row, spans in profiled.spans().items():
        outer: list[dict[str, Any]] = []
        for event in spans:
            while outer and outer[-1]["ts"] + outer[-1]["dur"] <= event["ts"] + ROUNDING:
                outer.pop()
            if outer:
                own[threads[row], outer[-1]["cat"]] -= event["dur"]
            own[threads[row], event["cat"]] += event["dur"]
            count[threads[row], event["cat"]] += 1
            outer.append(event)
    table = {(row["thread"], row["stage"]): row for row in profiled.record["stages"]}
    assert {name: row["spans"] for name, row in table.items()} == count
    for name, row in table.items():
        assert row["seconds"] == pytest.approx(own[name] / 1e6, abs=0.001 + 1e-6 * row["spans"])


def test_a_stage_has_a_span_each_time_it_is_done(profiled: Profiled) -> None:
    spans = {(row["thread"], row["stage"]): row["spans"] for row in profiled.record["stages"]}
    # Where flow is computed depends on the boxes of three frames more on each side of a shard.
    looked = [len(range(max(4, start - 3), min(60, stop + 3))) for start, stop in ((0, 25), (25, 50), (50, 60))]
    assert spans["boxes", "boxes"] == 3 * sum(looked)
    assert 0 < spans["cubes", "cut"] == spans["flow", "flow"] <= spans["boxes", "boxes"], "of frames that have boxes"
    decoded = 3 * (29 + (4 + 25 + 4) + (4 + 10))
    of_backgrounds = SAMPLES * spans["decode", "background"]
    assert spans["decode", "convert"] == 2 * decoded + of_backgrounds, "once by the decoder, once for motion and flow"
    own = "network" if profiled.job == "score_archive" else "write"
    assert spans[own, "other"] == profiled.record["shards"]


def test_the_summary_says_where_time_went(profiled: Profiled) -> None:
    assert "where the workers' time went" in profiled.printed
    for stage in ("decode", "convert", "flow", "boxes", "cut", "waiting"):
        assert stage in profiled.printed


def test_without_the_option_seconds_are_counted_and_no_trace_is_written(site: Site, tmp_path: Path) -> None:
    done = run_job("score_archive", "--archive", site.test, "--bundle", site.network, "--out", tmp_path)
    record = last_run(tmp_path)
    assert "trace" not in record
    assert not list(tmp_path.rglob("*.trace.json.gz"))
    assert "where the workers' time went" not in done.stdout
    assert {row["stage"] for row in record["stages"]} >= {"decode", "flow", "boxes", "cut", "network", "rows", "write"}
