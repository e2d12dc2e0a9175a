from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf2vad.errors import TrainingError
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.pseudo import FAMILIES, KINDS
from hf2vad.fitting.recipe import Recipe, Selection
from hf2vad.fitting.select import ERRORS, Selector, split_videos
from hf2vad.fitting.select_features import DENSITIES, FUSIONS, fitted_weights
from hf2vad.models.settings import LossConfig
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.training.data import StcTable
from hf2vad.training.settings import SelectionConfig, StageConfig, TrainingConfig
from hf2vad.training.stages import StageName
from tests.stc import SMALL_MODEL, put_clip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> StcTable:
    """Four videos of 20 frames with two cubes each."""
    folder = tmp_path_factory.mktemp("table")
    for number in range(4):
        put_clip(folder, f"{number}", (0, 30), dict.fromkeys(range(4, 24), 2), seed=number)
    return StcTable(str(folder))


def selector(table: StcTable, out: Path, config: SelectionConfig) -> Selector:
    stage = StageConfig(epochs=1, lr=1e-3)
    recipe = Recipe(
        model=SMALL_MODEL,
        init="",
        training=TrainingConfig(flow=stage, frame=stage, batch=16),
        loss=LossConfig(),
        fusion=FusionConfig(flow=1, frame=0.1),
        features={},
        smoothing=SmoothingRule(5),
        camera_pattern="",
        camera_cubes=1000,
        selection=config,
    )
    return Selector(table, recipe, config, torch.device("cpu"), lambda name: str(out / f"{name}.safetensors"))


WITHOUT_CLASSES = set(KINDS) - {"class"}
"""What pseudo-anomalies there are of motion boxes."""
CONFIG = SelectionConfig(slots=(4,), steps=3, cubes=80)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def selection(table: StcTable, checkpoints: Path) -> Selection:
    return selector(table, checkpoints, CONFIG).run()


def chosen(selection: Selection, step: str) -> str:
    """The candidate that was chosen in a step."""
    (row,) = [row for row in selection.figures if row["step"] == step and row["chosen"]]
    return str(row["candidate"])


@pytest.mark.slow
def test_every_candidate_has_a_row_of_figures(selection: Selection) -> None:
    steps = [row["step"] for row in selection.figures]
    assert steps.count("network") == 3 * len(ERRORS)  # as the preset has it, 4 slots, by cosine
    assert steps.count("density") == len(DENSITIES)
    assert 2 * (1 + len(FUSIONS)) <= steps.count("fusion") <= 2 * (2 + len(FUSIONS))
    for row in selection.figures:
        families = [[row[kind] for kind in family if kind in row] for family in FAMILIES]
        assert row["mean"] == pytest.approx(np.mean([np.mean(family) for family in families if family]))
        assert all(0 <= value <= 1 for family in families for value in family)
    assert all(set(row) & set(KINDS) == WITHOUT_CLASSES for row in selection.figures if row["step"] != "network")


@pytest.mark.slow
def test_what_is_chosen_is_what_the_figures_say(selection: Selection) -> None:
    network = chosen(selection, "network")
    assert network == (
        f"{selection.model.slots} slots{' by cosine' if selection.model.addressing == 'cosine' else ''}, "
        f"{selection.model.flow_error} of the flows' errors"
    )
    fusion = chosen(selection, "fusion")
    assert selection.fusion.perspective is fusion.endswith(", in box heights")
    assert (selection.density.kind != "none") is ("motion" in selection.fusion.weights)
    parts = FUSIONS.get(fusion.removesuffix(", in box heights"))
    if parts:
        assert selection.fusion.weights == dict.fromkeys(parts, 1.0)


@pytest.mark.slow
def test_a_selection_that_was_stopped_goes_on_to_the_same_choice(
    table: StcTable, selection: Selection, checkpoints: Path
) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in checkpoints.iterdir()}
    assert len(stamps) == 4
    (checkpoints / "parts.safetensors").unlink()
    del stamps[checkpoints / "parts.safetensors"]
    assert selector(table, checkpoints, CONFIG).run() == selection
    assert stamps.items() <= {path: path.stat().st_mtime_ns for path in checkpoints.iterdir()}.items()


@pytest.mark.slow
def test_a_margin_that_nothing_can_beat_leaves_the_preset_as_it_is(table: StcTable, tmp_path: Path) -> None:
    found = selector(table, tmp_path, replace(CONFIG, slots=(), cosine=False, margin=1.0)).run()
    assert (found.model, found.fusion) == (SMALL_MODEL, FusionConfig(flow=1, frame=0.1))


