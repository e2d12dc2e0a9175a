"""Build a faster engine for a bundle and one kind of machine; scoring with --engine auto uses it.

Example:
    hf2vad build-engine demo/bundle
    hf2vad build-engine s3://vad/bundles/site-7 --engine tensorrt --precision bf16 --batch 1024

A worker builds it, so give the --ray.cpus and --ray.gpus that scoring will have. It is compared with the reference on
the bundle's probe cubes, and stored in engines/ in the bundle, or at --engine-cache. The package is executable code: do
not give write access there to anyone whose code you would not run. Exit code: 0 built, or it existed; 2 usage, or it
cannot be built here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf2vad.cluster.settings import RayConfig
from hf2vad.commandline import EXIT_OK, Job
from hf2vad.engines.settings import EngineSpec, Precision
from hf2vad.settings import require


@dataclass(frozen=True, kw_only=True)
class BuildJob:
    """Settings of hf2vad build-engine."""

    bundle: str
    """The trained model: what hf2vad train put."""

    engine: Literal["aot", "tensorrt"] = "aot"
    """`aot`: AOTInductor, for a CPU or a GPU. `tensorrt`: TensorRT, for a GPU."""

    batch: int = 64
    """Cubes that the network works on at once; score with the same."""

    precision: Precision = "fp32"
    """Numbers that the network computes with. `tf32` and `fp16` need a GPU."""

    device: str = "auto"
    """`auto`: the GPU where the worker has one. `cpu`, `cuda`."""

    engine_cache: str = ""
    """Folder or s3:// prefix where the package goes; empty: engines/ in the bundle."""

    all_parts: bool = False
    """Build both networks, for scoring with --all-parts, and not only those that the bundle's score needs."""

    force: bool = False
    """Build it even where there is one."""

    ray: RayConfig = field(default_factory=RayConfig)
    """Cluster that builds the package. Use the same CPUs as for scoring, because a package is valid for one number of
    threads."""

    def __post_init__(self) -> None:
        require(self.batch >= 1, f"--batch must be at least 1, got {self.batch}")
        EngineSpec(name=self.engine, precision=self.precision)


def build_engine_job(job: BuildJob) -> int:
    """Build, check and put the package; returns the exit code. Nothing is done where it is there already."""
    from hf2vad.bundle.settings import load_bundle_settings
    from hf2vad.cluster.calls import ask_for_engine
    from hf2vad.cluster.dispatch import open_cluster
    from hf2vad.engines.request import EngineRequest, cache_of
    from hf2vad.features.registry import networks_for
    from hf2vad.features.settings import FEATURES
    from hf2vad.progress import ticking
    from hf2vad.report.engine import print_built
    from hf2vad.scoring.feature_set import counted_features
    from hf2vad.storage import absolute

    uri = absolute(job.bundle)
    bundle = load_bundle_settings(uri)
    networks = networks_for(FEATURES if job.all_parts else counted_features(bundle.fusion))
    if not networks:
        print(f"{uri}: no feature with a weight needs a network; nothing to build (--all-parts builds both networks)")
        return EXIT_OK
    cache = cache_of(uri, job.engine_cache)
    request = EngineRequest(
        bundle_uri=uri,
        bundle_id=bundle.id,
        wanted=job.engine,
        precision=job.precision,
        cache=cache,
        networks=networks,
        batch=job.batch,
        device=job.device,
        threads=max(1, int(job.ray.cpus)),
        force=job.force,
    )
    with open_cluster(job.ray, use_gpu=job.device != "cpu") as cluster, ticking(f"building {job.engine}"):
        answer = ask_for_engine(request, cluster)
    if answer.built is None:
        print(f"{cache}: the package is there already; nothing to do (--force builds it again)")
        return EXIT_OK
    print_built(answer.choice, answer.built, bundle.id, networks, cache)
    return EXIT_OK


JOB = Job(
    "build-engine",
    BuildJob,
    build_engine_job,
    __doc__,
    shown=("bundle", "engine", "precision", "batch", "device", "engine-cache"),
    reads="bundle",
)
