from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf2vad.errors import ConfigError, NotFoundError, StoppedError, StorageError, TrainingError
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.settings import LossConfig
from hf2vad.presets import preset
from hf2vad.storage import exists
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import StcTable
from hf2vad.training.group import Group
from hf2vad.training.loop import Trainer
from hf2vad.training.order import Order
from hf2vad.training.settings import StageConfig, TrainingConfig, check_workers
from hf2vad.training.stages import STAGES
from tests.stc import SMALL_MODEL, make_cubes, put_clip

EVERY_BATCH = 1e-9
"""checkpoint_minutes that are over after any batch."""
FILES = 2
CUBES = 16
BATCH = 8


def config(*stages: Any, epochs: int = 1, **changes: Any) -> TrainingConfig:
    stage = StageConfig(epochs=epochs, lr=3e-3)
    settings: dict[str, Any] = {"batch": BATCH, "window": CUBES, "checkpoint_minutes": 0.0, "cache_gib": 0.0}
    settings |= {"flow": stage, "frame": stage, "joint": stage, **changes}
    return TrainingConfig(stages=stages or ("flow", "frame"), **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of two files with one row group each; a window is one file."""
    path = tmp_path_factory.mktemp("table")
    for number in range(FILES):
        put_clip(path, f"{number}", (0, 40), {10: CUBES}, seed=number)
    return path


def trainer(folder: Path, out: Path, training: TrainingConfig, *, settings: str = "") -> Trainer:
    torch.manual_seed(training.seed)
    model = HF2VAD(SMALL_MODEL)
    checkpoints = Checkpoints(str(out / "last.safetensors"), settings=settings)
    return Trainer(model, StcTable(str(folder)), training, LossConfig(), torch.device("cpu"), checkpoints)


def weights(one: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in one.model.state_dict().items()}


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def without_time(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k not in ("seconds", "samples_per_s")} for record in history]


@pytest.mark.slow
@pytest.mark.parametrize("stage", list(STAGES))
def test_the_loss_falls(folder: Path, tmp_path: Path, stage: str) -> None:
    history = trainer(folder, tmp_path, config(stage, epochs=5)).run()
    assert [(record["stage"], record["epoch"]) for record in history] == [(stage, n) for n in range(1, 6)]
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


def test_a_record_of_an_epoch_holds_the_terms_of_its_loss(folder: Path, tmp_path: Path) -> None:
    (record,) = trainer(folder, tmp_path, config("joint")).run()
    frame = record["frame"] + record["kl"] + record["gradient"]
    assert record["loss"] == pytest.approx(record["flow"] + 2e-4 * record["entropy"] + frame, rel=1e-5)
    assert set(record["slots_kept"]) == {"bottleneck", "up3", "up2"}
    assert record["samples_per_s"] > 0


@pytest.mark.slow
def test_the_learning_rate_decays_and_starts_anew_in_the_next_stage(folder: Path, tmp_path: Path) -> None:
    stage = StageConfig(epochs=3, lr=1e-3, decay=0.5, decay_every=2)
    training = replace(config("flow", "frame"), flow=stage, frame=replace(stage, lr=1e-4))
    history = trainer(folder, tmp_path, training).run()
    assert [record["lr"] for record in history] == pytest.approx([1e-3, 1e-3, 5e-4, 1e-4, 1e-4, 5e-5])


@pytest.mark.slow
def test_a_small_table_is_passed_over_until_the_least_steps_are_taken_and_the_rate_falls_as_much_more_slowly(
    folder: Path, tmp_path: Path
) -> None:
    stage = StageConfig(epochs=2, lr=1e-3, decay=0.5, decay_every=1, least_steps=9)
    history = trainer(folder, tmp_path, config("flow", flow=stage)).run()
    assert FILES * CUBES // BATCH == 4  # two passes are eight steps, so there are four
    assert [record["lr"] for record in history] == [1e-3, 1e-3, 5e-4, 5e-4]
    assert stage.with_passes(5) == stage
    assert stage.with_passes(1) == replace(stage, epochs=10, decay_every=5)
    assert trainer(folder, tmp_path, config("flow", flow=stage)).run() == history  # done, and not done again


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    runs = [trainer(folder, tmp_path / str(i), config("joint", seed=seed)) for i, seed in enumerate((3, 3, 4))]
    first, second, other = ((one.run(), weights(one))[1] for one in runs)
    assert changed(first, second) == set()
    assert len(changed(first, other)) > 100


def is_flow(name: str) -> bool:
    return name.startswith("flow_autoencoder.")


STAGE_CHANGES: dict[str, Callable[[str], bool]] = {
    "flow": is_flow,
    "frame": lambda name: not is_flow(name),
    "joint": lambda name: True,
}


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_stage_changes_its_own_part_of_the_network_and_leaves_the_rest(
    folder: Path, tmp_path: Path, stage: str
) -> None:
    one = trainer(folder, tmp_path, config(stage))
    before = weights(one)
    one.run()
    allowed = {name for name in before if STAGE_CHANGES[stage](name)}
    found = changed(before, weights(one))
    assert found <= allowed
    assert {name for name in allowed if "running_" in name} <= found
    assert len(found) > 0.9 * len(allowed)


def test_the_network_is_in_evaluation_mode_at_the_end(folder: Path, tmp_path: Path) -> None:
    one = trainer(folder, tmp_path, config())
    one.run()
    assert not any(module.training for module in one.model.modules())


@pytest.mark.slow
def test_training_that_failed_within_an_epoch_goes_on_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    training = config("flow", "frame", checkpoint_minutes=EVERY_BATCH)
    whole = trainer(folder, tmp_path / "whole", training)
    history = whole.run()
    broken = trainer(folder, tmp_path / "resumed", training)
    (*_, last) = broken.table.epoch(Order(batch=BATCH, seed=0, epoch=0, window=CUBES), appearance=False)
    (read_last,) = [n for n in range(FILES) if last.flow[0].tobytes() in make_cubes(CUBES, n)[1].tobytes()]
    file = next((folder / str(read_last)).iterdir())
    hidden = file.rename(file.with_suffix(".hidden"))
    try:
        with pytest.raises(NotFoundError, match=file.name):
            broken.run()
    finally:
        hidden.rename(file)
    found = broken.checkpoints.load()
    assert found is not None
    assert (found.progress.epoch, found.progress.batch) == (0, CUBES // BATCH)
    resumed = trainer(folder, tmp_path / "resumed", training)
    assert without_time(resumed.run()) == without_time(history)
    assert changed(weights(whole), weights(resumed)) == set()


@pytest.mark.slow
def test_every_checkpoint_leads_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    class Kept(Checkpoints):
        """Keeps a copy of every checkpoint."""

        copies = 0

        def save(self, *state: Any) -> None:
            super().save(*state)
            self.copies += 1
            target = tmp_path / str(self.copies) / "last.safetensors"
            target.parent.mkdir()
            target.write_bytes(Path(self.uri).read_bytes())

    training = config("flow", "joint", checkpoint_minutes=EVERY_BATCH)
    training = replace(training, flow=replace(training.flow, epochs=2))
    whole = trainer(folder, tmp_path / "whole", training)
    whole.checkpoints = kept = Kept(str(tmp_path / "whole" / "last.safetensors"), settings="")
    history = whole.run()
    assert kept.copies == 3 * FILES * CUBES // BATCH
    for copy in (2, 4, 7, 8, 11):  # within and after the first epoch, within the second, between stages, in the last
        resumed = trainer(folder, tmp_path / str(copy), training)
        assert without_time(resumed.run()) == without_time(history)
        assert changed(weights(whole), weights(resumed)) == set()


def test_told_to_stop_it_writes_a_checkpoint_and_ends_as_if_it_never_had(folder: Path, tmp_path: Path) -> None:
    training = config("flow", epochs=2)
    whole = trainer(folder, tmp_path / "whole", training)
    whole.run()
    told = iter(number == 2 for number in range(100))
    stopped = trainer(folder, tmp_path / "stopped", training)
    stopped.stop = lambda: next(told)
    with pytest.raises(StoppedError, match="a checkpoint is written"):
        stopped.run()
    resumed = trainer(folder, tmp_path / "stopped", training)
    found = resumed.checkpoints.load()
    assert found is not None
    assert found.progress.steps == 3
    resumed.run()
    assert changed(weights(whole), weights(resumed)) == set()


def test_told_to_stop_in_the_last_batch_of_an_epoch_it_ends_there(folder: Path, tmp_path: Path) -> None:
    batches = FILES * CUBES // BATCH
    told = iter(number + 1 >= batches for number in range(100))
    stopped = trainer(folder, tmp_path, config("flow", epochs=2))
    stopped.stop = lambda: next(told)
    with pytest.raises(StoppedError, match=r"\(stage flow, epoch 1, batch the last\)"):
        stopped.run()
    found = stopped.checkpoints.load()
    assert found is not None
    assert (found.progress.epoch, found.progress.batch, found.progress.steps) == (1, 0, batches)


def test_a_limited_number_of_steps_takes_another_part_of_the_table_in_every_epoch(folder: Path, tmp_path: Path) -> None:
    stage = StageConfig(epochs=3, lr=3e-3, steps=2)
    training = replace(config("flow", checkpoint_minutes=EVERY_BATCH), flow=stage)
    whole = trainer(folder, tmp_path / "whole", training)
    history = whole.run()
    found = whole.checkpoints.load()
    assert found is not None
    assert found.progress.steps == 6
    assert found.tensors["adam/step/flow_autoencoder.head.weight"] == 6

    class Stopped(Checkpoints):
        """Fails at the fourth checkpoint, within the second epoch."""

        count = 0

        def save(self, *state: Any) -> None:
            self.count += 1
            if self.count == 4:
                raise StorageError("full")
            super().save(*state)

    broken = trainer(folder, tmp_path / "resumed", training)
    broken.checkpoints = Stopped(broken.checkpoints.uri, settings="")
    with pytest.raises(StorageError):
        broken.run()
    resumed = trainer(folder, tmp_path / "resumed", training)
    assert without_time(resumed.run()) == without_time(history)
    assert changed(weights(whole), weights(resumed)) == set()


@pytest.mark.parametrize("changes", [{"cache_gib": 5.0}, {"tensorboard": False}, {"checkpoint_minutes": 1.0}])
def test_settings_that_decide_no_weight_do_not_change_the_identity(changes: dict[str, Any]) -> None:
    assert config(**changes).identity == config().identity
    assert config(tf32=False).identity != config().identity
    assert replace(config(), flow=StageConfig(epochs=1, lr=3e-3, steps=1)).identity != config().identity


def test_checkpoints_of_an_earlier_release_have_the_same_identity() -> None:
    """What `compact` and the paper's sizes hashed to when the setting `reader` was still there."""
    assert preset("compact_eq9").training.identity == "68d23a8a6e81e992"
    assert preset("ped2").training.identity == preset("avenue").training.identity == "c89771597ce4a49b"


def test_synchronised_batchnorm_is_refused_on_the_cpu(folder: Path, tmp_path: Path) -> None:
    one = trainer(folder, tmp_path, config(sync_batchnorm=True))
    one.group = Group(rank=0, world=2)
    with pytest.raises(ConfigError, match=r"training\.sync_batchnorm works on GPUs only"):
        one._synchronise_batchnorm()


@pytest.mark.parametrize(("batch", "workers"), [(9, 2), (8, 3), (4, 4)])
def test_a_batch_that_cannot_be_shared_is_refused(batch: int, workers: int) -> None:
    check_workers(config(batch=8), 4)
    with pytest.raises(ConfigError, match=rf"{batch} must be a multiple of {workers}, with at least 2 cubes for each"):
        check_workers(config(batch=batch), workers)


def test_training_that_is_done_is_not_done_again(folder: Path, tmp_path: Path) -> None:
    first = trainer(folder, tmp_path, config())
    history = first.run()
    stamp = (tmp_path / "last.safetensors").stat().st_mtime_ns
    again = trainer(folder, tmp_path, config())
    assert again.run() == history
    assert changed(weights(first), weights(again)) == set()
    assert (tmp_path / "last.safetensors").stat().st_mtime_ns == stamp


def test_a_checkpoint_of_other_settings_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    trainer(folder, tmp_path, config("flow"), settings="one").run()
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=rf"{tmp_path}/last.safetensors: .* made with other settings"):
        trainer(folder, tmp_path, config("flow"), settings="another").run()
    assert (tmp_path / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize("keep", [0, 5, 3000, -1])
def test_a_damaged_checkpoint_is_refused_by_name(folder: Path, tmp_path: Path, keep: int) -> None:
    trainer(folder, tmp_path, config("flow")).run()
    file = tmp_path / "last.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(TrainingError, match=rf"{file}: damaged checkpoint"):
        trainer(folder, tmp_path, config("flow")).run()


@pytest.mark.slow
def test_mixed_precision_trains_on_the_cpu(folder: Path, tmp_path: Path) -> None:
    exact, mixed = (
        trainer(folder, tmp_path / amp, config("joint", epochs=2, amp=amp)).run() for amp in ("off", "bf16")
    )
    assert mixed[-1]["loss"] < mixed[0]["loss"]
    assert mixed[0]["loss"] == pytest.approx(exact[0]["loss"], rel=0.05)
    assert mixed[0]["loss"] != exact[0]["loss"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_no_number_stops_training_and_tells_where_to_look(tmp_path: Path, bad: float) -> None:
    appearance, flow = make_cubes(CUBES, 0)
    flow[3, 1:, 5, 5, 0] = bad
    put_clip(tmp_path, "a", (0, 40), {10: CUBES}, content=(appearance, flow))
    with pytest.raises(TrainingError, match=rf"loss is nan in stage flow, epoch 1, .*NaN flow in {tmp_path}"):
        trainer(tmp_path, tmp_path, config()).run()
    assert not exists(str(tmp_path / "last.safetensors"))


def test_a_table_with_one_cube_is_refused(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 40), {10: 1})
    with pytest.raises(TrainingError, match="1 cube in 1 file, at least 2 are needed"):
        trainer(tmp_path, tmp_path, config()).run()


def test_a_table_smaller_than_a_batch_is_one_batch(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 40), {10: 3})
    one = trainer(tmp_path, tmp_path, config("flow", epochs=2))
    before = weights(one)
    assert len(one.run()) == 2
    assert "flow_autoencoder.head.weight" in changed(before, weights(one))
