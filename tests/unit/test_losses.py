from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import CubeTensors
from hf2vad.models.losses import flow_loss, frame_loss, gradient_difference, joint_loss, kl_divergence
from hf2vad.models.settings import LossConfig, ModelConfig
from tests.stc import SMALL_MODEL

MODEL = replace(SMALL_MODEL, dropout=0.0)
CONFIG = LossConfig(flow=2.0, entropy=0.3, frame=1.5, kl=0.7, gradient=0.2)
BLOCKS = ("stem", "down1.1", "down2.1", "down3.1", "up3.blocks", "up2.blocks", "up1.blocks")


def network(config: ModelConfig = MODEL) -> HF2VAD:
    torch.manual_seed(0)
    return HF2VAD(config)


def cubes(count: int) -> CubeTensors:
    rng = np.random.default_rng(0)
    frames = torch.tensor(rng.uniform(0, 1, (count, 15, 32, 32)), dtype=torch.float32)
    flows = torch.tensor(rng.normal(0, 2, (count, 8, 32, 32)), dtype=torch.float32)
    return CubeTensors(frames[:, :12], flows, frames[:, 12:])


def silent(model: torch.nn.Module) -> list[str]:
    """Parameters that no gradient reaches."""
    return [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().max() > 0)]


def test_kl_is_half_the_squared_distance_of_the_means_averaged_over_cubes_and_summed_over_scales() -> None:
    q4 = torch.tensor([[[[1.0, 2.0]]], [[[0.0, 0.0]]]])
    p4 = torch.tensor([[[[0.0, 4.0]]], [[[0.0, 0.0]]]])
    q8 = torch.tensor([[[[3.0]]], [[[1.0]]]])
    p8 = torch.tensor([[[[0.0]]], [[[2.0]]]])
    assert float(kl_divergence([q4, q8], [p4, p8])) == pytest.approx((5 / 2 + 0) / 2 + (9 / 2 + 1 / 2) / 2)


def test_kl_is_that_of_unit_gaussians() -> None:
    torch.manual_seed(0)
    q, p = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    unit = torch.ones_like(q)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(q, unit), torch.distributions.Normal(p, unit)
    )
    assert float(kl_divergence([q], [p])) == pytest.approx(float(expected.sum()), rel=1e-5)


def test_gradient_loss_compares_steps_between_neighbours_per_channel_and_axis() -> None:
    rng = np.random.default_rng(3)
    frame, target = rng.uniform(0, 1, (2, 2, 3, 4, 5)).astype(np.float32)
    across = [
        abs(abs(frame[b, c, y, x + 1] - frame[b, c, y, x]) - abs(target[b, c, y, x + 1] - target[b, c, y, x]))
        for b, c, y, x in np.ndindex(2, 3, 4, 4)
    ]
    down = [
        abs(abs(frame[b, c, y + 1, x] - frame[b, c, y, x]) - abs(target[b, c, y + 1, x] - target[b, c, y, x]))
        for b, c, y, x in np.ndindex(2, 3, 3, 5)
    ]
    found = gradient_difference(torch.tensor(frame), torch.tensor(target))
    assert float(found) == pytest.approx(np.mean(across) + np.mean(down), rel=1e-5)


def test_gradient_loss_does_not_let_channels_cancel() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    target = torch.zeros(1, 2, 8, 8)
    assert float(gradient_difference(torch.cat([ramp, -ramp], dim=1), target)) == pytest.approx(1.0)


def test_the_published_gradient_loss_sums_signed_steps_over_channels_first() -> None:
    rng = np.random.default_rng(3)
    frame, target = rng.uniform(0, 1, (2, 2, 3, 4, 5)).astype(np.float32)

    def step(image: np.ndarray, b: int, here: tuple[int, int], there: tuple[int, int]) -> float:
        return abs(sum(image[b, c][there] - image[b, c][here] for c in range(3)))

    across = [((y, x), (y, x + 1)) for y, x in np.ndindex(4, 4)]
    down = [((y, x), (y + 1, x)) for y, x in np.ndindex(3, 5)]
    means = [
        np.mean([abs(step(frame, b, *pair) - step(target, b, *pair)) for b in range(2) for pair in pairs])
        for pairs in (across, down)
    ]
    found = gradient_difference(torch.tensor(frame), torch.tensor(target), form="published")
    assert float(found) == pytest.approx(sum(means), rel=1e-5)


