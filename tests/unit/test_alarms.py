from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hf2vad.archive.pattern import PathPattern
from hf2vad.bundle.bundle import save_bundle
from hf2vad.bundle.settings import BundleSettings
from hf2vad.errors import ConfigError, EvaluationError, MismatchError, SchemaError
from hf2vad.evaluation.alarms import (
    COUNTED,
    AlarmTarget,
    ScoredFootage,
    alarm_levels,
    count_events,
    level,
    scored_footage,
)
from hf2vad.jobs.alarms import AlarmJob, alarm_job
from hf2vad.presets import preset
from hf2vad.scoring.alarms import read_alarms
from hf2vad.scoring.events import high_runs
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from tests.bundles import make_bundle
from tests.scores import CALIBRATION, put_scores

RULE = EventConfig(min_length=1, merge_gap=0)


@pytest.fixture
def bundle(tmp_path: Path) -> BundleSettings:
    chosen = preset("compact_eq9")
    wanted = {"extraction": chosen.extraction, "model": chosen.model, "fusion": chosen.fusion}
    bundle = make_bundle({}, **wanted, smoothing=SmoothingRule(17), calibration=CALIBRATION)
    return save_bundle(str(tmp_path / "bundle"), bundle).settings


def target(per_hour: float, *, events: EventConfig = RULE, resamples: int = 200) -> AlarmTarget:
    return AlarmTarget(per_hour, events, resamples)


def video(peaks: list[float], hours: float, *, low: float = 2.0) -> ScoredFootage:
    """Footage whose events are single frames with these scores, apart from each other."""
    scores = np.zeros(3 * len(peaks) + 1)
    scores[1::3] = peaks
    return ScoredFootage(hours, high_runs(scores, low), low, RULE)


def pareto(count: int, seed: int, shape: float = 0.1) -> list[float]:
    found: list[float] = (2 + stats.genpareto.rvs(shape, size=count, random_state=seed)).tolist()
    return found


def test_a_counted_threshold_gives_the_wanted_number_of_events() -> None:
    videos = [video(pareto(200, 1), 10.0), video(pareto(150, 2), 10.0)]
    found = level(videos, target(2.0))
    assert (found.method, found.supported, found.events) == ("counted", True, 40)
    assert count_events(videos, found.threshold) == 40
    assert found.rate[0] < 2.0 < found.rate[1]


def test_events_that_merge_are_counted_as_scoring_makes_them() -> None:
    scores = np.zeros(4000)
    scores[10::20] = np.linspace(3, 9, 200)  # one alarm every 20 frames: with the gap bridged they are one
    rules = RULE, EventConfig(min_length=1, merge_gap=25)
    apart, joined = (level([ScoredFootage(10.0, high_runs(scores, 2.0), 2.0, rule)], target(2.0)) for rule in rules)
    assert apart.events == 20
    assert joined.threshold == 2.0
    assert "events.low already" in joined.note


@pytest.mark.slow
def test_a_rare_rate_is_fitted_and_comes_close_to_the_truth() -> None:
    hours, per_hour, shape = 100.0, 0.03, 0.1
    truth = 2 + stats.genpareto.isf(per_hour * hours / 400, shape)
    found = [level([video(pareto(400, seed, shape), hours)], target(per_hour, resamples=50)) for seed in range(5)]
    assert all(each.method == "fitted" and each.supported for each in found)
    assert np.median([each.threshold for each in found]) == pytest.approx(truth, rel=0.15)
    assert all(each.interval and each.interval[0] < each.threshold < each.interval[1] for each in found)


def test_hours_that_cannot_support_the_rate_say_so() -> None:
    extrapolated = level([video(pareto(100, 1), 1.0)], target(0.01, resamples=0))
    assert (extrapolated.method, extrapolated.supported) == ("fitted", False)
    assert "not supported, extrapolated" in extrapolated.note
    assert f"{COUNTED / 0.01:,.0f}" in extrapolated.note
    few = level([video([3.0, 4.0], 1.0)], target(0.5))
    assert (few.method, few.supported, few.events) == ("beyond", False, 0)
    assert few.threshold > 4.0
    assert few.rate == (0.0, pytest.approx(3.69, abs=0.01))


