"""The line of a row in the result table, made from the scores of its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from hf2vad.ablation.nodes import Node, Score, Train, Workspace
from hf2vad.ablation.plan import Plan
from hf2vad.ablation.rows import Row
from hf2vad.ablation.settings import STAGES
from hf2vad.ablation.variants import Cubes, Errors, auroc_interval, aurocs, frame_scores, fused, labelled
from hf2vad.errors import EvaluationError
from hf2vad.evaluation.labels import FrameLabels
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.features.settings import YARDSTICK
from hf2vad.schema import ABLATION, F64
from hf2vad.storage import join, read_json, read_table
from hf2vad.training.data import StcTable
from hf2vad.versions import versions

RAW = Smoothing("none", 1)


def frame_counts(uri: str) -> dict[str, int]:
    """Frames of each video of an STC table, from what its files say of themselves."""
    counts: dict[str, int] = {}
    for file in StcTable(uri).files:
        counts[file.video] = max(file.stop, counts.get(file.video, 0))
    return counts


class Records:
    """Makes lines of the result table (schema.ABLATION)."""

    def __init__(self, workspace: Workspace, labels: FrameLabels, smoothing: Smoothing) -> None:
        """`smoothing`: of the rows that do not say another."""
        self._workspace, self._labels, self._smoothing = workspace, labels, smoothing
        self._versions = ", ".join(f"{name} {version}" for name, version in versions().items())
        self._read = lru_cache(maxsize=64)(self._errors)

    def without(self, row: Row, seed: int, status: str, why: str) -> dict[str, Any]:
        """The line of a row that was `skipped` or `failed`."""
        smoothing = row.smoothing or self._smoothing
        line = {"row": row.name, "group": row.group, "title": row.title, "seed": seed, "part": row.part}
        line |= {"paper": row.paper, "smoothing": f"{smoothing.kind} {smoothing.window}", "status": status}
        line |= {"hardware": "", "date": "", "versions": self._versions, "note": why}
        return {**dict.fromkeys(ABLATION.names), **line}

    def of(self, plans: Sequence[Plan]) -> dict[str, Any]:
        """The line of a row whose nodes are all there; `failed` where its scores cannot be evaluated.

        `plans`: the row's, under one seed, or under all where it averages them.
        """
        plan = plans[0]
        try:
            figures = self._figures(plans)
        except EvaluationError as error:
            return self.without(plan.row, plan.seed, "failed", str(error))
        needed = [node for each in plans for node in each.nodes()]
        nodes = {node: read_json(join(self._workspace.folder(node), "unit.json")) for node in needed}
        note = f"seeds {', '.join(str(each.seed) for each in plans)}" if plan.row.average else ""
        line = {**self.without(plan.row, plan.seed, "done", note), **figures, **self._training(nodes)}
        seconds = self._workspace.tables[plan.cut].seconds + sum(content["seconds"] for content in nodes.values())
        hardware = "; ".join(dict.fromkeys(content["hardware"] for content in nodes.values()))
        date = max(content["date"] for content in nodes.values())
        return {**line, "seconds": round(seconds, 1), "hardware": hardware, "date": date}

    def _training(self, nodes: Mapping[Node, dict[str, Any]]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for node, content in nodes.items():
            if isinstance(node, Train):
                (stage,) = node.training.stages
                assert stage in STAGES
                counts |= {f"{stage}_epochs": content["epochs"], f"{stage}_steps": content["steps"]}
                counts["train_cubes"] = content["cubes"]
            else:
                counts["test_cubes"] = content["test_cubes"]
        return counts

    def _figures(self, plans: Sequence[Plan]) -> dict[str, Any]:
        """AUROC of the fused score, of each feature and of plain speed; and how many frames they are over."""
        plan = plans[0]
        smoothing = plan.row.smoothing or self._smoothing
        read = {part: self._read(score) for part, score in plan.scores.items()}
        cubes = read[YARDSTICK][0]
        errors: dict[str, Errors] = {part: values for part, (_, values) in read.items()}
        labels = labelled(self._labels, cubes.frames)
        raw: dict[str, dict[str, F64]] = {
            part: frame_scores(values.test.astype(np.float64), 0.0, cubes) for part, values in errors.items()
        }
        if plan.row.part == "fused":
            each = [self._fused(of_seed) for of_seed in plans]
            score = np.mean([score for score, _ in each], axis=0)
            raw["fused"] = frame_scores(score, float(np.mean([nothing for _, nothing in each])), cubes)
            if plan.row.average:
                raw = {part: raw[part] for part in ("fused", YARDSTICK)}
        figures: dict[str, Any] = {}
        for part, scores in raw.items():
            figures[part], figures[part + "_raw"] = aurocs(scores, labels, (smoothing, RAW))
        figures["auroc"], figures["auroc_raw"] = figures[plan.row.part], figures[plan.row.part + "_raw"]
        figures["auroc_low"], figures["auroc_high"] = auroc_interval(raw[plan.row.part], labels, smoothing)
        scored = [~np.isnan(raw[YARDSTICK][video][frame]) for video, (frame, _) in labels.items()]
        truth = [truth for _, truth in labels.values()]
        figures["frames"] = int(sum(there.sum() for there in scored))
        figures["anomalous"] = int(sum((there & true).sum() for there, true in zip(scored, truth, strict=True)))
        return figures

    def _fused(self, plan: Plan) -> tuple[F64, float]:
        errors: dict[str, Errors] = {part: self._read(score)[1] for part, score in plan.scores.items()}
        return fused(errors, plan.row.fusion_form, plan.fusion)

    def _errors(self, score: Score) -> tuple[Cubes, Errors]:
        folder = self._workspace.folder(score)
        test, train = (read_table(join(folder, f"{name}.parquet")) for name in ("test", "train"))
        videos = np.array(test["video"].to_pylist(), object)
        cubes = Cubes(videos, test["frame"].to_numpy(), frame_counts(self._workspace.tables[score.cut].test))
        return cubes, Errors(test["error"].to_numpy(), train["error"].to_numpy())
