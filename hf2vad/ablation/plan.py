"""The nodes that the rows of an ablation need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hf2vad.ablation.nodes import Cut, Node, Score, Train
from hf2vad.ablation.rows import Row
from hf2vad.ablation.settings import STAGES, StageName
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.features.registry import feature_classes, networks_for
from hf2vad.features.settings import YARDSTICK, FusionConfig
from hf2vad.models.settings import NETWORKS, LossConfig, ModelConfig
from hf2vad.settings import from_dict
from hf2vad.training.settings import StageConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Base:
    """Settings that every row starts from."""

    train: str
    test: str
    boxes: tuple[str, str]
    """Parquet files of boxes of train and test; empty where none are given."""
    extraction: ExtractionConfig
    model: ModelConfig
    loss: LossConfig
    training: TrainingConfig
    fusion: FusionConfig
    calibration_cubes: int

    def lacks(self, row: Row, *, seeds: int) -> str:
        """Why `row` cannot be computed with what was given; empty where it can."""
        if row.average and seeds < 2:
            return "needs several --seeds"
        if row.needs == "detector" and not self.extraction.detector.model:
            return "needs --detector.model"
        if row.needs == "boxes" and not self.boxes[0]:
            return "needs --boxes-train and --boxes-test"
        return ""


@dataclass(frozen=True)
class Plan:
    """Nodes that one row needs for one seed."""

    row: Row
    seed: int
    cut: Cut
    scores: Mapping[str, Score]
    """Score nodes, by feature."""
    fusion: FusionConfig

    def nodes(self) -> Iterator[Node]:
        """All its nodes; what one needs comes before it."""
        for score in self.scores.values():
            chain: list[Train] = []
            needed = score.after
            while needed is not None:
                chain.insert(0, needed)
                needed = needed.after
            yield from chain
            yield score


def plan(row: Row, seed: int, base: Base) -> Plan:
    """The nodes of `row`. Raises ConfigError for an override that is no setting; `base` must not lack anything."""
    where = f"row {row.name}"
    cut = _cut(from_dict(ExtractionConfig, row.extraction, base=base.extraction, where=where), base)
    model = from_dict(ModelConfig, row.model, base=base.model, where=where)
    loss = from_dict(LossConfig, row.loss, base=base.loss, where=where)
    training = from_dict(TrainingConfig, row.training, base=base.training, where=where)

    def stage(name: StageName, model: ModelConfig, loss: LossConfig, after: Train | None) -> Train:
        own: dict[str, Any] = {other: StageConfig(epochs=1) for other in STAGES if other != name}
        return Train(cut, model, loss, replace(training, stages=(name,), seed=seed, **own), after)

    # The flow stage does not see what belongs to the frame: rows that differ in that share its network.
    guided = model.condition == "reconstructed"
    flow_error, model = model.flow_error, replace(model, flow_error="sum")  # does not change the network
    flow_model, flow_loss = replace(model, condition="reconstructed"), LossConfig(flow=loss.flow, entropy=loss.entropy)
    networks = {"flow": stage("flow", flow_model, flow_loss, None)}
    if row.part != "flow":
        networks["frame"] = stage("frame", model, loss, networks["flow"] if guided else None)
    if row.joint:
        joint = stage("joint", model, loss, networks["frame"])
        networks = {"flow": joint, "frame": joint}
    fusion = from_dict(FusionConfig, row.fusion, base=base.fusion, where=where)
    count, heights = base.calibration_cubes, fusion.perspective
    scores = {YARDSTICK: Score(cut, YARDSTICK, None, count, perspective=heights)}
    for name in fusion.weights:
        if name != YARDSTICK and not networks_for([name]):
            scores[name] = Score(cut, name, None, count, **_feature_form(name, row, heights, where))
    for name in _network_features(row, fusion):
        form = {"flow_error": flow_error, "perspective": heights} if name == "flow" else {}
        scores[name] = Score(cut, name, networks[name], count, **form)  # type: ignore[arg-type]
    return Plan(row, seed, cut, scores, fusion)


def _feature_form(name: str, row: Row, heights: bool, where: str) -> dict[str, Any]:
    """Settings, and whether in box heights, of a feature that needs no network, as fields of Score."""
    cls = feature_classes()[name]
    form: dict[str, Any] = {"perspective": heights and cls.length_power > 0}
    if cls.key() in row.settings:
        form[cls.key()] = from_dict(cls.Settings, row.settings[cls.key()], where=where)
    return form


def _network_features(row: Row, fusion: FusionConfig) -> tuple[StageName, ...]:
    if row.part != "fused":
        return (row.part,)
    return NETWORKS if row.fusion_form != "weights" else tuple(name for name in NETWORKS if name in fusion.weights)


def _cut(extraction: ExtractionConfig, base: Base) -> Cut:
    """The Cut of an extraction, without what does not touch its cubes."""
    detector = extraction.detector.without_unused()
    boxes = base.boxes if "boxes" in detector.kinds else ("", "")
    return Cut(base.train, base.test, replace(extraction, detector=detector), boxes)


def distinct(plans: Iterable[Plan]) -> list[Node]:
    """The nodes of `plans`, each once; what one needs comes before it."""
    return list(dict.fromkeys(node for each in plans for node in each.nodes()))