def test_each_camera_has_its_own_threshold_where_its_hours_are_enough(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    for name, spread in (("calm/a", 1.0), ("busy/a", 3.0)):
        scores = 5 + np.abs(draw.normal(0, spread, 4000))
        put_scores(tmp_path, name, [[float(s)] for s in scores])
    put_scores(tmp_path, "new/a", [[5.0]] * 50)
    alarms, levels = alarm_levels(str(tmp_path), target(600.0, resamples=0), PathPattern("{camera}/*"))
    assert set(alarms.cameras) == {"calm", "busy"}
    assert alarms.cameras["calm"] < alarms.threshold < alarms.cameras["busy"]
    assert levels["busy"].events == int(600 * levels["busy"].hours)
    assert not levels["new"].supported
    out = str(tmp_path / "alarms.json")
    alarms.put(out)
    assert read_alarms(out) == replace(alarms, figures=json.loads(json.dumps(alarms.figures)))


@pytest.mark.parametrize(("rule", "expected"), [(None, 2), ((17, 10.0), 1)])
def test_lengths_of_events_are_those_that_scoring_counts(
    tmp_path: Path, rule: tuple[int, float] | None, expected: int
) -> None:
    scores = [[0.0] for _ in range(200)]
    for start in (20, 70):  # 1.8 s apart at 25 frames a second: 45 frames, or 18 of those that the rule counts
        scores[start : start + 5] = [[40.0]] * 5
    put_scores(tmp_path, "a", scores, rule=rule)
    events = EventConfig(min_length=2, merge_gap=25, low=1.0)
    _, levels = alarm_levels(str(tmp_path), target(1e6, events=events, resamples=0), PathPattern(""))
    assert levels[""].events == expected


def test_frames_whose_footage_is_unhealthy_are_no_hours(tmp_path: Path) -> None:
    pts_s, scores = np.arange(10) / 10, np.array([np.nan] * 4 + [1.0, 9, 9, 1, 1, 9])
    health = np.array([None] * 5 + ["frozen"] * 2 + [None] * 3, object)
    found = scored_footage(pts_s, scores, health, 2.0, RULE)
    assert found.hours == pytest.approx(0.4 / 3600)
    assert [(run.start, run.peak) for run in found.runs] == [(9, 9.0)]
    trusting = scored_footage(pts_s, scores, health, 2.0, EventConfig(on_unhealthy=True))
    assert trusting.hours == pytest.approx(0.6 / 3600)


def test_alarms_of_another_bundle_or_rule_are_refused(tmp_path: Path, bundle: BundleSettings) -> None:
    put_scores(tmp_path, "a", [[5.0 + i % 7] for i in range(300)], bundle=bundle.id, smoothing=17)
    alarms, _ = alarm_levels(str(tmp_path), target(1000, events=EventConfig(), resamples=0), PathPattern(""))
    fitted = alarms.applied_to(bundle, EventConfig(), SmoothingRule(17))
    assert fitted.calibration == replace(bundle.calibration, threshold=alarms.threshold)
    assert fitted.id == bundle.id
    with pytest.raises(MismatchError, match=r"events.merge_gap 25, not 9"):
        alarms.applied_to(bundle, EventConfig(merge_gap=9), SmoothingRule(17))
    with pytest.raises(MismatchError, match="smoothing '17 frames', not '1 frame';"):
        alarms.applied_to(bundle, EventConfig(), SmoothingRule(1))
    with pytest.raises(MismatchError, match="bundle"):
        replace(alarms, bundle="other").applied_to(bundle, EventConfig(), SmoothingRule(17))


def test_alarms_count_the_frames_of_smoothing_as_the_bundle_does(tmp_path: Path, bundle: BundleSettings) -> None:
    scores = [[5.0 + i % 7] for i in range(300)]
    put_scores(tmp_path, "slow", scores, bundle=bundle.id, smoothing=17, rule=(17, 10.0))
    put_scores(tmp_path, "fast", scores, bundle=bundle.id, smoothing=43, rule=(17, 10.0))
    alarms, _ = alarm_levels(str(tmp_path), target(1000, events=EventConfig(), resamples=0), PathPattern(""))
    assert alarms.smoothing == SmoothingRule(17, 10.0)
    alarms.put(str(tmp_path / "alarms.json"))
    fitted = read_alarms(str(tmp_path / "alarms.json")).applied_to(bundle, EventConfig(), SmoothingRule(17, 10.0))
    assert fitted.calibration.threshold == alarms.threshold
    with pytest.raises(MismatchError, match="smoothing '17 frames at 10 a second', not '17 frames';"):
        alarms.applied_to(bundle, EventConfig(), SmoothingRule(17))
    mirrored = SmoothingRule(17, 10.0, "mirrored")
    with pytest.raises(MismatchError, match=r"smoothing '17 frames at 10 a second', not '17 frames at .*, ends mirr"):
        alarms.applied_to(bundle, EventConfig(), mirrored)
    replace(alarms, smoothing=mirrored).put(str(tmp_path / "mirrored.json"))
    assert read_alarms(str(tmp_path / "mirrored.json")).smoothing == mirrored


@pytest.mark.parametrize("text", ["{}", "[]", '{"hf2vad.alarms": 1}', "no json", '{"hf2vad.alarms": 9}'])
def test_what_is_no_alarms_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "alarms.json"
    path.write_text(text)
    with pytest.raises(SchemaError, match=r"alarms\.json"):
        read_alarms(str(path))


def test_mistakes_in_the_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="per-hour"):
        AlarmJob(scores="", out="", per_hour=0)
    with pytest.raises(ConfigError, match=r"events\.threshold"):
        AlarmJob(scores="", out="", per_hour=1, events=EventConfig(threshold=3.0))
    put_scores(tmp_path, "a", [None] * 4)
    with pytest.raises(EvaluationError, match="no frame there has a score"):
        alarm_job(AlarmJob(scores=str(tmp_path), out=str(tmp_path / "alarms.json")))


