"""The ablations as data: one row a configuration, each on top of the job's settings.

A row is added in one line of `ROWS`. It says what differs (`extraction`, `model`, `loss`, `training`, `fusion`: nested
values under the names of the settings), which parts of the method it needs, and how their errors become frame scores.
Nothing is chosen by the figures of these rows: they are of the test labels.
"""

from __future__ import annotations

import fnmatch
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

import pyarrow as pa

from hf2vad.ablation.variants import FusionForm
from hf2vad.errors import ConfigError
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.features.settings import FEATURES, YARDSTICK
from hf2vad.models.settings import NETWORKS
from hf2vad.schema import ABLATION

Part = Literal["flow", "frame", "fused"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration."""

    name: str
    """Unique; what --rows takes."""
    group: str
    """The question that this row and its neighbours answer."""
    title: str
    """Name of the row within its group."""
    part: Part = "fused"
    """The score that is the row's figure. `flow` and `frame` train and score that part alone."""
    joint: bool = False
    """True if the joint stage fine-tunes both networks after their own stages."""
    paper: float | None = None
    """The paper's frame AUROC on Ped2, percent (the best epoch as chosen on the test set)."""
    needs: Literal["", "detector", "boxes"] = ""
    """Option that the row cannot run without: --detector.model, or --boxes-train and --boxes-test."""
    extraction: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    fusion: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of features, under their keys."""
    fusion_form: FusionForm = "weights"
    """Rule that fuses features into one score."""
    average: bool = False
    """True for a row that stands for all seeds: the mean of their fused scores, cube by cube."""
    smoothing: Smoothing | None = None
    """Filter over frame scores; none: the job's."""


_MEMORIES: Mapping[int, Mapping[str, Any]] = {
    1: {"memories": ["bottleneck"], "skips": []},
    2: {"memories": ["bottleneck", "up3"], "skips": ["up3"]},
    3: {"memories": ["bottleneck", "up3", "up2"], "skips": ["up3", "up2"]},
}
"""Memories come with the skip into their level: a skip without a memory behind it lets every flow through."""


def _flow(preset: str, scale: float) -> Mapping[str, Any]:
    return {"flow": {"preset": preset, "scale": scale, "units": "source"}}


def _boxes(*kinds: str) -> Mapping[str, Any]:
    return {"detector": {"kinds": list(kinds)}}


def _error(form: str) -> Mapping[str, Any]:
    return {"flow_error": form}


def _only(*parts: str, perspective: bool = False) -> Mapping[str, Any]:
    """Equal weights of these parts, the others left out."""
    weights = {name: float(name in parts) for name in FEATURES}
    return {**weights, "perspective": perspective}


def _density(kind: str, height: str = "none") -> Mapping[str, Any]:
    return {"density": {"kind": kind, "height": height}}


_T2, _DIS, _BOX, _SMOOTH, _ADD = "paper, Table 2", "DIS flow", "boxes", "smoothing", "additions"

ROWS: tuple[Row, ...] = (
    Row(name="flow-1", group=_T2, title="flow only, 1 memory", part="flow", model=_MEMORIES[1], paper=96.27),
    Row(name="flow-2", group=_T2, title="flow only, 2 memories", part="flow", model=_MEMORIES[2], paper=97.75),
    Row(name="flow-3", group=_T2, title="flow only, 3 memories", part="flow", model=_MEMORIES[3], paper=98.81),
    Row(name="vae", group=_T2, title="VAE, no flow", part="frame", model={"condition": "none"}, paper=89.96),
    Row(
        name="cvae", group=_T2, title="CVAE, observed flow", part="frame", model={"condition": "observed"}, paper=94.48
    ),
    Row(name="hybrid-1", group=_T2, title="hybrid, 1 memory", model=_MEMORIES[1], paper=96.91),
    Row(name="hybrid-2", group=_T2, title="hybrid, 2 memories", model=_MEMORIES[2], paper=98.28),
    Row(name="hybrid-3", group=_T2, title="hybrid, 3 memories", model=_MEMORIES[3], paper=99.31),
    Row(name="joint-off", group="joint stage", title="off"),
    Row(name="joint-on", group="joint stage", title="on", joint=True),
    Row(name="kl-published", group="KL weight", title="as published", loss={"kl_scale": "published"}),
    Row(name="kl-eq6", group="KL weight", title="Eq. 6", loss={"kl_scale": "eq6"}),
    Row(name="gradient-eq7", group="gradient loss", title="Eq. 7, per channel", loss={"gradient_form": "eq7"}),
    Row(name="gradient-published", group="gradient loss", title="published", loss={"gradient_form": "published"}),
    Row(name="units-source", group="flow vectors", title="source pixels", extraction={"flow": {"units": "source"}}),
    Row(name="units-enlarged", group="flow vectors", title="enlarged", extraction={"flow": {"units": "enlarged"}}),
    Row(name="dis-ultrafast-2", group=_DIS, title="ultrafast, 2×", part="flow", extraction=_flow("ultrafast", 2.0)),
    Row(name="dis-fast-1", group=_DIS, title="fast, 1×", part="flow", extraction=_flow("fast", 1.0)),
    Row(name="dis-fast-2", group=_DIS, title="fast, 2×", part="flow", extraction=_flow("fast", 2.0)),
    Row(name="dis-fast-half-1", group=_DIS, title="fast_half, 1×", part="flow", extraction=_flow("fast_half", 1.0)),
    Row(name="dis-medium-1", group=_DIS, title="medium, 1×", part="flow", extraction=_flow("medium", 1.0)),
    Row(name="dis-medium-2", group=_DIS, title="medium, 2×", part="flow", extraction=_flow("medium", 2.0)),
    Row(name="boxes-motion", group=_BOX, title="motion", part="flow", extraction=_boxes("motion")),
    Row(
        name="boxes-detector",
        group=_BOX,
        title="ONNX detector",
        part="flow",
        extraction=_boxes("onnx"),
        needs="detector",
    ),
    Row(
        name="boxes-both",
        group=_BOX,
        title="detector and motion",
        part="flow",
        extraction=_boxes("onnx", "motion"),
        needs="detector",
    ),
    Row(name="boxes-given", group=_BOX, title="given", part="flow", extraction=_boxes("boxes"), needs="boxes"),
    Row(name="fusion-weights", group="fusion", title="Eq. 9, the preset's weights"),
    Row(name="fusion-zscores", group="fusion", title="equal z-scores", fusion_form="zscores"),
    Row(name="fusion-ranks", group="fusion", title="ranks among training cubes", fusion_form="ranks"),
    Row(name="seeds", group=_ADD, title="scores of all seeds averaged", average=True),
    Row(name="error-median", group=_ADD, title="median of the flows' errors", model=_error("median")),
    Row(name="error-min", group=_ADD, title="smallest of the flows' errors", model=_error("min")),
    Row(name="cosine", group=_ADD, title="addressing by cosine", part="flow", model={"addressing": "cosine"}),
    Row(name="perspective", group=_ADD, title="S_r in box heights", fusion={"perspective": True}),
    Row(name="speed", group=_ADD, title="speed alone", fusion=_only("speed")),
    Row(name="speed-heights", group=_ADD, title="speed in box heights", fusion=_only("speed", perspective=True)),
    Row(name="flow-speed", group=_ADD, title="flow and speed", fusion=_only("flow", "speed")),
    Row(name="flow-frame-speed", group=_ADD, title="flow, frame, speed", fusion=_only("flow", "frame", "speed")),
    Row(name="knn", group=_ADD, title="density, k nearest", fusion=_only("motion"), settings=_density("knn")),
    Row(
        name="knn-heights",
        group=_ADD,
        title="the same in box heights",
        fusion=_only("motion"),
        settings=_density("knn", "perspective"),
    ),
    Row(name="gmm", group=_ADD, title="density, Gaussian mixture", fusion=_only("motion"), settings=_density("gmm")),
    Row(
        name="gmm-heights",
        group=_ADD,
        title="the same in box heights",
        fusion=_only("motion"),
        settings=_density("gmm", "perspective"),
    ),
    Row(
        name="speed-knn",
        group=_ADD,
        title="speed and k nearest",
        fusion=_only("speed", "motion"),
        settings=_density("knn"),
    ),
    Row(
        name="all",
        group=_ADD,
        title="flow, frame, speed, k nearest",
        fusion=_only("flow", "frame", "speed", "motion"),
        settings=_density("knn"),
    ),
    Row(name="smoothing-none", group=_SMOOTH, title="none", smoothing=Smoothing("none", 1)),
    Row(name="smoothing-median-9", group=_SMOOTH, title="median 9", smoothing=Smoothing("median", 9)),
    Row(name="smoothing-median-17", group=_SMOOTH, title="median 17", smoothing=Smoothing("median", 17)),
    Row(name="smoothing-median-33", group=_SMOOTH, title="median 33", smoothing=Smoothing("median", 33)),
    Row(name="smoothing-gaussian-17", group=_SMOOTH, title="Gaussian 17", smoothing=Smoothing("gaussian", 17)),
    Row(name="smoothing-causal-17", group=_SMOOTH, title="causal median 17", smoothing=Smoothing("causal_median", 17)),
)


def select(patterns: Sequence[str]) -> list[Row]:
    """The rows whose names match one of `patterns` (`dis-*`; several may be joined by commas); none given: all.

    Raises ConfigError for a pattern that matches no row.
    """
    names = [row.name for row in ROWS]
    wanted: set[str] = set()
    for pattern in (part for text in patterns for part in text.split(",") if part):
        matching = fnmatch.filter(names, pattern)
        if not matching:
            near = get_close_matches(pattern, names, n=1)
            raise ConfigError(f"--rows: no row {pattern!r}; {f'did you mean {near[0]}? ' if near else ''}{names=}")
        wanted.update(matching)
    return [row for row in ROWS if row.name in wanted or not wanted]


def records_table(records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The result table (schema.ABLATION), a line a row and seed."""
    return pa.Table.from_pylist([dict(record) for record in records], schema=ABLATION)


HEAD = ("", "row", "fused", "flow only", "frame only", "speed, no model", "95 % over videos", "paper", "steps", "note")


def cells(records: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Lines under `HEAD`: AUROC in percent, smoothed / raw, as mean ± standard deviation where there are seeds."""
    by_row: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_row.setdefault(record["row"], []).append(record)
    lines, group = [], None
    for seeds in by_row.values():
        first = seeds[0]
        figures = [
            f"{_percent(seeds, part)} / {_percent(seeds, part + '_raw')}" if _values(seeds, part) else "–"
            for part in ("fused", *NETWORKS, YARDSTICK)
        ]
        bounds = [statistics.mean(ends) for end in ("low", "high") if (ends := _values(seeds, f"auroc_{end}"))]
        over = " to ".join(f"{bound:.1f}" for bound in bounds)
        paper = f"{first['paper']:.2f}" if first["paper"] is not None else ""
        steps = " + ".join(f"{first[f'{s}_steps']} {s}" for s in ("flow", "frame", "joint") if first[f"{s}_steps"])
        note = "; ".join(dict.fromkeys(record["note"] for record in seeds if record["note"]))
        lines.append(
            ["" if first["group"] == group else first["group"], first["title"], *figures, over, paper, steps, note]
        )
        group = first["group"]
    return lines


def _values(records: Iterable[Mapping[str, Any]], column: str) -> list[float]:
    return [100 * record[column] for record in records if record[column] is not None]


def _percent(records: Iterable[Mapping[str, Any]], column: str) -> str:
    values = _values(records, column)
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"
