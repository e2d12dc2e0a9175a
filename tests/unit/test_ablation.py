from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from hf2vad.ablation.nodes import Score, Train
from hf2vad.ablation.plan import Base, Plan, distinct, plan
from hf2vad.ablation.rows import HEAD, ROWS, Row, cells, records_table, select
from hf2vad.ablation.settings import Schedule
from hf2vad.cubes.settings import DetectorConfig
from hf2vad.errors import ConfigError
from hf2vad.models.settings import LossConfig
from hf2vad.presets import preset
from hf2vad.schema import ABLATION

COMPACT = preset("compact_eq9")
BASE = Base(
    train="/train",
    test="/test",
    boxes=("", ""),
    extraction=COMPACT.extraction,
    model=COMPACT.model,
    loss=LossConfig(),
    training=Schedule().of(COMPACT.training),
    fusion=COMPACT.fusion,
    calibration_cubes=2048,
)
EVERYTHING = replace(
    BASE,
    boxes=("/train.parquet", "/test.parquet"),
    extraction=replace(COMPACT.extraction, detector=DetectorConfig(model="/yolox.onnx", model_sha256="ab")),
)
BY_NAME = {row.name: row for row in ROWS}


def plans(base: Base = BASE, seeds: tuple[int, ...] = (0,)) -> list[Plan]:
    return [plan(row, seed, base) for row in ROWS for seed in seeds if not base.lacks(row, seeds=2)]


def names(group: str) -> list[str]:
    return [row.name for row in ROWS if row.group == group]


def test_names_are_unique_and_the_rows_of_a_group_stand_together() -> None:
    assert len(BY_NAME) == len(ROWS)
    groups = [group for group, _ in groupby(ROWS, key=lambda row: row.group)]
    assert len(groups) == len(set(groups))


def test_the_papers_table_2_is_there_with_its_figures() -> None:
    paper = {row.name: row.paper for row in ROWS if row.paper is not None}
    assert paper == {
        "flow-1": 96.27,
        "flow-2": 97.75,
        "flow-3": 98.81,
        "vae": 89.96,
        "cvae": 94.48,
        "hybrid-1": 96.91,
        "hybrid-2": 98.28,
        "hybrid-3": 99.31,
    }
    for name, row in ((name, plan(BY_NAME[name], 0, BASE)) for name in paper):
        networks = [node for node in row.nodes() if isinstance(node, Train)]
        kind, _, count = name.partition("-")
        conditions = {"vae": "none", "cvae": "observed", "hybrid": "reconstructed"}
        if kind in conditions:
            assert networks[-1].model.condition == conditions[kind]
            assert networks[-1].training.stages == ("frame",)
        if count:
            assert len(networks[0].model.memories) == int(count)
            assert networks[0].training.stages == ("flow",)
        assert set(row.scores) - {"speed"} == {"flow": {"flow"}, "hybrid": {"flow", "frame"}}.get(kind, {"frame"})


def test_no_skip_of_table_2_goes_around_all_memories() -> None:
    for name in ("flow-1", "flow-2", "flow-3", "hybrid-1", "hybrid-2", "hybrid-3"):
        model = plan(BY_NAME[name], 0, BASE).scores["flow"].after
        assert model is not None
        assert set(model.model.skips) == set(model.model.memories) - {"bottleneck"}


