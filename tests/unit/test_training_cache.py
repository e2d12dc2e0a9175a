"""What training keeps in memory changes nothing but its speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.settings import LossConfig
from hf2vad.training import batches, data
from hf2vad.training.batches import Batches, Reconstructions, budget
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import Cubes, Piece, StcTable, read_piece
from hf2vad.training.loop import Trainer
from hf2vad.training.order import Order
from hf2vad.training.settings import StageConfig, TrainingConfig
from tests.stc import SMALL_MODEL, put_clip

CPU = torch.device("cpu")
PER_CUBE = 64_512
"""Bytes of a cube, decoded, with its reconstructions."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> StcTable:
    folder = tmp_path_factory.mktemp("cache")
    for number in range(3):
        put_clip(folder, f"{number}", (0, 40), {10: 20}, seed=number)
    return StcTable(str(folder))


def train(table: StcTable, out: Path, gib: float, **changes: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    stage = StageConfig(epochs=3, lr=3e-3)
    training = TrainingConfig(
        stages=("flow", "frame"), flow=stage, frame=stage, batch=8, window=24, cache_gib=gib, **changes
    )
    torch.manual_seed(0)
    checkpoints = Checkpoints(str(out / "last.safetensors"), settings="")
    one = Trainer(HF2VAD(SMALL_MODEL), table, training, LossConfig(), CPU, checkpoints)
    history = one.run()
    timeless = [{k: v for k, v in record.items() if k not in ("seconds", "samples_per_s")} for record in history]
    return timeless, dict(one.model.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("cubes", [60, 120], ids=["reconstructions alone fit", "all fits"])
def test_training_from_memory_gives_the_same_weights_bit_for_bit(table: StcTable, tmp_path: Path, cubes: int) -> None:
    before, plain = train(table, tmp_path / "plain", 0.0)
    after, kept = train(table, tmp_path / "kept", cubes * 32_768 / 2**30)
    assert before == after
    assert all(torch.equal(plain[name], kept[name]) for name in plain)


def test_the_budget_goes_to_reconstructions_first_where_the_autoencoder_is_frozen(table: StcTable) -> None:
    whole = 60 * 32_768
    assert budget(table, whole / 2**30, frozen_flow=True).reconstructions
    assert budget(table, whole / 2**30, frozen_flow=True).table == 0
    assert not budget(table, (whole - 1) / 2**30, frozen_flow=True).reconstructions
    assert budget(table, whole / 2**30, frozen_flow=False).table == whole
    assert not budget(table, 0.0, frozen_flow=True).reconstructions


@pytest.mark.parametrize("appearance", [False, True])
def test_the_decoded_table_gives_the_batches_of_the_stream(
    table: StcTable, appearance: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []

    def counted(piece: Piece, pixels: bool) -> Cubes:
        reads.append(len(piece))
        return read_piece(piece, pixels)

    for module in (batches, data):
        monkeypatch.setattr(module, "read_piece", counted)
    order = Order(batch=8, seed=1, epoch=3, window=24, skip=2)
    stream = list(Batches(table, CPU, appearance=appearance, memory=0).epoch(order))
    in_memory = Batches(table, CPU, appearance=appearance, memory=60 * PER_CUBE)
    assert reads
    reads.clear()
    held = list(in_memory.epoch(order))
    assert not reads, "the decoded table is not read again"
    assert len(stream) == len(held) == 5
    for ours, theirs in zip(stream, held, strict=True):
        assert torch.equal(ours.numbers, theirs.numbers)
        for part in ("context", "flows", "target"):
            assert torch.equal(getattr(ours.inputs, part), getattr(theirs.inputs, part))


def test_a_cube_is_reconstructed_once(table: StcTable) -> None:
    torch.manual_seed(0)
    model = HF2VAD(SMALL_MODEL).eval()
    calls: list[int] = []
    model.flow_autoencoder.register_forward_hook(lambda *_: calls.append(1))
    known = Reconstructions(len(table), CPU)
    streamed = Batches(table, CPU, appearance=True, memory=0)
    for epoch in range(3):
        for batch in streamed.epoch(Order(batch=20, seed=0, epoch=epoch, window=100)):
            found = known.of(model, batch)
            with torch.no_grad():
                expected = model.reconstruct(batch.inputs.flows).flow
            calls.pop()
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert len(calls) == 3
