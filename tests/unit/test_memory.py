from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hf2vad.models.memory import Memory
from hf2vad.schema import F64

SLOTS, CHANNELS, SIDE = 12, 3, 4
SIZE = CHANNELS * SIDE * SIDE
SHRINK = 1 / SLOTS


def memory(*, slots: int = SLOTS, shrink: float = SHRINK) -> Memory:
    torch.manual_seed(0)
    return Memory(slots, SIZE, shrink=shrink)


def features(count: int, *, scale: float = 5.0) -> torch.Tensor:
    """Feature maps that resemble some slots more than others."""
    rng = np.random.default_rng(1)
    return torch.tensor(rng.normal(0, scale, (count, CHANNELS, SIDE, SIDE)), dtype=torch.float32)


def addressed(queries: F64, items: F64, shrink: float) -> F64:
    """The formula of the paper, written plainly: softmax, hard shrinkage, scaled to sum to 1."""
    rows = []
    for query in queries:
        products = np.array([float(np.dot(query, item)) for item in items])
        softmax = np.exp(products - products.max())
        softmax /= softmax.sum()
        kept = np.where(softmax > shrink, softmax, 0.0)
        rows.append(kept / kept.sum())
    return np.array(rows)


def test_weights_are_the_softmax_hard_shrunk_and_scaled() -> None:
    module, queries = memory(), features(20).flatten(1)
    expected = addressed(queries.double().numpy(), module.items.detach().double().numpy(), SHRINK)
    found = module.address(queries).detach().numpy()
    assert (expected == 0).any()
    assert ((expected > 0) & (expected < 1)).any()
    assert ((found > 0) == (expected > 0)).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("shrink", [0.0, SHRINK, 2 * SHRINK])
def test_weights_sum_to_one_after_the_shrinkage(shrink: float) -> None:
    weights = memory(shrink=shrink).address(features(50).flatten(1))
    assert weights.dtype == torch.float32
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(1), torch.ones(50), rtol=1e-5, atol=0)


def test_what_is_read_is_the_weighted_sum_of_slots_in_the_shape_of_the_features() -> None:
    module, given = memory(), features(7)
    read, _ = module(given)
    weights = addressed(given.flatten(1).double().numpy(), module.items.detach().double().numpy(), SHRINK)
    assert read.shape == given.shape
    expected = (weights @ module.items.detach().double().numpy()).reshape(given.shape)
    np.testing.assert_allclose(read.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_the_whole_map_of_a_sample_is_one_query() -> None:
    module, given = memory(), features(2)
    changed = given.clone()
    changed[0, 2, 3, 3] += 100
    before, after = module(given)[0], module(changed)[0]
    assert not torch.allclose(before[0, 0, 0], after[0, 0, 0])
    assert torch.equal(before[1], after[1])


def test_a_slot_far_ahead_of_the_others_is_read_alone() -> None:
    module = memory()
    query = 1e4 * module.items.detach()[5].view(1, CHANNELS, SIDE, SIDE)
    read, addressing = module(query)
    torch.testing.assert_close(read.flatten(), module.items.detach()[5], rtol=1e-5, atol=0)
    assert int(addressing.slots_kept) == 1
    assert float(addressing.entropy.detach()) == pytest.approx(0, abs=1e-5)


def test_a_query_for_which_no_weight_exceeds_the_threshold_reads_zeros() -> None:
    module = memory(shrink=0.5)
    read, addressing = module(torch.zeros(2, CHANNELS, SIDE, SIDE))
    assert not bool(read.any())
    assert int(addressing.slots_kept) == 0
    assert float(addressing.entropy.detach()) == 0


def test_entropy_is_that_of_the_weights_averaged_over_queries() -> None:
    module, given = memory(), features(9)
    weights = addressed(given.flatten(1).double().numpy(), module.items.detach().double().numpy(), SHRINK)
    by_hand = np.mean([-sum(w * math.log(w) for w in row if w > 0) for row in weights.tolist()])
    assert by_hand > 0.1
    assert float(module(given)[1].entropy.detach()) == pytest.approx(by_hand, rel=1e-4)


def test_equal_weights_have_the_entropy_of_a_uniform_distribution() -> None:
    module = memory(shrink=0.0)
    assert float(module(torch.zeros(3, CHANNELS, SIDE, SIDE))[1].entropy.detach()) == pytest.approx(math.log(SLOTS))


def test_slots_kept_counts_those_that_any_query_of_the_batch_reads() -> None:
    module, given = memory(), features(3, scale=20.0)
    weights = module.address(given.flatten(1))
    each = [int((row > 0).sum()) for row in weights]
    together = int(module(given)[1].slots_kept)
    assert together == int((weights > 0).any(0).sum())
    assert max(each) < together <= sum(each)


@pytest.mark.parametrize("size", [64, 4096])
def test_slots_start_uniform_within_one_over_the_root_of_their_size(size: int) -> None:
    torch.manual_seed(0)
    items = Memory(200, size, shrink=SHRINK).items.detach()
    bound = 1 / math.sqrt(size)
    assert items.shape == (200, size)
    assert 0.99 * bound < float(items.abs().max()) <= bound
    assert float(items.mean()) == pytest.approx(0, abs=0.03 * bound)
    assert float(items.std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_a_gradient_reaches_the_slots_that_were_read_and_the_features() -> None:
    module, given = memory(), features(1).requires_grad_()
    read, _ = module(given)
    read.square().sum().backward()
    assert module.items.grad is not None
    assert given.grad is not None
    kept = module.address(given.flatten(1))[0] > 0
    assert 1 < int(kept.sum()) < SLOTS
    assert bool(module.items.grad[kept].abs().sum(1).min() > 0)
    assert bool(given.grad.abs().max() > 0)
