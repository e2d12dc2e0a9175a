"""Training as each of several workers does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hf2vad.fitting.learn import put_trained
from hf2vad.fitting.network import train_network
from hf2vad.fitting.recipe import TrainingPlan

if TYPE_CHECKING:
    from hf2vad.cluster.train_group import Share


def train_share(plan: TrainingPlan, threads: int, share: Share) -> None:
    """Train on a worker's share of every batch; the first worker puts the bundle. `threads`: 0 for the worker's CPUs.

    Raises StoppedError when the driver passed on that it was told to stop.
    """
    torch.set_num_threads(threads or share.threads)
    device = torch.device("cuda", torch.cuda.current_device()) if share.gpu else torch.device("cpu")
    table = plan.table()
    put_trained(train_network(plan, table, device, share.listen()), table, device)
