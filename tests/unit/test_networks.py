from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hf2vad.features.registry import networks_for
from hf2vad.models.cvae import AutoregressivePrior, NormConv, depth_to_space, space_to_depth
from hf2vad.models.hf2vad import HF2VAD, flow_error, median_of_cells
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.settings import FlowResidual, Level, ModelConfig
from hf2vad.presets import PRESETS, PresetName, preset
from hf2vad.settings import to_dict
from tests.stc import SMALL_MODEL

ALL: tuple[Level, ...] = ("bottleneck", "up3", "up2")
PARAMETERS = {
    "ped2": 69_243_246,
    "avenue": 69_243_246,
    "shanghaitech": 36_475_246,
    "compact": 3_059_060,
    "compact_eq9": 3_272_126,
}


def network(config: ModelConfig = SMALL_MODEL) -> HF2VAD:
    torch.manual_seed(0)
    return HF2VAD(config).eval()


def cubes(count: int, seed: int = 0) -> CubeTensors:
    rng = np.random.default_rng(seed)
    frames = torch.tensor(rng.uniform(0, 1, (count, 15, 32, 32)), dtype=torch.float32)
    flows = torch.tensor(rng.normal(0, 2, (count, 8, 32, 32)), dtype=torch.float32)
    return CubeTensors(frames[:, :12], flows, frames[:, 12:])


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_preset_has_the_papers_size_and_gives_two_errors_a_cube(name: PresetName) -> None:
    model, inputs = network(PRESETS[name].model), cubes(2)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]
    with torch.no_grad():
        found = model.reconstruct(inputs)
        prediction = model.predict(inputs, found.flow, sample=False, prior=True)
    latent = PRESETS[name].model.cvae_widths[-1]
    assert found.flow.shape == (2, 8, 32, 32)
    assert tuple(found.memories) == PRESETS[name].model.memories
    assert prediction.frame.shape == (2, 3, 32, 32)
    assert 0 <= float(prediction.frame.min()) < float(prediction.frame.max()) <= 1
    shapes = [(2, latent, 4, 4), (2, latent, 8, 8)]
    assert [tuple(mean.shape) for mean in prediction.posterior] == shapes
    assert [tuple(mean.shape) for mean in prediction.prior] == shapes
    assert [tuple(error.shape) for error in model.errors(inputs)] == [(2,), (2,)]


