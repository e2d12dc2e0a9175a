"""The evaluation protocol (METHOD §5, §6): which frames count, and what is computed of them.

Every labelled frame must have a row. Frames without a score (the first four of a video, and those that cannot be
decoded) are dropped and counted. Nothing is chosen on the labels; what --oracle adds is, and is called so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf2vad.evaluation.auroc import auroc, macro_auroc, micro_auroc, padded_macro_auroc
from hf2vad.evaluation.bootstrap import LEVEL, draw_videos, interval, resampled_macro, resampled_micro
from hf2vad.evaluation.frames import PARTS, LabelledFrames, collect
from hf2vad.evaluation.labels import FrameLabels
from hf2vad.evaluation.oracle import oracle_fusion
from hf2vad.evaluation.regions import region_figures
from hf2vad.evaluation.settings import Protocol
from hf2vad.evaluation.tracks import Tracks
from hf2vad.features.settings import YARDSTICK
from hf2vad.schema import F64
from hf2vad.video.shards import HALO_BEFORE

DEFAULT = Protocol()


def evaluate(
    prefix: str,
    labels: FrameLabels,
    protocol: Protocol = DEFAULT,
    *,
    tracks: Tracks | None = None,
    oracle: bool = False,
) -> tuple[dict[str, Any], LabelledFrames]:
    """Figures of the score tables under `prefix` against `labels`, and the frames they are of.

    The frames hold one number a frame and column. `tracks`: regions for RBDC and TBDC. `oracle`: also say what the best
    fusion weights would reach if these labels chose them. Raises EvaluationError when a labelled frame has no row.
    """
    frames = collect(prefix, labels, protocol)
    score, raw = frames.pairs("score"), frames.pairs("score_raw")
    windows = [smoothing.window for smoothing in frames.smoothings]
    smoothed = windows if len(windows) > 1 else windows[0]
    macro, defined = macro_auroc(score)
    result: dict[str, Any] = {
        "auroc_micro": micro_auroc(score),
        "auroc_micro_raw": micro_auroc(raw),
        "auroc_macro": macro,
        "auroc_macro_raw": macro_auroc(raw)[0],
        "macro_videos": defined,
        "auroc_macro_padded": padded_macro_auroc(score),
        "auroc_macro_padded_raw": padded_macro_auroc(raw),
        **_counts(frames),
        **{
            part: {"micro": micro_auroc(frames.pairs(part)), "micro_raw": micro_auroc(frames.pairs(part + "_raw"))}
            for part in frames.parts
        },
        "not_computed": [part for part in PARTS if part not in frames.parts],
        "per_video": {video: auroc(*pair) for video, pair in score.items()},
        "per_video_frames": {
            v.video: {"frames": int(v.scored.sum()), "anomalous": int(v.anomalous[v.scored].sum())}
            for v in frames.videos
        },
        "smoothing": smoothed,
        "protocol": {
            "frames": "every labelled frame that has a score",
            "smoothing": frames.smoothings[0].kind,
            "window": smoothed,
            "sigma": frames.smoothings[0].sigma if len(windows) == 1 else None,
            "macro": "mean over the videos with frames of both kinds",
            "macro_padded": "mean over all videos, each padded with one normal and one anomalous frame that are ranked "
            "right: random scores reach about 0.69 on Ped2; not to be compared with auroc_macro",
        },
        "bundle": frames.bundle,
        "chosen_on_labels": "oracle: the weights of oracle_fusion, nothing else" if oracle else "nothing",
    }
    result |= _uncertainty(frames, result, protocol)
    if tracks is not None:
        result["regions"] = region_figures(prefix, list(score), tracks)
    if oracle:
        result["oracle_fusion"] = oracle_fusion(prefix, labels, protocol)
    return result, frames


def _counts(frames: LabelledFrames) -> dict[str, int]:
    dropped = [v.frame[~v.scored] for v in frames.videos]
    return {
        "frames": sum(int(v.scored.sum()) for v in frames.videos),
        "dropped": sum(map(len, dropped)),
        "dropped_first": sum(int((frame < HALO_BEFORE).sum()) for frame in dropped),
        "anomalous": sum(int(v.anomalous[v.scored].sum()) for v in frames.videos),
        "videos": len(frames.videos),
        "videos_unlabelled": frames.unlabelled,
    }


def _uncertainty(frames: LabelledFrames, result: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    """`intervals` of the figures, and `beats_speed`: the fused score against the plain speed yardstick."""
    counts = draw_videos(len(frames.videos), protocol.resamples if len(frames.videos) > 1 else 0, protocol.seed)
    columns = ["score", "score_raw", *(name for part in frames.parts for name in (part, part + "_raw"))]
    micro = {name: resampled_micro(frames.pairs(name), counts) for name in columns}
    macro = {name: resampled_macro(frames.pairs(name), counts) for name in ("score", "score_raw")}
    bounds = {name: interval(values)[0] for name, values in micro.items()}
    intervals = {
        "level": LEVEL,
        "over": "videos, drawn with replacement; percentiles; with one video there is none",
        "resamples": len(counts),
        "seed": protocol.seed,
        "skipped_micro": interval(micro["score"])[1],
        "skipped_macro": interval(macro["score"])[1],
        "auroc_micro": bounds["score"],
        "auroc_micro_raw": bounds["score_raw"],
        "auroc_macro": interval(macro["score"])[0],
        "auroc_macro_raw": interval(macro["score_raw"])[0],
        **{part: {"micro": bounds[part], "micro_raw": bounds[part + "_raw"]} for part in frames.parts},
    }
    speed = f"{YARDSTICK}_yardstick"
    if speed not in frames.parts or result["auroc_micro"] is None:
        return {"intervals": intervals}
    return {
        "intervals": intervals,
        "beats_speed": _comparison(result["auroc_micro"] - result[speed]["micro"], micro["score"] - micro[speed]),
    }


def _comparison(difference: float, resampled: F64) -> dict[str, Any]:
    """Tell whether a difference of two figures exceeds the spread over videos."""
    bounds, _ = interval(resampled)
    low, high = (difference, difference) if bounds is None else bounds
    answer = "yes" if low > 0 else "no" if high < 0 else "not distinguishable"
    return {"answer": answer, "difference": difference, "interval": bounds}
