"""Train a site's model on an STC table, and write the bundle that hf2vad score needs.

Example:
    hf2vad train demo/stc --out demo/bundle --preset compact
    hf2vad train s3://vad/stc --out s3://vad/bundles/site-7 --preset avenue --training.amp bf16
    hf2vad train s3://vad/stc --out s3://vad/bundles/site-7 --preset avenue --workers 4
    hf2vad train ped2/stc --out ped2/bundle --preset ped2 --init ped2.pth --training.stages

With --init, training starts from the weights of another bundle, or of the paper's code (a .pth file; give the --preset
of its data set). With an empty --training.stages these weights are used as they are.

With --workers N, N processes train together on a Ray cluster, each on its share of every batch of training.batch cubes.
The loss curves are in tensorboard/ beside the bundle: tensorboard --logdir shows them.

Run the command again to resume from the last checkpoint. Exit code: 0 done, 2 usage or a table that cannot be trained
on, 143 stopped by SIGTERM, with a checkpoint written first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from hf2vad.archive.pattern import PathPattern
from hf2vad.cluster.settings import GRACE_SECONDS, RayConfig
from hf2vad.cluster.stop import Stop
from hf2vad.commandline import EXIT_OK, Job, required_missing
from hf2vad.errors import ConfigError
from hf2vad.features.motion import DensityConfig
from hf2vad.features.registry import feature_classes, feature_settings, networks_for, with_feature_settings
from hf2vad.features.settings import FusionConfig
from hf2vad.models.settings import LossConfig, ModelConfig
from hf2vad.plurals import count_words
from hf2vad.presets import PresetName, preset
from hf2vad.scoring.settings import Ends
from hf2vad.settings import require, require_odd, require_rate, to_dict, with_files
from hf2vad.training.settings import SelectionConfig, TrainingConfig

if TYPE_CHECKING:
    import torch

    from hf2vad.fitting.recipe import TrainingPlan
    from hf2vad.training.data import StcTable

MIN_CUBES = 16
"""A table with fewer cubes says nothing about what is normal."""


@dataclass(frozen=True, kw_only=True)
@with_feature_settings
class TrainJob:
    """Settings of hf2vad train."""

    EARLY: ClassVar[tuple[str, ...]] = ("preset",)

    stc: str
    """The STC table: what hf2vad extract wrote, or a folder of it."""

    out: str
    """Folder for the bundle. Checkpoints are kept in its checkpoints/."""

    preset: PresetName = "compact"
    """Preset that gives the defaults of model, training and fusion."""

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
    """Seconds that workers may take after SIGTERM to finish their step and write a checkpoint. After that, or at a
    second SIGTERM, they are dropped. Training in one process takes the time that it needs."""

    smoothing: int = 17
    """Frames of the median filter over frame scores, counted at `smoothing_fps`; odd, 1: none."""

    smoothing_fps: float = 0.0
    """Frames a second of the footage that `smoothing` counts: a video with twice as many is smoothed over twice as
    many, so over the same time. 0: `smoothing` frames of any footage, as of folders of images that were
    extracted and are scored without --image-fps."""

    smoothing_ends: Ends = "repeated"
    """Frames that the median filter takes from beyond the ends of a video. `repeated`: the first or the last one again
    and again, so that it smooths hardly anything there. `mirrored`: the frames on the other side of it, in a mirror."""

    mlflow: str = ""
    """URI of an MLflow tracking server or store, for loss curves; empty: none. Needs the extra `mlflow`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    density: DensityConfig = field(default_factory=DensityConfig)

    camera_pattern: str = ""
    """Pattern whose {camera} names a video's camera, as in {camera}/{date}/*. If empty, the names of usual recorders
    are read (Frigate, Reolink, …); else the first folder is the camera, or the file for a video outside of folders.
    With `fusion.rule eq9` all footage counts as one camera's. By surprise each camera is learned apart as far as its
    footage allows, and shares the rest with all cameras."""

    camera_cubes: int = 1000
    """`fusion.rule eq9`: training cubes from which on a camera is calibrated on its own."""

    one_camera: bool = False
    """Take all footage for that of one camera, whatever its paths say."""

    max_cubes: int = 20_000
    """Cubes of a camera that are trained on, at most: whole files of the table, spread evenly over its videos and
    their time. 0: all of them."""

    select: bool = False
    """Choose the network's memories and what the score is made of by pseudo-anomalies of held-out training videos,
    without labels. Then the model, fusion and density given here are where the choice starts; by surprise, features
    that do not help are dropped. What is dropped is neither trained nor computed."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)

    ray: RayConfig = field(default_factory=RayConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> TrainJob:
        """The defaults of the chosen preset."""
        name = early["preset"] or "compact"
        chosen = preset(name)
        names = ("model", "training", "fusion", "density", "residual", "smoothing_fps", "smoothing_ends")
        settings = {name: getattr(chosen, name) for name in names}
        return cls(**{**required_missing(cls), **settings, "preset": name})

    def __post_init__(self) -> None:
        require(self.max_cubes >= 0, f"--max-cubes must be at least 0, got {self.max_cubes}")
        require(self.workers >= 0, f"--workers must not be negative, got {self.workers}")
        if self.workers > 1 and not self.ray.uses_ray:
            raise ConfigError(
                f"--workers {self.workers} are started by Ray, which ray.address = none leaves out; give --workers 1, "
                "or another address (local starts Ray here)"
            )
        require(self.grace_seconds >= 0, f"--grace-seconds must be at least 0, got {self.grace_seconds}")
        require_odd("--smoothing", self.smoothing)
        require_rate("--smoothing-fps", self.smoothing_fps)
        if self.init and self.select:
            raise ConfigError("--select tries networks of other shapes than that of --init; give one of the two")
        if self.select and not self.training.stages and self.fusion.rule == "eq9":
            raise ConfigError(
                "--select with fusion.rule = eq9 chooses among networks, and there is none without training.stages"
            )
        settings = feature_settings(self)
        for name in self.fusion.weights:
            for network in () if self.init else networks_for([name]):
                if {"frame", "joint", network}.isdisjoint(self.training.stages):
                    raise ConfigError(
                        f"training.stages has no {network} stage, so fusion.{name} must be 0, or --init the weights"
                    )
            feature_classes()[name].check(settings[name])
        if self.fusion.perspective and settings["flow"].unit != "pixels":
            raise ConfigError("fusion.perspective and residual.unit both divide S_r by a length; give one of them")
        PathPattern.of_camera(self.camera_pattern)
        if self.one_camera and self.camera_pattern:
            raise ConfigError("--one-camera and --camera-pattern contradict each other; give one of the two")


def train_job(job: TrainJob) -> int:
    """Train, calibrate and put the bundle; goes on from a checkpoint of the same settings. Returns the exit code."""
    from hf2vad.fitting.learn import Trained, put_trained
    from hf2vad.report.training import print_sample, print_training
    from hf2vad.storage import absolute, exists, join, require_writable
    from hf2vad.training.settings import check_workers

    job = replace(job, stc=absolute(job.stc), out=absolute(job.out), init=absolute(job.init))
    workers, plan = max(1, job.workers), training_plan(job)
    check_workers(job.training, workers)
    table = plan.table()
    print_sample(job.stc, table, job.max_cubes)
    if plan.recipe.smoothing_of(table) != plan.recipe.smoothing:
        print(
            f"{job.stc}: of an earlier release, without the frame rates of its videos; scores will be smoothed over "
            f"{count_words(job.smoothing, 'frame')} of any footage. To smooth over the same time, extract anew",
            flush=True,
        )
    table.require_cubes(max(MIN_CUBES, 2 * workers))
    _check_cameras(job, table)
    _print_cameras(job, table)
    if exists(join(job.out, "bundle.json")):
        return _already_there(plan, table)
    require_writable(job.out)
    started = time.monotonic()
    if plan.recipe.has_network or job.select or workers > 1 or job.device not in ("auto", "cpu"):
        _train_network(job, plan, table, workers)
    else:
        put_trained(Trained.without_network(plan, plan.recipe.identity(table)), table, None)
    print_training(job.out, time.monotonic() - started)
    return EXIT_OK


def _train_network(job: TrainJob, plan: TrainingPlan, table: StcTable, workers: int) -> None:
    import torch  # seconds, which a recipe without a network does not pay

    from hf2vad.fitting.learn import put_trained
    from hf2vad.fitting.network import train_network
    from hf2vad.models.device import choose_device

    if job.threads:
        torch.set_num_threads(job.threads)
    if job.select:
        _select(job, plan, table, choose_device(job.device))
    if workers > 1:
        _train_together(job, plan, workers)
        return
    device = choose_device(job.device)
    with Stop() as stop:
        trained = train_network(plan, table, device, lambda: stop.signalled)
    put_trained(trained, table, device)


def training_plan(job: TrainJob) -> TrainingPlan:
    """The training that `job` asks for, whose places are absolute."""
    from hf2vad.fitting.recipe import Recipe, TrainingPlan
    from hf2vad.scoring.settings import SmoothingRule

    recipe = Recipe(
        model=job.model,
        init=job.init,
        training=job.training,
        loss=job.loss,
        fusion=job.fusion,
        features={name: _absolute(name, own) for name, own in feature_settings(job).items()},
        smoothing=SmoothingRule(job.smoothing, job.smoothing_fps, job.smoothing_ends),
        camera_pattern=job.camera_pattern,
        camera_cubes=job.camera_cubes,
        one_camera=job.one_camera,
        selection=job.selection if job.select else None,
    )
    return TrainingPlan(
        recipe=recipe, stc=job.stc, out=job.out, mlflow=job.mlflow, max_cubes=job.max_cubes, settings=to_dict(job)
    )


def _absolute(name: str, settings: Any) -> Any:
    """A feature's settings with the places of its files absolute, for workers, which run in folders of their own."""
    from hf2vad.storage import absolute

    return with_files(settings, name, lambda _, uri, sha256: (absolute(uri), sha256))


