"""Complete input of a training: everything that decides a bundle, and its sources and destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hf2vad.archive.recorders import recorder_path
from hf2vad.features.motion import DensityConfig, Motion
from hf2vad.features.registry import networks_for
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.cameras import Cameras, sampled
from hf2vad.hashes import hash_of
from hf2vad.models.settings import LossConfig, ModelConfig
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.settings import fingerprint, to_dict
from hf2vad.storage import join, key_path
from hf2vad.training.data import StcTable
from hf2vad.training.initial import initial_identity
from hf2vad.training.settings import SelectionConfig, TrainingConfig


@dataclass(frozen=True)
class Selection:
    """Choice of --select, and the figures behind it."""

    model: ModelConfig
    fusion: FusionConfig
    density: DensityConfig
    figures: list[dict[str, Any]]
    """One row a candidate: step, candidate, AUROC by kind of pseudo-anomaly, mean, whether it was chosen."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything beside the cubes that decides a bundle."""

    model: ModelConfig
    init: str
    """URI of the weights that training starts from; empty: random ones."""
    training: TrainingConfig
    loss: LossConfig
    fusion: FusionConfig
    features: Mapping[str, Any]
    """Settings of every feature, by its name."""
    smoothing: SmoothingRule
    """Length of the median filter over frame scores; `smoothing_of` says what holds for a table."""
    camera_pattern: str
    """Pattern that names a video's camera. If empty, the path does as archive/place.py reads it; with Eq. 9 cameras are
    not told apart."""
    camera_cubes: int
    """Eq. 9: training cubes from which on a camera is calibrated on its own."""
    one_camera: bool = False
    """True if all footage counts as one camera's."""
    selection: SelectionConfig | None
    """Selection of model, fusion and motion density before training. None: they are used as given."""

    @property
    def has_network(self) -> bool:
        """True if a network is trained, or loaded from `init`."""
        return bool(self.training.stages or self.init)

    @property
    def holds_out(self) -> bool:
        """True if part of the footage is held out from the network. A network is too sure of footage that it was
        trained on, so its tail must come from other footage."""
        return self.fusion.rule == "surprise" and bool(self.training.stages) and bool(networks_for(self.fusion.weights))

    def identity(self, table: StcTable) -> str:
        """A hash of the recipe and of the cubes of `table`."""
        weighted = {name: own for name, own in self.features.items() if name in self.fusion.weights}
        by_name = self.fusion.rule == "surprise" and not self.camera_pattern and not self.one_camera
        recorded = by_name and any(recorder_path(file.path) for file in table.files)
        later = [[name, own] for name, found in weighted.items() if name != Motion.name and (own := to_dict(found))]
        return hash_of(
            fingerprint(self.model),
            self.training.identity,
            fingerprint(self.loss),
            fingerprint(self.fusion),
            fingerprint(self.features[Motion.name]),
            self.camera_pattern,
            self.camera_cubes,
            fingerprint(self.selection) if self.selection else "",
            self.smoothing.frames,
            table.fingerprint,
            *([initial_identity(self.init)] if self.init else []),
            *later,
            *(["one camera"] if self.one_camera else []),
            *(["cameras from recorders' names"] if recorded else []),
            *([f"smoothed at {fps:g} frames/s"] if (fps := self.smoothing_of(table).fps) else []),
            *([f"ends {self.smoothing.ends}"] if self.smoothing.ends != "repeated" else []),
        )

    def smoothing_of(self, table: StcTable) -> SmoothingRule:
        """`smoothing`, but of any footage for a table of an earlier release, which does not say its videos' rates."""
        return self.smoothing if all(file.fps is not None for file in table.files) else self.smoothing._replace(fps=0.0)


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A training from its table to its bundle; travels to the processes that share it."""

    recipe: Recipe
    stc: str
    """URI of the table."""
    out: str
    """URI of the bundle."""
    max_cubes: int = 0
    """Cubes of a camera that are trained on, at most; 0: all."""
    mlflow: str
    """URI of the MLflow server or store that gets the curves; empty: none."""
    settings: Mapping[str, Any]
    """All settings of the job as plain values, for MLflow and the bundle's provenance."""

    def with_choice(self, choice: Selection) -> TrainingPlan:
        """This plan with the settings that `recipe.selection` chose."""
        features = {**self.recipe.features, Motion.name: choice.density}
        training = self.recipe.training.for_networks(networks_for(choice.fusion.weights))
        recipe = replace(self.recipe, model=choice.model, training=training, fusion=choice.fusion, features=features)
        chosen = {name: to_dict(getattr(choice, name)) for name in ("model", "fusion", "density")}
        return replace(self, recipe=recipe, settings={**self.settings, **chosen})

    def table(self) -> StcTable:
        """The cubes that are trained on. Raises what StcTable does."""
        table = StcTable(self.stc)
        cameras = Cameras.of(table.files, self.recipe.camera_pattern)
        return sampled(table, self.max_cubes, (lambda _: "") if self.recipe.one_camera else cameras.of_path)

    @property
    def checkpoint(self) -> str:
        """URI of the last checkpoint."""
        return join(self.out, "checkpoints", "last.safetensors")

    @property
    def choice(self) -> str:
        """URI of the choice of `recipe.selection`."""
        return join(self.out, "checkpoints", "selection.json")

    @property
    def candidates(self) -> str:
        """URI of the folder of checkpoints of what `recipe.selection` tries."""
        return join(self.out, "checkpoints", "select")

    def candidate(self, name: str) -> str:
        """URI of the checkpoint of a network that is tried."""
        return join(self.candidates, key_path(name) + ".safetensors")
