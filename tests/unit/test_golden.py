from __future__ import annotations

import numpy as np
import pytest
import torch

from hf2vad.models.hf2vad import HF2VAD
from tests.data.make_golden import CUBES, GOLDEN, answers, golden_cubes, golden_network


@pytest.fixture(scope="module")
def model() -> HF2VAD:
    return golden_network()


def test_the_compact_network_answers_as_it_always_did(model: HF2VAD) -> None:
    found = answers(model, golden_cubes())
    with np.load(GOLDEN) as golden:
        assert set(golden) == set(found)
        assert golden["S_r"].shape == golden["S_p"].shape == (CUBES,)
        for name, value in found.items():
            # A value near 0 is what larger ones leave, whose last digits are the processor's.
            least = 1e-5 * float(np.abs(golden[name]).max())
            np.testing.assert_allclose(value.numpy(), golden[name], rtol=1e-4, atol=least, err_msg=name)


@pytest.mark.slow
def test_the_exported_scoring_path_gives_the_same_errors_for_any_number_of_cubes(model: HF2VAD) -> None:
    example, batch = golden_cubes(3), torch.export.Dim("batch", min=2, max=256)
    exported = torch.export.export(
        model,
        (example.context, example.flows, example.target),
        dynamic_shapes=({0: batch}, {0: batch}, {0: batch}),
    ).module()
    for count in (2, 7):
        inputs = golden_cubes(count, seed=count)
        with torch.no_grad():
            found = exported(inputs.context, inputs.flows, inputs.target)
        for one, other in zip(found, model.errors(inputs), strict=True):
            assert one.shape == (count,)
            torch.testing.assert_close(one, other, rtol=1e-5, atol=0)
