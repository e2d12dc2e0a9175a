"""Compare scores with labels: AUROC over frames, and with tracks RBDC and TBDC over boxes.

Example:
    hf2vad evaluate demo/scores --labels demo/archive/labels.parquet --out demo
    hf2vad evaluate demo/scores --labels demo/archive/labels.parquet --out demo/gaussian \\
        --tracks demo/archive/tracks.parquet --protocol.smoothing gaussian --protocol.window 17

Writes evaluation.json, evaluation.md (the same, for people) and frame_scores.parquet (scores and labels, frame by
frame). A labelled frame without a row is an error. Exit code: 0 done, 2 usage, or scores, labels and tracks that do not
fit together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from hf2vad.commandline import EXIT_OK, Job
from hf2vad.evaluation.settings import Protocol
from hf2vad.plurals import count_words
from hf2vad.summary import print_lines, print_whole


@dataclass(frozen=True, kw_only=True)
class EvaluateJob:
    """Settings of hf2vad evaluate."""

    scores: str
    """Output of `hf2vad score`: its --out, or one bundle=<id> folder in it."""

    labels: str
    """Parquet file (video, frame, anomalous), or a folder with one text file of 0 and 1 a video."""

    out: str
    """Folder for evaluation.json, evaluation.md and frame_scores.parquet."""

    tracks: str = ""
    """Parquet file (video, frame, x1, y1, x2, y2, track) of the anomalous regions, for RBDC and TBDC; where it has a
    column `anomalous`, only its true rows count."""

    oracle: bool = False
    """Also say what the best fusion weights would reach if these labels chose them: never an accuracy."""

    protocol: Protocol = field(default_factory=Protocol)


def evaluate_job(job: EvaluateJob) -> int:
    """Evaluate, put evaluation.json, evaluation.md and frame_scores.parquet, print; returns the exit code."""
    from hf2vad.storage import join

    result = put_evaluation(job)
    print_evaluation(result, last=f"Written to {join(job.out, 'evaluation.json')}, and evaluation.md to read")
    return EXIT_OK


def put_evaluation(job: EvaluateJob) -> dict[str, Any]:
    """Evaluate and put the three files; returns the content of evaluation.json.

    Raises EvaluationError when scores, labels and tracks do not belong together.
    """
    from hf2vad.evaluation.alerts import alert_figures
    from hf2vad.evaluation.labels import read_labels
    from hf2vad.evaluation.protocol import evaluate
    from hf2vad.evaluation.tracks import read_tracks
    from hf2vad.report.markdown import evaluation_markdown
    from hf2vad.storage import join, put_bytes, put_json, put_table, readable
    from hf2vad.tables.read import scores_prefix

    prefix, labels = scores_prefix(job.scores), read_labels(job.labels)
    tracks = read_tracks(job.tracks) if job.tracks else None
    result, frames = evaluate(prefix, labels, job.protocol, tracks=tracks, oracle=job.oracle)
    result["alerts"] = alert_figures(prefix, labels)
    put_table(join(job.out, "frame_scores.parquet"), frames.table({"protocol": result["protocol"]}))
    put_json(join(job.out, "evaluation.json"), result)
    put_bytes(join(job.out, "evaluation.md"), readable(evaluation_markdown(result)).encode())
    return result


def print_evaluation(result: Mapping[str, Any], *, last: str = "") -> None:
    """The figures of an evaluation.json on stdout, and `last` after them."""
    from hf2vad.report.figures import (
        against_speed,
        alerts,
        auroc_rows,
        not_computed,
        other_rows,
        region_rows,
        resampling,
        smoothing,
    )

    table = Table(title=f"frame AUROC, bundle {result['bundle']}")
    for column in ("score", "smoothed", "95 % interval", "raw"):
        table.add_column(column)
    for row in (*auroc_rows(result), *other_rows(result)):
        table.add_row(row.name, row.smoothed, row.interval, row.raw)
    print_whole(table)
    fused = next(auroc_rows(result))
    lines = [
        f"Frame AUROC {fused.smoothed} ({fused.interval}), not smoothed {fused.raw}; bundle {result['bundle']}",
        against_speed(result),
        alerts(result),
        *(f"{name}: RBDC {rbdc}, TBDC {tbdc}" for name, rbdc, tbdc in region_rows(result)),
        f"{count_words(result['frames'], 'frame')}, {result['anomalous']:,} anomalous; "
        f"{result['dropped']:,} dropped (no score); {count_words(result['videos_unlabelled'], 'video')} unlabelled; "
        f"smoothed: {smoothing(result)}; chosen on labels: {result['chosen_on_labels']}",
        *filter(None, [not_computed(result)]),
        resampling(result),
    ]
    print_lines(lines, last=last)


JOB = Job(
    "evaluate",
    EvaluateJob,
    evaluate_job,
    __doc__,
    shown=("scores", "labels", "out", "tracks", "protocol.smoothing"),
    reads="scores",
)
