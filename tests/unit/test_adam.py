"""Adam without PyTorch's compiler: the same numbers, and the compiler is not loaded."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from hf2vad.training.adam import Adam

STEPS = """
import sys
import torch
from hf2vad.training.adam import Adam

weight = torch.nn.Parameter(torch.ones(3))
adam = Adam([weight], fused=True)
for _ in range(2):
    adam.zero_grad(set_to_none=True)
    (weight**2).sum().backward()
    adam.step()
adam.load_state_dict(adam.state_dict())
print(float(weight.detach().sum()) < 3, "torch._dynamo" in sys.modules)
"""


def learned(optimizer: type[torch.optim.Adam], steps: int) -> tuple[list[torch.Tensor], torch.optim.Adam]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    adam = optimizer(network.parameters(), lr=0.01, eps=1e-7, fused=True)
    for batch in torch.randn(steps, 16, 4):
        adam.zero_grad(set_to_none=True)
        network(batch).square().mean().backward()
        adam.step()
    return [each.detach() for each in network.parameters()], adam


def test_it_takes_the_steps_of_pytorchs_and_either_goes_on_from_the_others_state() -> None:
    ours, adam = learned(Adam, 20)
    theirs, reference = learned(torch.optim.Adam, 20)
    assert all(map(torch.equal, ours, theirs))
    states = [each.state_dict()["state"] for each in (adam, reference)]
    assert all(torch.equal(states[0][n][key], states[1][n][key]) for n in states[1] for key in states[1][n])
    adam.load_state_dict(reference.state_dict())
    assert adam.param_groups[0]["lr"] == 0.01


def test_the_compiler_is_not_loaded() -> None:
    said = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "False"]
