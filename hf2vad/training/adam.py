"""Adam as PyTorch has it, without PyTorch's compiler."""

from __future__ import annotations

import inspect

import torch


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, number for number, which does not load `torch._dynamo`: that takes as long as torch itself.

    PyTorch keeps these methods out of compiled code by decorators that load the compiler when they are first called.
    Nothing here compiles the optimizer, so they go without.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
