"""The processes that train together, through torch.distributed; without a process group, one process alone.

Everything here that exchanges something must be called by all processes, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf2vad import errors
from hf2vad.errors import Hf2vadError, TrainingError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MESSAGE_BYTES = 2048
"""Longest error that one process tells the others."""


@dataclass(frozen=True)
class Group:
    """Position of this process in a training group."""

    rank: int = 0
    """Number of this process; 0 writes checkpoints, curves and the bundle."""
    world: int = 1
    """Number of processes."""
    device: torch.device | None = None
    """Device on which tensors are exchanged; None where there is nobody to exchange them with."""

    @classmethod
    def current(cls, device: torch.device | None) -> Group:
        """The process group that was set up before, or this process alone. `device`: of the network; None without."""
        if device is None:
            return cls()
        import torch
        import torch.distributed as dist

        if not dist.is_available() or not dist.is_initialized():
            return cls()
        there = device if dist.get_backend() == "nccl" else torch.device("cpu")
        return cls(dist.get_rank(), dist.get_world_size(), there)

    @property
    def first(self) -> bool:
        """True in process 0."""
        return self.rank == 0

    def mean(self, values: list[float]) -> list[float]:
        """The mean of each number over all processes, exact for one."""
        if self.world == 1:
            return values
        import torch
        import torch.distributed as dist

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total / self.world]

    def any(self, flag: bool) -> bool:
        """True in every process if `flag` is true in at least one."""
        return self.mean([float(flag)])[0] > 0

    def gather(self, value: Tensor) -> list[Tensor]:
        """A tensor of every process, by rank; shapes and types must be the same. They come back on the CPU."""
        if self.world == 1:
            return [value]
        import torch
        import torch.distributed as dist

        sent = value.to(self.device)
        received = [torch.empty_like(sent) for _ in range(self.world)]
        dist.all_gather(received, sent)
        return [one.cpu() for one in received]

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the values that process 0 has, in place."""
        if self.world == 1:
            return
        import torch.distributed as dist

        for tensor in tensors:
            sent = tensor.detach().to(self.device).contiguous()
            dist.broadcast(sent, 0)
            tensor.detach().copy_(sent)

    def first_does(self, action: Callable[[], object]) -> None:
        """Process 0 does it while the others wait; an Hf2vadError of it is raised in all of them."""
        if self.world == 1:
            action()
            return
        import torch

        failure: Hf2vadError | None = None
        if self.first:
            try:
                action()
            except Hf2vadError as error:
                failure = error
        sent = torch.zeros(MESSAGE_BYTES, dtype=torch.uint8)
        if failure is not None:
            text = f"{type(failure).__name__}\n{failure}".encode()[:MESSAGE_BYTES]
            sent[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        self.share([sent])
        name, _, message = bytes(sent.tolist()).rstrip(b"\0").decode(errors="replace").partition("\n")
        if name:
            raise failure or getattr(errors, name, TrainingError)(message)

    def require_same(self, what: str, values: list[int]) -> None:
        """Raise TrainingError, in all processes, unless all of them have the same numbers."""
        if self.world == 1:
            return
        import torch

        all_values = [one.tolist() for one in self.gather(torch.tensor(values, dtype=torch.int64))]
        if any(one != all_values[0] for one in all_values):
            raise TrainingError(
                f"the training processes do not see the same {what}; give --stc and --out places that all nodes share: "
                "s3://, or a shared file system"
            )