def test_channels_cancel_in_the_published_gradient_loss() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    target = torch.zeros(1, 2, 8, 8)
    frame = torch.cat([ramp, -ramp], dim=1)
    assert float(gradient_difference(frame, target, form="published")) == 0


def test_the_frame_loss_takes_the_gradient_loss_that_is_configured() -> None:
    model, inputs, found = network().eval(), cubes(2), {}
    for form in ("eq7", "published"):
        torch.manual_seed(5)
        found[form] = frame_loss(model, inputs, replace(CONFIG, gradient_form=form))
    torch.manual_seed(5)
    with torch.no_grad():
        frame = model.predict(inputs, model.reconstruct(inputs).flow, sample=True, prior=True).frame
    for form, loss in found.items():
        expected = float(gradient_difference(frame, inputs.target, form=form))
        assert float(loss.terms["gradient"]) == pytest.approx(expected, rel=1e-5)
    assert float(found["eq7"].terms["gradient"]) != pytest.approx(float(found["published"].terms["gradient"]), rel=0.05)
    assert float(found["eq7"].terms["frame"]) == float(found["published"].terms["frame"])


def test_gradient_loss_ignores_brightness_and_the_sign_of_a_step() -> None:
    rng = np.random.default_rng(3)
    frame = torch.tensor(rng.uniform(0, 1, (2, 3, 8, 8)), dtype=torch.float32)
    assert float(gradient_difference(0.75 - frame, frame)) == pytest.approx(0, abs=1e-6)
    assert float(gradient_difference(2 * frame, frame)) > 0.1


def test_flow_loss_is_equation_3_on_the_last_flow_of_each_cube() -> None:
    model, inputs = network().eval(), cubes(3)
    last = inputs.flows[:, 6:]
    with torch.no_grad():
        found = model.flow_autoencoder(last)
    error = float(np.square(found.flow.double().numpy() - last.double().numpy()).mean())
    entropies = [float(read.entropy) for read in found.memories.values()]
    loss = flow_loss(model, inputs, CONFIG)
    assert len(entropies) == 3
    assert min(entropies) > 0
    assert float(loss.terms["flow"]) == pytest.approx(error, rel=1e-5)
    assert float(loss.terms["entropy"]) == pytest.approx(sum(entropies), rel=1e-5)
    assert float(loss.total.detach()) == pytest.approx(2.0 * error + 0.3 * sum(entropies), rel=1e-5)
    kept = {level: int(read.slots_kept) for level, read in found.memories.items()}
    assert {level: int(count) for level, count in loss.slots_kept.items()} == kept


def test_entropy_is_at_most_that_of_all_slots_alike_in_every_memory() -> None:
    loss = flow_loss(network().eval(), cubes(3), CONFIG)
    assert 0 < float(loss.terms["entropy"]) <= 3 * math.log(MODEL.slots)
    without = flow_loss(network(replace(MODEL, memories=())).eval(), cubes(3), CONFIG)
    assert float(without.terms["entropy"]) == 0
    assert without.slots_kept == {}


def test_frame_loss_is_equation_8_guided_by_reconstructions() -> None:
    model, inputs = network().eval(), cubes(3)
    torch.manual_seed(5)
    loss = frame_loss(model, inputs, CONFIG)
    torch.manual_seed(5)
    with torch.no_grad():
        guide = model.reconstruct(inputs).flow
        found = model.predict(inputs, guide, sample=True, prior=True)
    error = float(np.square(found.frame.double().numpy() - inputs.target.double().numpy()).mean())
    kl = float(kl_divergence(found.posterior, found.prior))
    gradient = float(gradient_difference(found.frame, inputs.target))
    terms = {name: float(value) for name, value in loss.terms.items()}
    assert terms == pytest.approx({"frame": error, "kl": kl, "gradient": gradient}, rel=1e-5)
    assert float(loss.total.detach()) == pytest.approx(1.5 * error + 0.7 * kl + 0.2 * gradient, rel=1e-5)


