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

from dataclasses import dataclass, field
from typing import Any

from hf2vad.commandline import EXIT_OK, Job
from hf2vad.evaluation.settings import Protocol


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
    from hf2vad.report.evaluation import print_evaluation
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


JOB = Job(
    "evaluate",
    EvaluateJob,
    evaluate_job,
    __doc__,
    shown=("scores", "labels", "out", "tracks", "protocol.smoothing"),
    reads="scores",
)