def test_with_reviews_what_was_called_interesting_is_no_normal_footage(tmp_path: Path) -> None:
    scores = [[5.0]] * 40
    scores[10], scores[20], scores[30] = [20.0], [9.0], [8.0]
    put_scores(tmp_path / "scores", "gate/a.mp4", scores)
    put_marks_file(tmp_path / "marks.json", (10, "interesting"), (20, "normal"), (30, "reviewed"))
    job = AlarmJob(
        scores=str(tmp_path / "scores"), out=str(tmp_path / "a.json"), per_hour=3000, events=RULE, resamples=0
    )
    alarm_job(job)
    assert read_alarms(job.out).threshold == pytest.approx(15), "above all that was seen"
    alarm_job(replace(job, reviews=(str(tmp_path / "marks.json"),)))
    alarms = read_alarms(job.out)
    assert alarms.threshold == pytest.approx(4), "above the event called normal, the highest that is left"
    assert alarms.figures["reviews"] == {"interesting": 1, "normal": 1}
    assert alarms.figures["levels"][""]["hours"] == pytest.approx(39 / 25 / 3600)


def put_marks_file(path: Path, *marks: tuple[int, str]) -> None:
    """A file of marks on single frames of gate/a.mp4, as a page saves it."""
    common = {"video": "gate/a.mp4", "video_key": "0" * 16, "fingerprint": "", "start_s": 0, "end_s": 0}
    rows = [
        {"event": f"{frame:016x}", "start_frame": frame, "end_frame": frame, "verdict": verdict, **common}
        for frame, verdict in marks
    ]
    path.write_text(json.dumps({"hf2vad.marks": 1, "marks": rows}))
