"""What features reach on the surprise scale: each alone and added, fitted and calibrated as `train` does it.

Example:
    python jobs/extract_stc.py --archive PED2/training/frames --out train --preset features
    python jobs/extract_stc.py --archive PED2/testing/frames --out test --preset features
    python -m benchmarks surprise --train train --test test --labels PED2/testing/frame_labels.parquet --name ped2 \\
        --tracks PED2/testing/tracks.parquet

Frame AUROC, micro and macro, over the median of 17 frames at 10 a second; with --tracks RBDC and TBDC, where each box
is a detection of its own score; and how many anomalies the events tell, and false alarms an hour, at the thresholds of
the training footage. A test video whose path names a camera of the training footage is scored as of that camera, as
scoring does it.
Seeds choose what k-means starts from. Nothing is chosen on the labels. Writes benchmarks/results/surprise_<name>.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.machine import describe
from hf2vad.ablation.record import frame_counts
from hf2vad.ablation.variants import labelled
from hf2vad.bundle.calibration import Calibration
from hf2vad.evaluation.alerts import Alerts, alerts
from hf2vad.evaluation.auroc import macro_auroc, micro_auroc
from hf2vad.evaluation.bootstrap import draw_videos, interval, resampled_micro
from hf2vad.evaluation.labels import FrameLabels, read_labels
from hf2vad.evaluation.regions import detection_area, regions_taken, track_scores
from hf2vad.evaluation.tracks import Tracks, VideoTracks, read_tracks
from hf2vad.features.registry import feature_classes, networks_for
from hf2vad.features.settings import FEATURES, FusionConfig
from hf2vad.fitting.calibrate import Calibrations, calibrate
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.edges import with_edge_scales
from hf2vad.fitting.folds import Folds
from hf2vad.fitting.measure import MeasuredFile, measure_files
from hf2vad.fitting.sample import fit_features
from hf2vad.presets import preset
from hf2vad.schema import F64, FRAMES
from hf2vad.scoring.events import find_events
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import FeatureValues, Scorer
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.scoring.smooth import smooth
from hf2vad.tables.read import name_in
from hf2vad.training.data import StcFile, StcTable

ROOT = Path(__file__).resolve().parents[1]
PLAIN = [name for name in FEATURES if not networks_for([name]) and name not in ("classes", "embedding")]
SMOOTHING = SmoothingRule(17, preset("features").smoothing_fps, preset("features").smoothing_ends)
MOTION = "_motion"
"""Ending of the names of results with boxes of what moves alone: `--detector.kinds motion`."""
TRUE = "_true"
"""Ending of the names of results with the boxes of the demo's actors."""
SCENES = "surprise_demo_"
LOCALISED = ("features", "features, one camera", "features, added in frames", "energy", "speed")
ALSO = ("rbdc", "tbdc", "told", "anomalies", "false_alarms", "false_alarms_per_hour")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="STC table of the training archive")
    parser.add_argument("--test", required=True, help="STC table of the test archive")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--tracks", default="", help="anomalous regions, for RBDC and TBDC")
    parser.add_argument("--fps", type=float, default=10.0, help="frames a second, for alarms an hour (Ped2: 10)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    train, test = StcTable(options.train), StcTable(options.test)
    labels = labelled(read_labels(options.labels), frame_counts(options.test))
    chosen = preset("features").fusion
    truth = (
        {name_in(labels, video) or "": found for video, found in read_tracks(options.tracks).items()}
        if options.tracks
        else {}
    )
    rows: dict[str, list[dict[str, Any]]] = {}
    seconds = []
    cameras = Cameras.of(train.files)
    boxes = {file.uri: _boxes(test, file) for file in test.files}
    for seed in options.seeds:
        started = time.monotonic()
        features, normal = learned(train, PLAIN, seed, cameras)
        seconds.append(round(time.monotonic() - started, 1))
        measured = measure_files(test, features, cameras=cameras)
        for name, fusion in fusions(chosen).items():
            known = cameras if name != "features, one camera" else Cameras()
            calibrations = calibrate(
                normal,
                fusion=fusion,
                smoothing=SMOOTHING,
                where=options.train,
                cameras=known,
            )
            scores = Scores(fusion, known, calibrations)
            found = figures(measured, scores, labels, options.fps)
            if options.tracks:
                found |= localisation(measured, boxes, scores, labels, truth)
            rows.setdefault(name, []).append(found)
    result = {
        "benchmark": f"surprise_{options.name}",
        "machine": describe(),
        "seeds": options.seeds,
        "fit_seconds": seconds,
        "train_cubes": len(train),
        "test_cubes": len(test),
        "auroc": rows,
    }
    out = ROOT / "benchmarks" / "results" / f"surprise_{options.name}.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    for name, found in rows.items():
        micro = [100 * row["micro"] for row in found]
        more = {key: round(float(np.mean([row[key] for row in found])), 4) for key in ALSO if key in found[0]}
        print(
            f"{name:26} {np.mean(micro):5.1f} / {np.mean([100 * row['macro'] for row in found]):5.1f}  {micro} {more}"
        )


def learned(
    train: StcTable, names: Iterable[str], seed: int, cameras: Cameras
) -> tuple[FeatureSet, list[MeasuredFile]]:
    """The features of these names, fitted on training footage, and what they measure in it."""
    settings = {name: feature_classes()[name].Settings() for name in names}
    if "motion" in settings:
        settings["motion"] = preset("features").density
    fitted, _ = fit_features(train, settings, seed=seed, cameras=cameras)
    normal = measure_files(train, FeatureSet(fitted, None, 1024), folds=Folds.of(train.files), cameras=cameras)
    scaled, normal, _ = with_edge_scales(fitted, normal)
    return FeatureSet(scaled, None, 1024), normal


def fusions(chosen: FusionConfig) -> dict[str, FusionConfig]:
    """What is compared: the yardstick, each feature alone, the preset, and the preset with one choice changed."""
    alone = {name: replace(FusionConfig.of({name: 1.0}, rule="surprise"), silent=0.0) for name in PLAIN}
    weights = dict(chosen.weights)
    return {
        **alone,
        "features": chosen,
        "features, added in frames": replace(chosen, at="frame"),
        "features, silent 0": replace(chosen, silent=0.0),
        "features, silent 2": replace(chosen, silent=2.0),
        "features, one camera": chosen,
        "features and motion": replace(chosen, motion=1.0),
        "features and place": replace(chosen, place=1.0),
        "features and look": replace(chosen, look=1.0),
        "features, Eq. 9": FusionConfig.of(weights),
    }


class Scoring(Protocol):
    """What scores test footage."""

    def of(self, file: MeasuredFile) -> tuple[Scorer, FeatureValues, Calibration]:
        """What scores a file, its values, and the calibration that says what is an event in it."""


@dataclass(frozen=True)
class Scores:
    """Scores test footage as a bundle of this calibration does."""

    fusion: FusionConfig
    cameras: Cameras
    calibrations: Calibrations

    def of(self, file: MeasuredFile) -> tuple[Scorer, FeatureValues, Calibration]:
        overall = self.calibrations.overall
        own = self.calibrations.cameras.get(self.cameras.of_path(file.file.video))
        if self.fusion.rule == "eq9":
            return Scorer.eq9(self.fusion, overall), file.values, overall
        values = file.values if own is None else file.as_camera.values
        return Scorer.surprise(self.fusion, own or overall, overall), values, own or overall


def figures(measured: list[MeasuredFile], scores: Scoring, labels: FrameLabels, fps: float) -> dict[str, Any]:
    """Micro AUROC with its interval over videos, macro AUROC, and what the events tell."""
    pairs, told = {}, Alerts()
    for video, (frame, truth) in labels.items():
        files = [file for file in measured if file.file.video == video]
        frames = max(file.file.stop for file in files)
        scorer, _, calibration = scores.of(files[0])
        parts = [scores.of(file)[1] for file in files]
        values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        raw = scorer.frame_scores(values, np.concatenate([file.frame for file in files]), frames)
        full = frame >= FRAMES - 1
        rate = files[0].file.fps or 0.0
        smoothed = smooth(raw[FRAMES - 1 :], SMOOTHING.window(rate), SMOOTHING.ends)
        pairs[video] = (truth[full], smoothed[frame[full] - FRAMES + 1])
        events = find_events(smoothed, EventConfig().at_rate(SMOOTHING, rate), calibration)
        spans = [(event.start + FRAMES - 1, event.stop + FRAMES - 2) for event in events]
        every = np.arange(frames)
        told += alerts(every, every / fps, every >= FRAMES - 1, frame, truth, spans)
    bounds, _ = interval(resampled_micro(pairs, draw_videos(len(pairs), 1000, 0)))
    said = told.figures()
    kept = ("anomalies", "told", "alarms", "false_alarms", "hours", "false_alarms_per_hour")
    return {
        "micro": micro_auroc(pairs),
        "macro": macro_auroc(pairs)[0],
        "interval": bounds,
        **{name: said[name] for name in kept},
    }


def localisation(
    measured: list[MeasuredFile], boxes: Mapping[str, F64], scores: Scores, labels: FrameLabels, truth: Tracks
) -> dict[str, Any]:
    """RBDC and TBDC, each box a detection of its own score (evaluation/regions.py)."""
    regions, tracks, false = [], [], []
    frames = seen = 0
    for video, (labelled_frames, _) in labels.items():
        files = [file for file in measured if file.file.video == video]
        frame = np.concatenate([file.frame for file in files])
        score = np.concatenate([scorer.score(values) for scorer, values, _ in map(scores.of, files)])
        own = truth.get(video, VideoTracks.none())
        detection, region = regions_taken(frame, np.concatenate([boxes[file.file.uri] for file in files]), own)
        best = np.full(len(own.frame), -np.inf)
        np.maximum.at(best, region, score[detection])
        names, numbers = np.unique(own.track, return_inverse=True)
        regions.append(best)
        tracks.append(numbers + seen)
        false.append(np.delete(score, detection))
        frames, seen = frames + len(labelled_frames), seen + len(names)
    found, missed = np.concatenate(regions), np.concatenate(false)
    return {
        "rbdc": detection_area(found, missed, frames),
        "tbdc": detection_area(track_scores(found, np.concatenate(tracks)), missed, frames),
        "regions_with_a_box": float((found > -np.inf).mean()),
    }


def _boxes(table: StcTable, file: StcFile) -> F64:
    return np.concatenate([np.empty((0, 4)), *table.only([file]).boxes()])


def results() -> dict[str, dict[str, Any]]:
    """Results by name. A name says the source of boxes, where it is not the default."""
    paths = sorted((ROOT / "benchmarks" / "results").glob("surprise_*.json"))
    return {path.stem: json.loads(path.read_text()) for path in paths}


def shown() -> list[dict[str, Any]]:
    """Results with the default boxes and, on Ped2, with all others."""
    return [
        result for name, result in results().items() if not (name.startswith(SCENES) and name.endswith((MOTION, TRUE)))
    ]


def whole_objects_table() -> str:
    """Frame AUROC, micro / macro, of the features with motion boxes, with whole objects, and with true boxes."""
    rows = {name: result["auroc"] for name, result in results().items()}
    lines = [["footage", "`motion`", "`foreground motion`", "… and `place`", "true boxes", "… and `place`"]]
    for name in [name for name in rows if name + MOTION in rows]:
        sources = (rows[name], rows.get(name + TRUE, {}))
        both = [auroc.get(row, []) for auroc in sources for row in ("features", "features and place")]
        cells = [_cell(each) for each in (rows[name + MOTION]["features"], *both)]
        lines.append([_title(name), *cells])
    return _markdown(lines)


def table() -> str:
    """Frame AUROC, micro / macro, mean over seeds, of each feature alone and of their sums."""
    found = shown()
    head = ["", *(_title(result["benchmark"]) for result in found)]
    names = list(dict.fromkeys(name for result in found for name in result["auroc"]))
    lines = [[name, *(_cell(result["auroc"].get(name, [])) for result in found)] for name in names]
    fused = [result["auroc"]["features"] for result in found]
    spread = [
        f"{100 * min(row['interval'][0] for row in rows):.1f} to {100 * max(row['interval'][1] for row in rows):.1f}"
        for rows in fused
    ]
    return _markdown([head, *lines, ["features, 95 % over videos", *spread]])


def localisation_table() -> str:
    """Regions and tracks found, and what events tell, mean over seeds."""
    lines = [["boxes", "score", "RBDC", "TBDC", "regions with a box", "anomalies detected", "false alarms", "an hour"]]
    for result in shown():
        for name in LOCALISED:
            rows = result["auroc"].get(name, [])
            if rows and "rbdc" in rows[0]:
                mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "interval"}
                places = [f"{100 * mean[key]:.1f}" for key in ("rbdc", "tbdc", "regions_with_a_box")]
                told = f"{mean['told']:.1f} of {mean['anomalies']:.0f}"
                alarms = [f"{mean['false_alarms']:.1f}", f"{mean['false_alarms_per_hour']:.0f}"]
                lines.append([_title(result["benchmark"]), name, *places, told, *alarms])
    return _markdown(lines)


def _title(name: str) -> str:
    return name.removeprefix("surprise_").replace("_", " ")


def _cell(rows: list[dict[str, Any]]) -> str:
    means = [f"{100 * np.mean([row[which] for row in rows]):.1f}" for which in ("micro", "macro") if rows]
    return " / ".join(means) or "–"


def _markdown(lines: list[list[str]]) -> str:
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


TABLES = {"surprise": table, "localisation": localisation_table, "whole_objects": whole_objects_table}
