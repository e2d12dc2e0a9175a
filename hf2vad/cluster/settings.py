"""Settings of the cluster that a job runs on."""

from __future__ import annotations

from dataclasses import dataclass

from hf2vad.errors import ConfigError

GRACE_SECONDS = 25.0
"""How long what runs may take to finish after SIGTERM: less than Kubernetes gives a pod (30 s) and spot instances have
(30 to 120 s)."""

WORKER_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""What workers have in their environment: one heap for all their threads, or freed memory piles up (docs/adr/0006)."""

NO_RAY = "none"
"""The address with which a job makes its calls in its own process."""


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Where the work runs, and with how much of it."""

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
    """How often a shard is tried again after its worker died or storage failed; in training, how often the workers are
    started again."""

    node_retries: int = 10
    """How often after its node was lost, which says nothing of the shard: spot instances come and go."""

    def __post_init__(self) -> None:
        least_of = {"workers": 0, "cpus": 0.01, "memory_gib": 0, "retries": 0, "node_retries": 0, "gpus": 0}
        for name, least in least_of.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"ray.{name} must be at least {least}, got {value}")

    @property
    def uses_ray(self) -> bool:
        """Whether calls are made by Ray's workers, and not by the job's own process."""
        return self.address != NO_RAY