def _check_cameras(job: TrainJob, table: StcTable) -> None:
    """Raise ConfigError where --camera-pattern names the camera of no video of the table: it would go unnoticed."""
    pattern = PathPattern.of_camera(job.camera_pattern)
    if job.camera_pattern and not any(pattern.camera_of(file.path) for file in table.files):
        raise ConfigError(
            f"--camera-pattern {job.camera_pattern!r} fits no video of {job.stc}, such as {table.files[0].path!r}"
        )


def _print_cameras(job: TrainJob, table: StcTable) -> None:
    """Print the cameras that are learnt apart by the names that recorders gave, where there are such."""
    from hf2vad.archive.place import RecorderCameras

    recorders = RecorderCameras()
    if job.fusion.rule == "surprise" and not job.camera_pattern and not job.one_camera:
        for file in table.files:
            recorders.note(file.path)
    for line in recorders.lines():
        print(line, flush=True)


def _already_there(plan: TrainingPlan, table: StcTable) -> int:
    from hf2vad.bundle.settings import load_bundle_settings, load_provenance

    bundle_id = load_bundle_settings(plan.out).id
    if load_provenance(plan.out).get("settings") != plan.recipe.identity(table):
        raise ConfigError(
            f"{plan.out} holds bundle {bundle_id} of other settings or another table; choose another --out"
        )
    print(f"{plan.out}: bundle {bundle_id} is already trained with these settings on this table; nothing to do")
    return EXIT_OK


def _select(job: TrainJob, plan: TrainingPlan, table: StcTable, device: torch.device) -> None:
    """Choose what --select chooses, unless it was chosen before."""
    from hf2vad.fitting.select import put_selection
    from hf2vad.report.training import print_selection

    selection = put_selection(plan, table, job.selection, device)
    if selection is not None:
        print_selection(selection.figures)


def _train_together(job: TrainJob, plan: TrainingPlan, workers: int) -> None:
    from hf2vad.cluster.train_group import run_group
    from hf2vad.tasks.training import train_share

    print(f"{workers} processes train together; what they print is in Ray's logs, their last checkpoint in {job.out}")
    work = partial(train_share, plan, job.threads)
    run_group(work, workers=workers, config=job.ray, device=job.device, grace_seconds=job.grace_seconds)


JOB = Job(
    "train",
    TrainJob,
    train_job,
    __doc__,
    shown=("stc", "out", "preset", "init", "camera-pattern", "select", "device", "workers"),
    reads="stc",
)
