"""Train a site's model on an STC table and put the bundle that jobs/score_archive.py needs.

Example:
    python jobs/train.py --stc demo/stc --out demo/bundle --preset compact
    python jobs/train.py --stc s3://vad/stc --out s3://vad/bundles/site-7 --preset avenue --training.amp bf16
    python jobs/train.py --stc s3://vad/stc --out s3://vad/bundles/site-7 --preset avenue --workers 4
    python jobs/train.py --stc ped2/stc --out ped2/bundle --preset ped2 --init ped2.pth --training.stages

With --init, training starts from the weights of another bundle, or of the paper's own code (a .pth file; give the
--preset of its data set); with no --training.stages these weights are used as they are.

With --workers, as many processes train together on a Ray cluster, each on its share of every batch of training.batch
cubes. tensorboard --logdir shows the curves in tensorboard/ beside the bundle.

Run it again to go on from the last checkpoint. Exit code: 0 done, 2 usage or a table that cannot be trained on, 143
stopped by SIGTERM, with a checkpoint written first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from hf2vad.archive.pattern import PathPattern
from hf2vad.bundle.bundle import Bundle, save_bundle
from hf2vad.bundle.settings import BundleSettings, load_bundle_settings, load_provenance
from hf2vad.cluster.settings import RayConfig
from hf2vad.cluster.stop import GRACE_SECONDS, Stop
from hf2vad.commandline import EXIT_OK, Job, required_missing
from hf2vad.engines.eager import EagerEngine
from hf2vad.errors import ConfigError
from hf2vad.features.motion import DensityConfig, Motion
from hf2vad.features.registry import feature_classes, feature_settings, networks_for, with_feature_settings
from hf2vad.features.settings import FusionConfig
from hf2vad.hashes import hash_of
from hf2vad.models.device import choose_device
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.settings import LossConfig, ModelConfig
from hf2vad.presets import PresetName, preset
from hf2vad.report.training import print_selection, print_training
from hf2vad.scoring.feature_set import FeatureSet, counted_features
from hf2vad.settings import fingerprint, flat, to_dict
from hf2vad.storage import absolute, exists, join, key_path
from hf2vad.training.calibrate import calibrate, measure_together
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import StcTable
from hf2vad.training.group import Group
from hf2vad.training.initial import initial_identity, put_initial
from hf2vad.training.journal import open_journals
from hf2vad.training.loop import Trainer, check_workers
from hf2vad.training.probe import normal_examples, probe_cubes
from hf2vad.training.sample import fit_features
from hf2vad.training.select import Selector
from hf2vad.training.selection import put_selection, read_selection
from hf2vad.training.settings import SelectionConfig, TrainingConfig
from hf2vad.versions import versions

if TYPE_CHECKING:
    from hf2vad.cluster.train_group import Share

MIN_CUBES = 16
"""A table with fewer cubes says nothing about what is normal."""


@dataclass(frozen=True, kw_only=True)
@with_feature_settings
class TrainJob:
    """Settings of jobs/train.py."""

    EARLY: ClassVar[tuple[str, ...]] = ("preset",)

    stc: str
    """The STC table: what jobs/extract_stc.py wrote, or a folder of it."""

    out: str
    """Where the bundle goes; checkpoints are kept beside it, under checkpoints/."""

    preset: PresetName = "compact"
    """Where the defaults of model, training and fusion come from."""

    init: str = ""
    """Weights that the first stage starts from: a bundle, or a checkpoint file of the paper's code. Its network must be
    that of --preset and model. With no training.stages they are used as they are."""

    device: str = "auto"
    """`auto`: the GPU where there is one. `cpu`, `cuda`, `cuda:1` …"""

    threads: int = 0
    """CPU threads of the network; 0: one a core, or, with several workers, one for each CPU of theirs."""

    workers: int = 0
    """Processes that train together, each on its share of every batch, on a Ray cluster; 0 or 1: this process alone,
    without Ray. Each needs ray.cpus CPUs and, where the cluster has GPUs, one."""

    grace_seconds: float = GRACE_SECONDS
    """How long workers may take after SIGTERM to finish their step and write a checkpoint; then, or with a second
    SIGTERM, they are dropped. One process takes the time it needs."""

    smoothing: int = 17
    """Frames of the median filter over frame scores; odd, 1: none."""

    mlflow: str = ""
    """URI of an MLflow tracking server or store, for loss curves; empty: none. Needs the extra `mlflow`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    density: DensityConfig = field(default_factory=DensityConfig)

    camera_pattern: str = ""
    """Where a video's path in the archive names its camera, as in {camera}/{date}/*: each camera with enough training
    cubes is calibrated on its own. Empty: one camera."""

    camera_cubes: int = 1000
    """Training cubes that are enough."""

    select: bool = False
    """Choose the network's memories and what the score is made of by pseudo-anomalies of held-out training videos,
    without labels. Then the model, fusion and density given here are where the choice starts."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)

    ray: RayConfig = field(default_factory=RayConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> TrainJob:
        """The defaults of the chosen preset."""
        name = early["preset"] or "compact"
        chosen = preset(name)
        settings = {name: getattr(chosen, name) for name in ("model", "training", "fusion", "density")}
        return cls(**{**required_missing(cls), **settings, "preset": name})

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ConfigError(f"--workers must not be negative, got {self.workers}")
        if self.workers > 1 and not self.ray.uses_ray:
            raise ConfigError(
                f"--workers {self.workers} are started by Ray, which ray.address = none leaves out; give --workers 1, "
                "or another address (local starts Ray here)"
            )
        if self.grace_seconds < 0:
            raise ConfigError(f"--grace-seconds must be at least 0, got {self.grace_seconds}")
        if self.smoothing < 1 or self.smoothing % 2 == 0:
            raise ConfigError(f"--smoothing must be odd and positive, got {self.smoothing}")
        if self.select and not self.has_network:
            raise ConfigError("--select chooses among networks, and there is none without training.stages")
        if self.init and self.select:
            raise ConfigError("--select tries networks of other shapes than that of --init; give one of the two")
        settings = feature_settings(self)
        for name in self.fusion.weights:
            for network in () if self.init else networks_for([name]):
                if {"frame", "joint", network}.isdisjoint(self.training.stages):
                    raise ConfigError(f"training.stages has no {network} stage, so fusion.{name} must be 0")
            feature_classes()[name].check(settings[name])
        PathPattern.of_camera(self.camera_pattern)

    @property
    def has_network(self) -> bool:
        """Whether the bundle has a network: one that is trained, or that of --init."""
        return bool(self.training.stages or self.init)


def train_job(job: TrainJob) -> int:
    """Train, calibrate and put the bundle; goes on from a checkpoint of the same settings. Returns the exit code."""
    job = replace(job, stc=absolute(job.stc), out=absolute(job.out), init=absolute(job.init))
    workers = max(1, job.workers)
    check_workers(job.training, workers)
    table = StcTable(job.stc)
    table.require_cubes(max(MIN_CUBES, 2 * workers))
    _check_cameras(job, table)
    if exists(join(job.out, "bundle.json")):
        return _already_there(job, settings_of(job, table))
    started = time.monotonic()
    if job.threads:
        torch.set_num_threads(job.threads)
    if job.select:
        candidates = join(job.out, "checkpoints", "select")
        selector = _selector(job, table, candidates)
        chosen = put_selection(_selection(job), settings_of(job, table), selector, candidates=candidates)
        if chosen is not None:
            print_selection(chosen.figures)
    if workers == 1:
        learn(job, table, choose_device(job.device))
    else:
        from hf2vad.cluster.train_group import run_group  # Ray Train takes seconds to import

        print(f"{workers} workers train together; what they print is in Ray's logs, their last checkpoint in {job.out}")
        work = partial(_work, job)
        run_group(work, workers=workers, config=job.ray, device=job.device, grace_seconds=job.grace_seconds)
    print_training(job.out, time.monotonic() - started)
    return EXIT_OK


def _check_cameras(job: TrainJob, table: StcTable) -> None:
    """Raise ConfigError where --camera-pattern names the camera of no video of the table: it would go unnoticed."""
    pattern = PathPattern.of_camera(job.camera_pattern)
    if job.camera_pattern and not any(pattern.camera_of(file.video) for file in table.files):
        raise ConfigError(
            f"--camera-pattern {job.camera_pattern!r} fits no video of {job.stc}, such as {table.files[0].video!r}"
        )


def _work(job: TrainJob, share: Share) -> None:
    """What each of several workers does."""
    torch.set_num_threads(job.threads or share.threads)
    device = torch.device("cuda", torch.cuda.current_device()) if share.gpu else torch.device("cpu")
    learn(job, StcTable(job.stc), device, share.listen())


def settings_of(job: TrainJob, table: StcTable) -> str:
    """A hash of everything that decides the bundle."""
    return hash_of(
        fingerprint(job.model),
        job.training.identity,
        fingerprint(job.loss),
        fingerprint(job.fusion),
        fingerprint(job.density),
        job.camera_pattern,
        job.camera_cubes,
        fingerprint(job.selection) if job.select else "",
        job.smoothing,
        table.fingerprint,
        *([initial_identity(job.init)] if job.init else []),
        *_later_features(job),
    )


def _later_features(job: TrainJob) -> list[Any]:
    """The settings, beside the density, of the features with a weight; empty where they have none."""
    settings = {name: own for name, own in feature_settings(job).items() if name in job.fusion.weights}
    return [[name, to_dict(own)] for name, own in settings.items() if fields(own) and name != Motion.name]


def learn(job: TrainJob, table: StcTable, device: torch.device, told: Callable[[], bool] | None = None) -> None:
    """Train, alone or as one of a process group, calibrate, and put the bundle.

    `told`: says whether to stop training; none: SIGTERM does. Raises StoppedError then, with a checkpoint written.
    """
    group = Group.current(device)
    settings = settings_of(job, table)
    figures: list[dict[str, Any]] = []
    if job.select:
        chosen = read_selection(_selection(job))
        job = replace(job, model=chosen.model, fusion=chosen.fusion, density=chosen.density)
        figures = chosen.figures
    model, history = _network(job, settings, table, device, group, told) if job.has_network else (None, [])
    own = {name: settings for name, settings in feature_settings(job).items() if name in counted_features(job.fusion)}
    features, perspective = fit_features(table, own, seed=job.training.seed)
    networks, batch = networks_for(features), job.training.batch
    engine = EagerEngine(model, device=device, batch=batch, networks=networks) if networks and model else None
    unit = perspective if job.fusion.perspective else None
    measured = measure_together(table, FeatureSet(features, engine, batch), unit, group)
    if not group.first:
        return
    normal = calibrate(
        measured,
        fusion=job.fusion,
        smoothing=job.smoothing,
        where=job.stc,
        camera_pattern=job.camera_pattern,
        camera_cubes=job.camera_cubes,
    )
    bundle = Bundle(
        settings=BundleSettings(
            extraction=table.extraction,
            model=job.model,
            fusion=job.fusion,
            smoothing=job.smoothing,
            calibration=normal.overall,
            camera_pattern=job.camera_pattern,
            cameras=normal.cameras,
            features=own,
            perspective=perspective,
        ),
        weights=model.state_dict() if model else {},
        features=features,
        probe=probe_cubes(table, job.training.probe_cubes),
        examples=normal_examples(table, job.training.examples),
        provenance={
            "settings": settings,
            "job": to_dict(job),
            "table": {"uri": job.stc, "fingerprint": table.fingerprint, "cubes": len(table), "files": len(table.files)},
            "history": history,
            "selection": figures,
            "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
            "workers": group.world,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": versions(),
        },
    )
    save_bundle(job.out, bundle)


def _network(
    job: TrainJob,
    settings: str,
    table: StcTable,
    device: torch.device,
    group: Group,
    told: Callable[[], bool] | None,
) -> tuple[HF2VAD, list[dict[str, Any]]]:
    """The network with all stages trained, and one record an epoch; settings: a hash of all that decides it."""
    torch.manual_seed(job.training.seed)
    model = HF2VAD(job.model)
    if job.init:
        put_initial(job.init, model)
    checkpoints = Checkpoints(join(job.out, "checkpoints", "last.safetensors"), settings=settings, group=group)
    curves = join(job.out, "tensorboard") if job.training.tensorboard else ""
    journals = partial(open_journals, job.mlflow, curves, flat(to_dict(job)))
    trainer = Trainer(model, table, job.training, job.loss, device, checkpoints, group, journals)
    with Stop() if told is None else contextlib.nullcontext() as stop:
        trainer.stop = told or (lambda: stop is not None and stop.told)
        return model, trainer.run()


def _selection(job: TrainJob) -> str:
    """Where what --select chose is kept."""
    return join(job.out, "checkpoints", "selection.json")


def _selector(job: TrainJob, table: StcTable, candidates: str) -> Selector:
    return Selector(
        table,
        job.model,
        job.training,
        job.loss,
        job.fusion,
        job.smoothing,
        job.selection,
        choose_device(job.device),
        lambda name: join(candidates, key_path(name) + ".safetensors"),
    )


def _already_there(job: TrainJob, settings: str) -> int:
    bundle_id = load_bundle_settings(job.out).id
    if load_provenance(job.out).get("settings") != settings:
        raise ConfigError(f"{job.out} has bundle {bundle_id} of other settings or another table; choose another --out")
    print(f"{job.out}: bundle {bundle_id} is already trained with these settings on this table; nothing to do")
    return EXIT_OK


JOB = Job("train", TrainJob, train_job, __doc__)
