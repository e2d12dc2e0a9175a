"""Settings of the cluster that a job runs on."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.settings import require

GRACE_SECONDS = 25.0
"""Seconds that running work may take to finish after SIGTERM: less than Kubernetes gives a pod (30 s) and spot
instances get (30 to 120 s)."""

WORKER_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""Environment of the workers: one heap for all threads, because freed memory piles up otherwise (docs/adr/0006)."""

NO_RAY = "none"
"""The address with which a job makes its calls in its own process."""


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Cluster that does the work, and the share of it to use."""

    address: str = ""
    """Address of a Ray cluster. Empty: RAY_ADDRESS, or the cluster that this job was submitted to; without one, worker
    processes on this machine, or Ray started here where `gpus` or `memory_gib` are given or the work can use a GPU that
    is here. `local`: always start Ray here; it ends with the job. `none`: in the job's own process, one shard after
    another (debuggers); `workers`, `gpus` and `memory_gib` then have no effect."""

    workers: int = 0
    """Shards worked on at once; 0: as many as the cluster's CPUs and GPUs carry. Training has --workers instead."""

    cpus: float = 1.0
    """CPUs that a worker reserves; a worker uses as many threads for the network."""

    gpus: float | None = None
    """Share of a GPU that a worker reserves, so that several can share one; none: a whole one where the cluster has
    GPUs and the work can use them, else 0."""

    memory_gib: float = 0.0
    """Memory that a worker reserves, in GiB; 0: not accounted."""

    retries: int = 2
    """Number of retries of a shard after its worker died or storage failed. In training, number of restarts of the
    workers."""

    node_retries: int = 10
    """Number of retries after a lost node. Spot instances come and go, so a lost node does not blame the shard."""

    def __post_init__(self) -> None:
        least_of = {"workers": 0, "cpus": 0.01, "memory_gib": 0, "retries": 0, "node_retries": 0, "gpus": 0}
        for name, least in least_of.items():
            value = getattr(self, name)
            require(value is None or value >= least, f"ray.{name} must be at least {least}, got {value}")

    @property
    def uses_ray(self) -> bool:
        """True if Ray workers make the calls, False if this process does."""
        return self.address != NO_RAY