def test_the_divergence_weighs_3072_times_more_as_published_than_in_equation_6() -> None:
    model, inputs, terms = network().eval(), cubes(2), {}
    for scale in ("published", "eq6"):
        torch.manual_seed(5)
        loss = frame_loss(model, inputs, replace(CONFIG, kl_scale=scale))
        terms[scale] = {name: float(value) for name, value in loss.terms.items()}
        by_weight = 1.5 * terms[scale]["frame"] + 0.7 * terms[scale]["kl"] + 0.2 * terms[scale]["gradient"]
        assert float(loss.total.detach()) == pytest.approx(by_weight, rel=1e-5)
    assert terms["published"]["kl"] == pytest.approx(3072 * terms["eq6"]["kl"], rel=1e-5)
    assert terms["published"]["frame"] == terms["eq6"]["frame"]
    assert terms["published"]["gradient"] == terms["eq6"]["gradient"]


def test_joint_loss_is_both_losses_with_all_four_flows_reconstructed() -> None:
    model, inputs = network().eval(), cubes(3)
    torch.manual_seed(5)
    joint = joint_loss(model, inputs, CONFIG)
    torch.manual_seed(5)
    frame = frame_loss(model, inputs, CONFIG)
    with torch.no_grad():
        found = model.reconstruct(inputs)
    error = float((found.flow - inputs.flows).square().mean())
    entropy = sum(float(read.entropy) for read in found.memories.values())
    expected = 2.0 * error + 0.3 * entropy + float(frame.total.detach())
    assert float(joint.terms["flow"]) == pytest.approx(error, rel=1e-5)
    assert float(joint.total.detach()) == pytest.approx(expected, rel=1e-5)
    assert joint.terms.keys() == {"flow", "entropy", "frame", "kl", "gradient"}


@pytest.mark.parametrize("training", [True, False])
def test_the_flow_stage_moves_every_parameter_of_the_autoencoder_and_none_of_the_cvae(training: bool) -> None:
    model = network(SMALL_MODEL).train(training)
    flow_loss(model, cubes(4), LossConfig()).total.backward()
    # While training, BatchNorm takes the bias of the convolution before it out: its gradient is 0 but for rounding.
    cancelled = {f"{part}.{layer}.bias" for part in BLOCKS for layer in (0, 3)} if training else set()
    assert [name for name in silent(model.flow_autoencoder) if name not in cancelled] == []
    assert cancelled <= {name for name, _ in model.flow_autoencoder.named_parameters()}
    assert all(p.grad is None for p in model.cvae.parameters())


@pytest.mark.parametrize("condition", ["reconstructed", "observed", "none"])
def test_the_frame_stage_moves_every_parameter_of_the_cvae_and_none_of_the_autoencoder(condition: str) -> None:
    model = network(replace(SMALL_MODEL, condition=condition)).train()
    frame_loss(model, cubes(4), LossConfig()).total.backward()
    assert silent(model.cvae) == []
    assert all(p.grad is None for p in model.flow_autoencoder.parameters())


def test_the_joint_stage_moves_the_autoencoder_by_the_frame_it_helps_to_predict() -> None:
    model = network(SMALL_MODEL).eval()
    joint_loss(model, cubes(4), LossConfig(flow=0.0, entropy=0.0)).total.backward()
    assert silent(model) == []


def test_terms_carry_no_gradient_and_the_total_does() -> None:
    loss = joint_loss(network(), cubes(2), LossConfig())
    assert loss.total.requires_grad
    assert not any(term.requires_grad for term in loss.terms.values())