def test_our_own_questions_are_all_asked() -> None:
    assert names("joint stage") == ["joint-off", "joint-on"]
    kl = [plan(BY_NAME[name], 0, BASE).scores["frame"].after for name in names("KL weight")]
    assert [network and network.loss.kl_scale for network in kl] == ["published", "eq6"]
    gradient = [plan(BY_NAME[name], 0, BASE).scores["frame"].after for name in names("gradient loss")]
    assert [network and network.loss.gradient_form for network in gradient] == ["eq7", "published"]
    units = [plan(BY_NAME[name], 0, BASE).cut.extraction.flow.units for name in names("flow vectors")]
    assert units == ["source", "enlarged"]
    flows = [plan(BY_NAME[name], 0, BASE).cut.extraction.flow for name in names("DIS flow")]
    wanted = {("ultrafast", 2), ("fast", 1), ("fast", 2), ("fast_half", 1), ("medium", 1), ("medium", 2)}
    assert {(flow.preset, flow.scale) for flow in flows} == wanted
    kinds = [plan(BY_NAME[name], 0, EVERYTHING).cut.extraction.detector.kind for name in names("boxes")]
    assert kinds == ["motion", "onnx", "onnx+motion", "boxes"]
    assert [BY_NAME[name].fusion_form for name in names("fusion")] == ["weights", "zscores", "ranks"]
    smoothings = [BY_NAME[name].smoothing for name in names("smoothing")]
    found = [(smoothing.kind, smoothing.window) for smoothing in smoothings if smoothing]
    assert found[:4] == [("none", 1), ("median", 9), ("median", 17), ("median", 33)]
    assert [form for form, _ in found[4:]] == ["gaussian", "causal_median"]


def test_shared_work_is_one_unit() -> None:
    found = distinct(plans())
    assert len({node.cut for node in found}) == 7
    trained = Counter(node.training.stages[0] for node in found if isinstance(node, Train))
    scored = Counter(node.part for node in found if isinstance(node, Score))
    # flow: 1, 2, 3 memories, and 3 memories on each of six other flows; frame: VAE, CVAE, three hybrids, Eq. 6,
    # published gradients and enlarged flow; the joint network is scored on both parts. Additions: addressing by cosine
    # is a network of its own; median, smallest error and box heights are other scores of one that is there
    assert trained == {"flow": 3 + 6 + 1, "frame": 5 + 3, "joint": 1}
    assert scored == {"flow": 9 + 1 + 4, "frame": 8 + 1, "speed": 7 + 1, "motion": 4}


def test_another_seed_shares_the_cubes_alone() -> None:
    once, twice = distinct(plans()), distinct(plans(seeds=(0, 1)))
    assert {node.cut for node in once} == {node.cut for node in twice}
    assert len(twice) == 2 * len(once) - 12  # the yardsticks and densities of each extraction need no network


def test_fusion_and_smoothing_need_no_work_of_their_own() -> None:
    base = distinct([plan(BY_NAME["hybrid-3"], 0, BASE)])
    for row in ROWS:
        if row.group in ("fusion", "smoothing"):
            assert distinct([plan(row, 0, BASE)]) == base


def test_a_unit_comes_after_what_it_needs() -> None:
    found = distinct(plans(EVERYTHING))
    for number, node in enumerate(found):
        assert node.after is None or node.after in found[:number]


def test_a_longer_frame_stage_keeps_the_autoencoders() -> None:
    longer = replace(BASE, training=Schedule(frame_steps=500).of(COMPACT.training))
    kept = set(distinct(plans())) & set(distinct(plans(longer)))
    kinds = {node.part if isinstance(node, Score) else node.training.stages[0] for node in kept}
    assert kinds == {"flow", "speed", "motion"}


def test_the_schedule_is_what_is_trained() -> None:
    schedule = Schedule(flow_epochs=3, flow_steps=7, frame_epochs=2, frame_steps=5, joint_steps=4)
    base = replace(BASE, training=schedule.of(COMPACT.training))
    stages = {}
    for node in plan(BY_NAME["joint-on"], 4, base).nodes():
        if isinstance(node, Train):
            (stage,) = node.training.stages
            settings = getattr(node.training, stage)
            stages[stage] = (settings.epochs, settings.steps, settings.lr, node.training.seed)
    assert stages == {"flow": (3, 7, 1e-3, 4), "frame": (2, 5, 1e-3, 4), "joint": (1, 4, 1e-4, 4)}


def test_given_boxes_do_not_touch_rows_of_motion_boxes() -> None:
    assert plan(BY_NAME["boxes-motion"], 0, EVERYTHING).cut == plan(BY_NAME["boxes-motion"], 0, BASE).cut
    assert plan(BY_NAME["boxes-given"], 0, EVERYTHING).cut.boxes == ("/train.parquet", "/test.parquet")