@pytest.fixture(scope="module")
def surprise(table: StcTable, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Selection]:
    """Chooses among features by surprise."""

    def choose(*names: str, margin: float, stages: tuple[StageName, ...], cubes: StcTable = table) -> Selection:
        base = selector(
            cubes, tmp_path_factory.mktemp("surprise"), replace(CONFIG, slots=(), cosine=False, margin=margin)
        )
        recipe = replace(
            base.recipe,
            fusion=FusionConfig.of(dict.fromkeys(names, 1.0), rule="surprise"),
            features={name: cls.Settings() for name, cls in feature_classes().items()},
            training=replace(base.recipe.training, stages=stages),
        )
        return replace(base, recipe=recipe).run()

    return choose


def dropped(row: dict[str, Any]) -> set[str]:
    return set(row["candidate"].removeprefix("without ").split(", "))


@pytest.mark.slow
def test_by_surprise_features_are_dropped_as_long_as_that_costs_no_more_than_the_margin(
    surprise: Callable[..., Selection],
) -> None:
    choice = surprise("flow", "frame", "energy", "size", margin=1.0, stages=("flow", "frame"))
    assert len(choice.fusion.weights) == 1
    rows = [row for row in choice.figures if row["step"] == "fusion"]
    assert len(rows) == 1 + 4 + 3 + 2
    assert rows[0]["candidate"] == "the preset's"
    for start, count in ((1, 4), (5, 3)):
        best = max(rows[start : start + count], key=lambda row: row["mean"])
        following = rows[start + count : start + 2 * count - 1]
        assert all(dropped(best) < dropped(row) for row in following)
    assert all(set(row) & set(KINDS) == WITHOUT_CLASSES for row in rows)


def test_by_surprise_a_choice_needs_no_network_and_keeps_what_helps(surprise: Callable[..., Selection]) -> None:
    choice = surprise("energy", "size", "place", margin=0.02, stages=())
    assert {row["step"] for row in choice.figures} == {"fusion"}
    (kept,) = [row for row in choice.figures if row["chosen"]]
    left_out = [name for name in ("energy", "size", "place") if name not in choice.fusion.weights]
    assert kept["candidate"] == (f"without {', '.join(left_out)}" if left_out else "the preset's")
    assert kept["mean"] >= choice.figures[0]["mean"] - 0.02 * len(left_out)
    last = choice.figures[-len(choice.fusion.weights) :]
    assert len(choice.fusion.weights) == 1 or all(row["mean"] < kept["mean"] - 0.02 for row in last)


def test_by_surprise_classes_are_kept_where_a_detector_gives_them_for_what_they_alone_find(
    surprise: Callable[..., Selection], tmp_path: Path
) -> None:
    for number in range(4):
        put_clip(tmp_path, f"{number}", (0, 30), dict.fromkeys(range(4, 24), 3), seed=number, classes=[-1, 0, 0])
    choice = surprise("energy", "classes", margin=0.02, stages=(), cubes=StcTable(str(tmp_path)))
    assert "classes" in choice.fusion.weights
    rows = {row["candidate"]: row for row in choice.figures}
    assert all(set(row) >= set(KINDS) for row in rows.values())
    assert rows["without classes"]["class"] == pytest.approx(0.5)
    assert rows["without energy"]["class"] > 0.8


def test_stages_of_networks_that_do_not_count_are_left_out() -> None:
    training = TrainingConfig(stages=("flow", "frame", "joint"))
    assert training.for_networks(("flow", "frame")) == training
    assert training.for_networks(("flow",)).stages == ("flow",)
    assert training.for_networks(()).stages == ()


def test_every_so_many_th_video_is_held_out_whole(table: StcTable) -> None:
    for every, expected in ((4, {"3"}), (2, {"1", "3"}), (9, {"3"})):
        fit, held = split_videos(table, every)
        assert {file.video for file in held.files} == expected
        assert {file.video for file in fit.files} | expected == {"0", "1", "2", "3"}
        assert len(fit) + len(held) == len(table)
        assert sum(len(group) for group in held.groups) == len(held)


def test_one_video_cannot_be_held_out(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 30), {9: 5})
    with pytest.raises(TrainingError, match=rf"{tmp_path}: --select needs cubes of two videos"):
        split_videos(StcTable(str(tmp_path)), 4)


def test_fitted_weights_fall_on_what_tells_apart() -> None:
    rng = np.random.default_rng(0)
    normal, unusual = rng.normal(0, 1, (500, 3)), rng.normal(0, 1, (500, 3))
    unusual[:, 1] += 5
    weights = fitted_weights(normal, [unusual])
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.9
    assert (weights >= 0).all()


def test_a_part_that_falls_on_the_unusual_gets_no_weight() -> None:
    rng = np.random.default_rng(1)
    normal, unusual = rng.normal(0, 1, (500, 2)), rng.normal(0, 1, (500, 2))
    unusual[:, 0] += 3
    unusual[:, 1] -= 3
    assert fitted_weights(normal, [unusual]).tolist() == [1.0, 0.0]
    assert fitted_weights(normal[:, 1:], [unusual[:, 1:]]).tolist() == [0.0]
