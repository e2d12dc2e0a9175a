from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator

import pytest

from hf2vad.profile import OTHER, SHARDS_KEPT, Profile, Report, recording, span, spans
from hf2vad.threads import prefetch


def seconds(report: Report) -> dict[tuple[str, str], float]:
    return {name: value for name, (value, _) in report.stages.items()}


def test_a_stage_has_its_own_seconds_without_those_of_spans_inside_it() -> None:
    with recording("main", label="work", keep=10) as recorded, span("outer"):
        time.sleep(0.02)
        with span("inner"):
            time.sleep(0.03)
    report = recorded.report()
    whole = {item.stage: item.seconds for item in report.spans}
    assert report.stages["main", "outer"][1] == report.stages["main", "inner"][1] == 1
    assert seconds(report)["main", "inner"] >= 0.03
    assert seconds(report)["main", "outer"] >= 0.02
    assert seconds(report)["main", "outer"] == pytest.approx(whole["outer"] - whole["inner"], rel=1e-9)


def test_the_seconds_of_a_thread_add_up_to_those_of_the_whole() -> None:
    with recording("main", label="work", keep=100) as recorded:
        for _ in range(5):
            with span("a"), span("b"):
                time.sleep(0.001)
    report = recorded.report()
    (whole,) = [item for item in report.spans if item.stage == OTHER]
    assert sum(seconds(report).values()) == pytest.approx(whole.seconds, rel=1e-9)


def test_threads_of_a_pipeline_have_lanes_of_their_own() -> None:
    def made() -> Iterator[int]:
        for i in range(6):
            with span("make"):
                time.sleep(0.002)
            yield i

    def doubled() -> Iterator[int]:
        for i in prefetch(made(), depth=2, name="first"):
            with span("double"):
                yielded = 2 * i
            yield yielded

    with recording("main", label="work") as recorded:
        assert list(prefetch(doubled(), depth=2, name="second")) == [0, 2, 4, 6, 8, 10]
    stages = recorded.report().stages
    assert stages["first", "make"][1] == stages["second", "double"][1] == 6
    assert ("second", "waiting") in stages
    assert ("main", "waiting") in stages


def test_what_a_failed_block_took_counts() -> None:
    with recording("main", label="work") as recorded:
        with pytest.raises(ValueError, match="broken"), span("a"):
            raise ValueError("broken")
        with span("b"):
            pass
    report = recorded.report()
    assert {name for _, name in report.stages} == {"a", "b", OTHER}
    assert report.spans == []


def test_spans_of_items_count_making_them_and_not_using_them() -> None:
    with recording("main", label="work") as recorded:
        for _ in spans("make", range(3)):
            time.sleep(0.1)
    report = recorded.report()
    assert report.stages["main", "make"][1] == 4, "the end of the items is looked for as well"
    assert seconds(report)["main", "make"] < 0.1 < seconds(report)["main", OTHER]


def test_nothing_is_recorded_outside_a_recording() -> None:
    with span("a"):
        pass
    with recording("main", label="work") as recorded:
        pass
    with span("a"):
        pass
    assert list(recorded.report().stages) == [("main", OTHER)]


def test_recordings_of_two_threads_do_not_mix() -> None:
    reports: dict[str, Report] = {}
    together = threading.Barrier(2)

    def work(name: str) -> None:
        with recording("main", label=name) as recorded:
            for _ in range(20):
                together.wait()
                with span(name):
                    pass
        reports[name] = recorded.report()

    workers = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for name, report in reports.items():
        assert {stage: count for (_, stage), (_, count) in report.stages.items()} == {name: 20, OTHER: 1}


def test_a_trace_is_bounded_and_the_seconds_are_of_all() -> None:
    profile = Profile()
    for _ in range(SHARDS_KEPT + 10):
        with recording("main", label="work", keep=5) as recorded:
            for _ in range(50):
                with span("a"):
                    pass
        profile.add(recorded.report())
    assert [row["spans"] for row in profile.rows() if row["stage"] == "a"] == [50 * (SHARDS_KEPT + 10)]
    events = json.loads(gzip.decompress(profile.trace()))["traceEvents"]
    assert len([event for event in events if event["cat" if event["ph"] == "X" else "ph"] == "a"]) == 5 * SHARDS_KEPT
    assert len([event for event in events if event["name"] == "work"]) == SHARDS_KEPT