@pytest.mark.parametrize("memories", [ALL[:count] for count in range(4)])
@pytest.mark.parametrize("skips", [(), ("up2",), ("up3", "up2"), ("up3", "up2", "up1")])
def test_every_ablation_of_the_paper_runs_forward_and_backward(
    memories: tuple[Level, ...], skips: tuple[Level, ...]
) -> None:
    model = network(replace(SMALL_MODEL, memories=memories, skips=skips))
    found = model.reconstruct(cubes(3))
    assert found.flow.shape == (3, 8, 32, 32)
    assert tuple(found.memories) == memories
    found.flow.square().mean().backward()
    without = [name for name, p in model.flow_autoencoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize(
    ("skips", "memories", "passes"),
    [
        ((), ("bottleneck",), False),
        (("up3",), ("bottleneck",), True),
        (("up3",), ("bottleneck", "up3"), False),
        (("up3", "up2"), ("bottleneck", "up3"), True),
        (SMALL_MODEL.skips, SMALL_MODEL.memories, False),
        (("up3", "up2", "up1"), SMALL_MODEL.memories, True),
    ],
)
def test_past_an_empty_memory_a_flow_comes_only_by_a_skip_above_it_and_the_outermost_is_absent_by_default(
    skips: tuple[Level, ...], memories: tuple[Level, ...], passes: bool
) -> None:
    model = network(replace(SMALL_MODEL, memories=memories, skips=skips))
    with torch.no_grad():
        for memory in model.flow_autoencoder.memories.values():
            memory.items.zero_()
        one, other = (model.reconstruct(cubes(1, seed)).flow for seed in (1, 2))
    assert torch.equal(one, other) != passes


def test_the_four_flows_of_a_cube_are_reconstructed_alike_and_apart() -> None:
    model, inputs = network(), cubes(2)
    flows = inputs.flows
    with torch.no_grad():
        together = model.reconstruct(inputs).flow
        alone = torch.cat([model.flow_autoencoder(flows[:, 2 * t : 2 * t + 2]).flow for t in range(4)], dim=1)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_errors_are_sums_of_squares_over_the_flows_and_over_the_target() -> None:
    model, inputs = network(), cubes(3)
    with torch.no_grad():
        rebuilt = model.reconstruct(inputs).flow
        frame = model.predict(inputs, rebuilt, sample=False, prior=False).frame
    s_flow, s_frame = model.errors(inputs)
    for cube in range(3):
        by_hand = float(np.square(rebuilt[cube].double().numpy() - inputs.flows[cube].double().numpy()).sum())
        assert float(s_flow[cube]) == pytest.approx(by_hand, rel=1e-5)
        by_hand = float(np.square(frame[cube].double().numpy() - inputs.target[cube].double().numpy()).sum())
        assert float(s_frame[cube]) == pytest.approx(by_hand, rel=1e-5)


def test_flows_are_predicted_from_all_five_frames_and_from_no_flow() -> None:
    model, inputs = network(replace(SMALL_MODEL, flow_input="frames")), cubes(2)
    calls: list[int] = []
    model.flow_autoencoder.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    with torch.no_grad():
        flows = model.reconstruct(inputs).flow
        other = model.reconstruct(replace(inputs, flows=inputs.flows + 1)).flow
    assert calls == [2, 2]  # once for each cube, not once for each flow
    assert flows.shape == (2, 8, 32, 32)
    assert torch.equal(flows, other)
    frames = torch.cat([inputs.context, inputs.target], dim=1).requires_grad_()
    model.reconstruct(CubeTensors(frames[:, :12], inputs.flows, frames[:, 12:])).flow.sum().backward()
    assert frames.grad is not None
    assert (frames.grad.reshape(2, 5, -1).abs().sum(2) > 0).all()


def test_a_pooled_flow_network_sees_and_gives_the_means_of_cells_alone() -> None:
    model, inputs = network(replace(SMALL_MODEL, flow_input="frames", flow_pooling=2)), cubes(2)
    checks = torch.ones(32, 32)
    checks[::2, ::2] = checks[1::2, 1::2] = -1.0
    with torch.no_grad():
        flows = model.reconstruct(inputs).flow
        other = model.reconstruct(replace(inputs, target=inputs.target + checks)).flow
    assert flows.shape == (2, 8, 32, 32)
    torch.testing.assert_close(other, flows)
    cells = flows.reshape(2, 8, 16, 2, 16, 2)
    assert torch.equal(cells, cells[:, :, :, :1, :, :1].expand_as(cells))
    assert flows.std() > 0


def test_compact_costs_at_most_a_fortieth_of_a_gflop_a_cube() -> None:
    model, inputs = HF2VAD(preset("compact").model).eval(), cubes(1)
    counter = FlopCounterMode(display=False)
    with counter:
        model.errors(inputs, networks_for(preset("compact").fusion.weights))
    assert counter.get_total_flops() <= 0.025e9


def test_a_residual_that_cancels_over_the_crop_or_its_quarters_counts_only_by_pixels() -> None:
    residual = torch.zeros(1, 8, 32, 32)
    residual[:, :, :, 0::2], residual[:, :, :, 1::2] = 3.0, -3.0
    halves = torch.ones(1, 8, 32, 32)
    halves[:, :, 16:] = -1.0
    level = torch.full((1, 8, 32, 32), 2.0)

    def error(values: Tensor, kind: FlowResidual) -> float:
        return float(flow_error(values, replace(SMALL_MODEL, flow_residual=kind)))

    pixels = 8 * 32 * 32
    assert [error(residual, kind) for kind in ("pixels", "quarters", "mean")] == [9 * pixels, 0, 0]
    assert [error(halves, kind) for kind in ("pixels", "quarters", "mean")] == [pixels, pixels, 0]
    assert [error(level, kind) for kind in ("pixels", "quarters", "mean")] == [4 * pixels] * 3


def test_the_median_of_cells_is_deaf_to_a_few_bad_pixels_and_counts_as_much_as_the_sum_where_all_are_alike() -> None:
    residual = torch.full((2, 3, 32, 32), 0.1)
    residual[1, :, 8:20, 4:16] = 5.0
    alike, edge = median_of_cells(residual.square()).tolist()
    assert alike == pytest.approx(0.01 * 3 * 32 * 32, rel=1e-5)
    assert edge == pytest.approx(alike, rel=1e-5)
    residual[1, :, :20] = 5.0
    assert float(median_of_cells(residual.square())[1]) == pytest.approx(25 * 3 * 32 * 32, rel=1e-5)


def test_the_frame_error_is_the_sum_or_the_median_of_the_same_prediction() -> None:
    model, inputs = network(SMALL_MODEL), cubes(3)
    with torch.inference_mode():
        rebuilt = model.reconstruct(inputs).flow
        squares = (model.predict(inputs, rebuilt, sample=False, prior=False).frame - inputs.target).square()
    (whole,) = model.errors(inputs, ("frame",))
    model.config = replace(SMALL_MODEL, frame_residual="median")
    (middle,) = model.errors(inputs, ("frame",))
    assert whole == pytest.approx(squares.flatten(1).sum(1), rel=1e-5)
    cells = squares.reshape(3, 3, 8, 4, 8, 4).sum((1, 3, 5)).flatten(1).double().numpy()
    assert middle.numpy() == pytest.approx(64 * np.median(cells, axis=1), rel=1e-5)


def test_the_smallest_and_the_median_are_taken_of_the_flows_mean_residuals() -> None:
    residual = torch.arange(1.0, 5.0).repeat_interleave(2).reshape(1, 8, 1, 1).expand(1, 8, 32, 32)
    config = replace(SMALL_MODEL, flow_residual="mean")
    found = [float(flow_error(residual, replace(config, flow_error=kind))) for kind in ("sum", "median", "min")]
    assert found == [2 * 1024 * (1 + 4 + 9 + 16), 4 * 2 * 1024 * (4 + 9) / 2, 4 * 2 * 1024]


def test_settings_that_came_later_change_no_hash_at_their_defaults() -> None:
    assert not {"flow_input", "flow_residual", "flow_pooling", "frame_residual"} & set(to_dict(ModelConfig()))
    assert to_dict(replace(SMALL_MODEL, flow_input="frames"))["flow_input"] == "frames"


@pytest.mark.parametrize("condition", ["reconstructed", "observed", "none"])
@pytest.mark.parametrize("wanted", ["flow", "frame"])
def test_the_error_of_one_network_is_that_of_both_and_what_it_does_not_need_does_not_run(
    condition: str, wanted: str
) -> None:
    model, inputs = network(replace(SMALL_MODEL, condition=condition)), cubes(3)
    both = dict(zip(("flow", "frame"), model.errors(inputs), strict=True))
    ran: list[str] = []
    for name, part in (("flow", model.flow_autoencoder), ("frame", model.cvae)):
        part.register_forward_hook(lambda *_, name=name: ran.append(name))
    (error,) = model.errors(inputs, (wanted,))  # type: ignore[arg-type]
    assert torch.equal(error, both[wanted])
    assert ran == {"flow": ["flow"], "frame": ["flow", "frame"] if condition == "reconstructed" else ["frame"]}[wanted]


def test_scoring_is_the_same_bit_for_bit_whatever_the_seed_and_draws_no_random_number() -> None:
    model, inputs = network(), cubes(4)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(torch.stack(model.errors(inputs)))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_latents_are_drawn_when_asked_for_at_both_scales() -> None:
    model, inputs = network(), cubes(2)
    with torch.no_grad():
        at_means = model.predict(inputs, inputs.flows, sample=False, prior=True)
        torch.manual_seed(1)
        one = model.predict(inputs, inputs.flows, sample=True, prior=True)
        other = model.predict(inputs, inputs.flows, sample=True, prior=True)
    assert torch.equal(one.posterior[0], at_means.posterior[0])
    assert not torch.equal(one.posterior[1], other.posterior[1])  # follows the latent drawn at 4²
    assert not torch.equal(one.prior[1], other.prior[1])
    assert not torch.equal(one.frame, other.frame)
    assert not torch.equal(one.frame, at_means.frame)


def test_scores_do_not_need_the_prior() -> None:
    model, inputs = network(), cubes(2)
    before = torch.stack(model.errors(inputs))
    with torch.no_grad():
        for parameter in model.cvae.generator.prior.parameters():
            parameter.fill_(torch.nan)
        frame = model.predict(inputs, inputs.flows, sample=False, prior=True)
    assert not bool(frame.prior[1].isfinite().any())
    assert torch.equal(torch.stack(model.errors(inputs)), before)
    assert model.predict(inputs, inputs.flows, sample=False, prior=False).prior == []


@pytest.mark.parametrize(
    ("condition", "by_reconstruction", "by_flow"),
    [("reconstructed", True, False), ("observed", False, True), ("none", False, False)],
)
def test_the_prediction_is_guided_as_the_configuration_says(
    condition: str, by_reconstruction: bool, by_flow: bool
) -> None:
    model, inputs, other = network(replace(SMALL_MODEL, condition=condition)), cubes(2), cubes(2, seed=1)

    def frame(given: CubeTensors, reconstruction: Tensor) -> Tensor:
        with torch.no_grad():
            return model.predict(given, reconstruction, sample=False, prior=False).frame

    before = frame(inputs, inputs.flows)
    assert torch.equal(frame(inputs, other.flows), before) != by_reconstruction
    assert torch.equal(frame(replace(inputs, flows=other.flows), inputs.flows), before) != by_flow
    assert not torch.equal(frame(replace(inputs, context=other.context), inputs.flows), before)


def test_depth_to_space_is_block_major() -> None:
    x = torch.arange(2 * 12 * 2 * 3.0).view(2, 12, 2, 3)
    y = depth_to_space(x)
    assert y.shape == (2, 3, 4, 6)
    for block in range(4):
        for channel in range(3):
            assert torch.equal(y[:, channel, block // 2 :: 2, block % 2 :: 2], x[:, 3 * block + channel])
    assert not torch.equal(y, torch.nn.functional.pixel_shuffle(x, 2))
    assert torch.equal(space_to_depth(y), x)


def test_a_group_of_the_prior_sees_only_the_latents_of_the_groups_before_it() -> None:
    torch.manual_seed(0)
    prior, features, latent = AutoregressivePrior(4, 0.0), torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        before = prior(features, latent)
        for group in range(4):
            changed = latent.clone()
            changed[:, :, group // 2 :: 2, group % 2 :: 2] += 1
            after = prior(features, changed)
            differs = [not torch.equal(*(m[:, :, p // 2 :: 2, p % 2 :: 2] for m in (before, after))) for p in range(4)]
            assert differs == [p > group for p in range(4)]


def test_a_normalised_convolution_has_length_and_direction_apart() -> None:
    torch.manual_seed(0)
    conv, x = NormConv(3, 5, 3, stride=2), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        before = conv(x)
        plain = torch.nn.functional.conv2d(x, conv.direction, conv.bias, 2, 1)
        torch.testing.assert_close(before, plain)
        conv.direction.mul_(7)
        torch.testing.assert_close(conv(x), before)
        conv.length.mul_(3)
        conv.gain.fill_(2)
        conv.offset.fill_(0.5)
        bias = conv.bias.view(1, -1, 1, 1)
        torch.testing.assert_close(conv(x), 2 * (3 * (before - bias) + bias) + 0.5, rtol=1e-4, atol=1e-5)