def test_rows_that_need_what_was_not_given_say_so() -> None:
    lacking = {row.name: BASE.lacks(row, seeds=2) for row in ROWS if BASE.lacks(row, seeds=2)}
    assert lacking == {
        "boxes-detector": "needs --detector.model",
        "boxes-both": "needs --detector.model",
        "boxes-given": "needs --boxes-train and --boxes-test",
    }
    assert not any(EVERYTHING.lacks(row, seeds=2) for row in ROWS)
    assert [row.name for row in ROWS if EVERYTHING.lacks(row, seeds=1) == "needs several --seeds"] == ["seeds"]


def test_an_override_that_is_no_setting_names_the_row() -> None:
    row = Row(name="new", group="g", title="t", model={"slotz": 4})
    with pytest.raises(ConfigError, match=r"row new: unknown key slotz; did you mean slots\?"):
        plan(row, 0, BASE)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], list(BY_NAME)),
        (["vae"], ["vae"]),
        (["fusion-*", "cvae"], ["cvae", "fusion-weights", "fusion-zscores", "fusion-ranks"]),
        (["flow-1,flow-2"], ["flow-1", "flow-2"]),
    ],
)
def test_rows_are_chosen_by_name_or_pattern(patterns: list[str], expected: list[str]) -> None:
    assert [row.name for row in select(patterns)] == expected


def test_a_row_that_is_not_there_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no row 'hybrid_3'; did you mean hybrid-3\?"):
        select(["hybrid_3"])


@pytest.mark.parametrize("changes", [{"flow_epochs": 0}, {"frame_steps": -1}, {"calibration_cubes": 1}])
def test_a_schedule_that_is_none_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Schedule(**changes)


def record(row: str, seed: int, **figures: Any) -> dict[str, Any]:
    found = BY_NAME[row]
    known = {"row": row, "group": found.group, "title": found.title, "seed": seed, "part": found.part}
    known |= {"status": "done", "paper": found.paper, "smoothing": "median 17", "note": ""}
    known |= {"hardware": "one core", "date": "2026-01-01", "versions": "torch 2"}
    return {**dict.fromkeys(ABLATION.names), **known, **figures}


RECORDS = [
    record(
        "flow-3",
        0,
        flow=0.9,
        flow_raw=0.8,
        speed=0.95,
        speed_raw=0.9,
        auroc_low=0.8,
        auroc_high=0.98,
        flow_epochs=1,
        flow_steps=186,
    ),
    record(
        "flow-3",
        1,
        flow=0.92,
        flow_raw=0.84,
        speed=0.95,
        speed_raw=0.9,
        auroc_low=0.84,
        auroc_high=0.96,
        flow_epochs=1,
        flow_steps=186,
    ),
    record("vae", 0, frame=0.7, frame_raw=0.65, frame_steps=60),
    record("boxes-detector", 0, status="skipped", note="needs --detector.model"),
]


def test_the_result_table_has_its_schema_and_keeps_what_it_was_given() -> None:
    table = records_table(RECORDS)
    assert table.schema.equals(ABLATION)
    assert table.to_pylist() == RECORDS


def test_a_line_of_the_rendered_table_is_a_row_with_its_seeds_together() -> None:
    flow, vae, boxes = (dict(zip(HEAD, line, strict=True)) for line in cells(RECORDS))
    assert flow == {
        "": "paper, Table 2",
        "row": "flow only, 3 memories",
        "95 % over videos": "82.0 to 97.0",
        "fused": "–",
        "flow only": "91.0 ± 1.4 / 82.0 ± 2.8",
        "frame only": "–",
        "speed, no model": "95.0 ± 0.0 / 90.0 ± 0.0",
        "paper": "98.81",
        "steps": "186 flow",
        "note": "",
    }
    assert (vae[""], vae["frame only"], vae["steps"]) == ("", "70.0 / 65.0", "60 frame")
    assert (boxes[""], boxes["fused"], boxes["note"]) == ("boxes", "–", "needs --detector.model")
