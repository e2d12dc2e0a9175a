from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hf2vad.models.cvae import NormConv
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inference import Inference
from hf2vad.models.inputs import cube_tensors
from hf2vad.models.memory import Memory
from hf2vad.models.memory_grow import AllSlots, GrownSlots, MemoryGrow, SomeSlots, capacities, memory_grow
from hf2vad.models.settings import ModelConfig
from tests.data.make_golden import golden_network
from tests.stc import SMALL_MODEL, make_cubes

CUBES = 6
INPUTS = cube_tensors(*make_cubes(CUBES, 3), torch.device("cpu"))
MANY = replace(SMALL_MODEL, slots=300)
LEVELS = ("bottleneck", "up3", "up2")


def answers(network: nn.Module) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        found: tuple[Tensor, ...] = network(INPUTS.context, INPUTS.flows, INPUTS.target)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"slots": 300},
        {"addressing": "cosine", "sharpness": 60.0},
        {"addressing": "cosine", "sharpness": 60.0, "slots": 300},
        {"condition": "observed", "flow_error": "min"},
        {"condition": "none", "flow_error": "median"},
        {"memories": (), "skips": ()},
        {"memories": ("up3",), "skips": ("up3", "up2", "up1")},
        {"shrink": 0.0},
        {"flow_input": "frames", "flow_residual": "quarters", "flow_error": "min"},
        {"flow_input": "frames", "slots": 300},
        {"flow_residual": "mean"},
        {"flow_pooling": 2},
        {"frame_residual": "median"},
        {"flow_input": "frames", "flow_residual": "mean", "flow_error": "min", "flow_pooling": 2},
    ],
)
@pytest.mark.parametrize("capacity", [0, 299])
def test_scores_are_those_of_the_network(changes: dict[str, Any], capacity: int) -> None:
    config = replace(SMALL_MODEL, **changes)
    model = golden_network(config).eval()
    s_flow, s_frame = model.errors(INPUTS)
    for batch in (1, 10**6):
        network = Inference(model, dict.fromkeys(LEVELS, capacity), batch=batch)
        found = answers(network)
        torch.testing.assert_close(found[0], s_flow, rtol=2e-6, atol=0)
        torch.testing.assert_close(found[1], s_frame, rtol=2e-6, atol=0)
        assert int(found[2]) == 0


def test_the_network_it_is_made_of_stays_as_it_is() -> None:
    model = golden_network(SMALL_MODEL).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    network = Inference(model, batch=2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(isinstance(part, NormConv | nn.BatchNorm2d) for part in network.modules())
    assert not any("prior" in name for name, _ in network.named_modules())
    assert not any(value.requires_grad for value in network.parameters())


def test_a_batch_that_keeps_more_slots_than_can_be_read_says_so() -> None:
    model = golden_network(MANY).eval()
    kept = {level: int(read.slots_kept) for level, read in model.reconstruct(INPUTS).memories.items()}
    assert max(kept.values()) > 50
    for batch in (1, 10**6):
        found = answers(Inference(model, dict.fromkeys(LEVELS, 40), batch=batch))
        assert int(found[2]) == sum(max(0, count - 40) for count in kept.values())


def test_errors_are_fp32_whatever_the_networks_numbers_are() -> None:
    model = golden_network(SMALL_MODEL).eval()
    s_flow, s_frame = model.errors(INPUTS)
    found = answers(Inference(model).to(torch.bfloat16))
    assert {value.dtype for value in found[:2]} == {torch.float32}
    torch.testing.assert_close(found[0], s_flow, rtol=3e-2, atol=0)
    torch.testing.assert_close(found[1], s_frame, rtol=3e-2, atol=0)
    assert not torch.equal(found[0], s_flow)


def layers(slots: int, *, shrink: float) -> tuple[Memory, nn.ConvTranspose2d]:
    torch.manual_seed(0)
    memory = Memory(slots, 6 * 4 * 4, shrink=shrink)
    return memory, nn.ConvTranspose2d(6, 3, 3, stride=2, padding=1, output_padding=1)


@pytest.mark.parametrize(
    ("slots", "capacity", "queries", "form"),
    [(64, 0, 1, GrownSlots), (65, 0, 1, AllSlots), (200, 32, 64, SomeSlots), (200, 32, 65, SomeSlots)],
)
def test_a_query_that_reads_nothing_gets_the_bias_of_the_layer_that_follows(
    slots: int, capacity: int, queries: int, form: type[MemoryGrow]
) -> None:
    memory, grow = layers(slots, shrink=0.9)
    module = memory_grow(memory, grow, capacity=capacity, queries=queries)
    assert type(module) is form
    features = torch.stack([20 * memory.items[3].view(6, 4, 4), torch.zeros(6, 4, 4)]).detach() * 20
    with torch.no_grad():
        read, addressing = memory(features)
        expected = grow(read)
        found, missed = module(features)
    assert (int(addressing.slots_kept), int(missed)) == (1, 0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(found[1], grow.bias.detach().view(-1, 1, 1).expand(3, 8, 8))  # type: ignore[union-attr]


def test_slots_are_grown_first_where_there_are_more_queries_than_slots() -> None:
    memory, grow = layers(200, shrink=0.005)
    few, many = (memory_grow(memory, grow, capacity=32, queries=count) for count in (10, 1000))
    assert isinstance(few, SomeSlots)
    assert isinstance(many, SomeSlots)
    assert (few.grow_first, many.grow_first) == (False, True)


@pytest.mark.parametrize(
    ("kept", "slots", "expected"),
    [(1, 2000, 32), (16, 2000, 32), (17, 2000, 128), (64, 2000, 128), (65, 2000, 0), (1, 127, 0), (1, 20, 0)],
)
def test_the_capacity_is_the_smallest_with_room_for_twice_what_is_kept(kept: int, slots: int, expected: int) -> None:
    assert capacities({"up2": kept}, slots) == ({"up2": expected} if expected else {})


def test_the_paper_sized_network_has_an_inference_form_too() -> None:
    model = HF2VAD(ModelConfig(slots=100)).eval()
    s_flow, s_frame = model.errors(INPUTS)
    found = answers(Inference(model))
    torch.testing.assert_close(found[0], s_flow, rtol=1e-5, atol=0)
    torch.testing.assert_close(found[1], s_frame, rtol=1e-5, atol=0)
