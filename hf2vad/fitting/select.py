"""`--select`: network and features chosen without labels, by pseudo-anomalies of held-out training videos.

Two choices, in this order. The network, where there is one: each candidate's flow stage is trained for a few steps on
the other videos and judged by S_r alone. The features of the score: the chosen network gets a short frame stage too
where one counts, features are fitted, and sets of them are judged: by Eq. 9 those of select_features.py, by surprise
the preset's without some of them (select_parts.py). Something more complicated must be better by a margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hf2vad.engines.eager import EagerEngine
from hf2vad.errors import TrainingError
from hf2vad.features.feature import CubeArrays
from hf2vad.features.motion import DensityConfig, Motion
from hf2vad.features.registry import networks_for
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.calibrate import calibrate
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.edges import with_edge_scales
from hf2vad.fitting.hold_out import hold_out
from hf2vad.fitting.measure import measure_normal
from hf2vad.fitting.pseudo import HeldOut, Kind, cubes_of, figure_row, first_best, pseudo_anomalies, separation
from hf2vad.fitting.recipe import Recipe, Selection, TrainingPlan
from hf2vad.fitting.sample import fit_features
from hf2vad.fitting.select_features import choose_features
from hf2vad.fitting.select_parts import choose_parts
from hf2vad.models.hf2vad import HF2VAD, flow_error
from hf2vad.models.inputs import cube_tensors
from hf2vad.models.settings import FlowError, ModelConfig
from hf2vad.schema import F64
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.settings import from_dict, to_dict
from hf2vad.storage import delete, exists, list_files, put_json, read_json
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import StcTable
from hf2vad.training.group import Group
from hf2vad.training.loop import Trainer
from hf2vad.training.settings import SelectionConfig

ERRORS: tuple[FlowError, ...] = ("sum", "median", "min")
SPEEDS: tuple[Kind, ...] = ("speed2", "speed3")
"""The pseudo-anomalies that S_r can tell: it knows no direction and sees no pixels."""


def split_videos(table: StcTable, every: int) -> tuple[StcTable, StcTable]:
    """Two parts of `table`: all but every so-many-th video, and the held-out ones.

    Raises TrainingError for a table of one video.
    """
    videos = sorted({file.video for file in table.files if len(file)})
    if len(videos) < 2:
        raise TrainingError(f"{table.uri}: --select needs cubes of two videos at least, to hold one out; it has one")
    held = set(videos[min(every, len(videos)) - 1 :: every])
    first, second = ([file for file in table.files if (file.video in held) is wanted] for wanted in (False, True))
    return table.only(first), table.only(second)


@dataclass(frozen=True)
class Selector:
    """Chooses for one table."""

    table: StcTable
    recipe: Recipe
    """Recipe that the selection starts from."""
    config: SelectionConfig
    device: torch.device
    checkpoint: Callable[[str], str]
    """URI of the checkpoint of a candidate, by its name."""

    def run(self) -> Selection:
        """Choose. Raises TrainingError for a table of one video."""
        fit, rest = split_videos(self.table, self.config.hold_out)
        held = cubes_of(rest, self.config.cubes)
        model = self.recipe.model
        figures: list[dict[str, Any]] = []
        if "flow" in self.recipe.training.stages:
            model, figures = self._choose_network(fit, held)
        choose = self._by_surprise if self.recipe.fusion.rule == "surprise" else self._by_eq9
        fusion, density, rows = choose(fit, held, model)
        return Selection(model, fusion, density, [*figures, *rows])

    def _by_eq9(
        self, fit: StcTable, held: HeldOut, model: ModelConfig
    ) -> tuple[FusionConfig, DensityConfig, list[dict[str, Any]]]:
        network = self._trained(fit, model, "parts", ("flow", "frame"))
        return choose_features(
            EagerEngine(network, device=self.device, batch=self.recipe.training.batch),
            fit,
            held,
            preset=self.recipe.fusion,
            smoothing=self._smoothing,
            cubes=self.config.cubes,
            margin=self.config.margin,
            seed=self.recipe.training.seed,
        )

    def _by_surprise(
        self, fit: StcTable, held: HeldOut, model: ModelConfig
    ) -> tuple[FusionConfig, DensityConfig, list[dict[str, Any]]]:
        recipe, engine, unseen = self.recipe, None, None
        counted = {name: own for name, own in recipe.features.items() if name in recipe.fusion.weights}
        networks, batch = networks_for(recipe.fusion.weights), recipe.training.batch
        if networks:
            cameras = Cameras.of(fit.files, recipe.camera_pattern, one=recipe.one_camera)
            seen, unseen = hold_out(fit, cameras.apart_of)
            network = self._trained(seen, model, "parts", networks)
            engine = EagerEngine(network, device=self.device, batch=batch, networks=networks)
        features = FeatureSet(fit_features(fit, counted, seed=recipe.training.seed)[0], engine, batch)
        files, plain = measure_normal(fit, unseen, features, None, Group())
        scaled, files, plain = with_edge_scales(features.features, files, plain)
        features = replace(features, features=scaled)
        normal = calibrate(files, fusion=recipe.fusion, smoothing=self._smoothing, where=self.table.uri, plain=plain)
        fusion, rows = choose_parts(
            features,
            Scorer.surprise(recipe.fusion, normal.overall, normal.overall),
            held,
            preset=recipe.fusion,
            smoothing=self._smoothing,
            margin=self.config.margin,
            seed=recipe.training.seed,
        )
        return fusion, recipe.features.get(Motion.name, DensityConfig()), rows

    @property
    def _smoothing(self) -> SmoothingRule:
        """The median filter at the usual rate of the table's videos."""
        rate = float(np.median([file.fps or 0.0 for file in self.table.files]))
        rule = self.recipe.smoothing_of(self.table)
        return SmoothingRule(rule.window(rate), ends=rule.ends)

    def _candidates(self) -> Iterator[tuple[str, ModelConfig]]:
        """The preset's own network first, then those with other memories."""
        yield f"{self.recipe.model.slots} slots", self.recipe.model
        for slots in self.config.slots:
            if slots != self.recipe.model.slots:
                yield f"{slots} slots", replace(self.recipe.model, slots=slots)
        if self.config.cosine and self.recipe.model.addressing == "dot":
            yield f"{self.recipe.model.slots} slots by cosine", replace(self.recipe.model, addressing="cosine")

    def _choose_network(self, fit: StcTable, held: HeldOut) -> tuple[ModelConfig, list[dict[str, Any]]]:
        changed = {kind: pseudo_anomalies(held, kind, seed=self.recipe.training.seed) for kind in SPEEDS}
        rows: list[dict[str, Any]] = []
        configs: list[ModelConfig] = []
        for name, config in self._candidates():
            network = self._trained(fit, config, name, ("flow",))
            normal = self._errors(network, held.cubes)
            unusual = {kind: self._errors(network, cubes) for kind, cubes in changed.items()}
            for error in ERRORS:
                figures = {
                    kind: separation(held, normal[error], unusual[kind][error], smoothing=self._smoothing)
                    for kind in SPEEDS
                }
                rows.append(figure_row("network", f"{name}, {error} of the flows' errors", figures))
                configs.append(replace(config, flow_error=error))
        best = first_best([row["mean"] for row in rows], self.config.margin)
        rows[best]["chosen"] = True
        return configs[best], rows

    @torch.inference_mode()
    def _errors(self, network: HF2VAD, cubes: CubeArrays) -> dict[FlowError, F64]:
        """S_r of `cubes` in each of its forms, without predicting frames."""
        s_flows: dict[FlowError, list[F64]] = {error: [] for error in ERRORS}
        for part in cubes.chunks(self.recipe.training.batch):
            inputs = cube_tensors(part.appearance, part.flow, self.device)
            residual = network.reconstruct(inputs).flow.float() - inputs.flows
            for error, parts in s_flows.items():
                s_flow = flow_error(residual, replace(network.config, flow_error=error))
                parts.append(s_flow.double().cpu().numpy())
        return {error: np.concatenate(parts) for error, parts in s_flows.items()}

    def _trained(self, fit: StcTable, model: ModelConfig, name: str, stages: Sequence[Any]) -> HF2VAD:
        """A network trained for a few steps on `fit`; goes on from its checkpoint."""
        whole = self.recipe.training
        torch.manual_seed(whole.seed)
        network = HF2VAD(model)
        flow, frame = (
            replace(stage, epochs=1, steps=self.config.steps, least_steps=0) for stage in (whole.flow, whole.frame)
        )
        training = replace(whole, stages=tuple(stages), flow=flow, frame=frame, tensorboard=False)
        settings = f"{model} {training} {self.recipe.loss} {fit.fingerprint} {len(fit)}"
        checkpoints = Checkpoints(self.checkpoint(name), settings=settings)
        Trainer(network, fit, training, self.recipe.loss, self.device, checkpoints).run()
        return network.eval()


def put_selection(
    plan: TrainingPlan, table: StcTable, config: SelectionConfig, device: torch.device
) -> Selection | None:
    """Choose and put the choice; None where one of the same recipe and table is there already.

    The checkpoints of what is tried go when the choice is made.
    """
    identity = plan.recipe.identity(table)
    if exists(plan.choice) and read_json(plan.choice).get("settings") == identity:
        return None
    selection = Selector(table, plan.recipe, config, device, plan.candidate).run()
    put_json(plan.choice, {"settings": identity, **to_dict(selection)})
    for entry in list(list_files(plan.candidates)):
        delete(entry.uri)
    return selection


def read_selection(uri: str) -> Selection:
    """The choice at `uri`."""
    kept = read_json(uri)
    return Selection(
        model=from_dict(ModelConfig, kept["model"], where=uri),
        fusion=from_dict(FusionConfig, kept["fusion"], where=uri),
        density=from_dict(DensityConfig, kept["density"], where=uri),
        figures=kept["figures"],
    )
