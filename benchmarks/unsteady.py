"""What a camera that sways costs, or light that flickers, or text in the picture, and what steady pictures give back.

Example:
    python -m benchmarks unsteady --archive DEMO --labels DEMO/labels.parquet --name demo_street --fps 12.5 --work W
    python -m benchmarks unsteady --train PED2/training/frames --test PED2/testing/frames --name ped2 --work W \\
        --labels PED2/testing/frame_labels.parquet
    python -m benchmarks unsteady --what flicker --archive DEMO --labels DEMO/labels.parquet --name demo_street --work W

Sway: every clip is moved as on a pole in wind, by three waves between 0.3 and 2.8 a second, across and down, whose
standard deviation is a share of the picture's width, and a turn that goes with it. The picture is cut a little smaller,
so that nothing beyond its edge is missing. Clock: a clock and a name are burnt into the picture; the clock begins
anywhere in training clips, and passes ten o'clock after 8 seconds in test clips. Text: the same, and it sways. Flicker:
every clip is made brighter and darker by a share, in a wave of 7.3 frames. Training and test footage change alike, each
clip in its own way, and are encoded again. Cubes are extracted by preset `features` as it is, and without the settings
that help: `working.steady`, `working.clock`, `motion.even_light`. Figures are those of `python -m benchmarks surprise`.
Writes benchmarks/results/<what>_<name>.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.measure import save
from benchmarks.processes import job
from benchmarks.surprise import SMOOTHING, Scores, figures, learned
from benchmarks.tables import markdown, results
from hf2vad.ablation.record import frame_counts
from hf2vad.ablation.variants import labelled
from hf2vad.evaluation.labels import read_labels
from hf2vad.fitting.calibrate import calibrate
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.measure import measure_files
from hf2vad.presets import preset
from hf2vad.schema import U8
from hf2vad.training.data import StcTable

SHARES = {"sway": (0.0, 0.001, 0.003, 0.01, 0.03), "clock": (0.0,), "text": (0.003,), "flicker": (0.04, 0.08)}
STEADY, CLOCK, LIGHT = "--working.no-steady", "--working.no-clock", "--motion.no-even-light"
SETTINGS = {"sway": [STEADY], "clock": [CLOCK], "text": [STEADY, CLOCK], "flicker": [LIGHT]}
"""What switches off the settings that help."""
WAVES = (0.4, 1.1, 2.3)
"""Waves a second, each changed by up to a fifth."""
HOURS = 1000
"""Test clips have seeds below it, training clips from it on: only the clocks of test clips pass the hour."""
FLICKER = 7.3
"""Frames of a wave of flickering light."""
IMAGES = (".jpg", ".png")


def moved(images: Sequence[U8], fps: float, share: float, seed: int) -> Iterator[U8]:
    """Pictures of a camera that sways by `share` of their width."""
    rng = np.random.default_rng(seed)
    height, width = images[0].shape[:2]
    seconds = np.arange(len(images)) / fps
    across, down = (axis * share * width * _waves(seconds, rng) for axis in (1.0, 0.6))
    turn = np.degrees(0.15 * share * np.convolve(rng.normal(0, 5**0.5, len(images)), np.full(5, 0.2), "same"))
    for number, image in enumerate(images):
        motion = cv2.getRotationMatrix2D((width / 2, height / 2), turn[number], 1 + 6 * share)
        motion[:, 2] += across[number], down[number]
        made = cv2.warpAffine(image, motion, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        yield np.asarray(made, np.uint8)


def _waves(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(frames,) of mean 0 and standard deviation 1; gusts come and go."""
    total = np.zeros(len(seconds))
    for wave in WAVES:
        gusts = 1 + 0.5 * np.sin(2 * np.pi * (0.11 * seconds + rng.uniform()))
        total += gusts * np.sin(2 * np.pi * (wave * rng.uniform(0.8, 1.2) * seconds + rng.uniform())) / (1 + wave)
    return (total - total.mean()) / total.std()


def flickering(images: Sequence[U8], fps: float, share: float, seed: int) -> Iterator[U8]:
    """Pictures whose brightness goes up and down by `share`."""
    begin = np.random.default_rng(seed).uniform()
    for number, image in enumerate(images):
        gain = 1 + share * np.sin(2 * np.pi * (number / FLICKER + begin))
        yield np.clip(image * gain, 0, 255).astype(np.uint8)


def lettered(images: Sequence[U8], fps: float, share: float, seed: int) -> Iterator[U8]:
    """As `moved`, with a clock at the upper right and a name at the lower left that stand still. The clock begins
    anywhere in a day, and with seed 0 … HOURS − 1 eight seconds before ten."""
    rng = np.random.default_rng(seed)
    begin = datetime(2026, 5, 4) + timedelta(seconds=rng.uniform(0, 86400) if seed >= HOURS else 36000 - 8)
    for number, image in enumerate(moved(images, fps, share, seed) if share else images):
        height, width = image.shape[:2]
        clock = begin + timedelta(seconds=number / fps)
        for text, place in ((f"{clock:%Y-%m-%d %H:%M:%S}", (0.62, 0.07)), ("CAMERA 03 EAST", (0.03, 0.95))):
            origin = int(place[0] * width), int(place[1] * height)
            for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, height / 685, colour, thick, cv2.LINE_AA)
        yield image


CHANGES = {"sway": moved, "clock": lettered, "text": lettered, "flicker": flickering}


def changed(source: Path, out: Path, what: str, share: float, fps: float, seeds: int) -> Path:
    """A copy of an archive, of videos or of folders of images, that is changed; each one by a seed from `seeds` on."""
    change = CHANGES[what]
    out.mkdir(parents=True, exist_ok=True)
    for seed, path in enumerate(sorted(source.iterdir()), seeds):
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if each.suffix in IMAGES)
            images = [np.asarray(cv2.imread(str(each)), np.uint8) for each in files]
            (out / path.name).mkdir(exist_ok=True)
            for each, image in zip(files, change(images, fps, share, seed), strict=True):
                cv2.imwrite(str(out / path.name / f"{each.stem}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        elif path.suffix == ".mp4":
            _video(path, out / path.name, partial(change, share=share, seed=seed))
    return out


def _video(path: Path, out: Path, change: Callable[[list[U8], float], Iterator[U8]]) -> None:
    with av.open(str(path)) as read:
        rate = read.streams.video[0].average_rate or Fraction(25)
        images = [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in read.decode(video=0)]
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "x264-params": "mbtree=0"})
        (stream.height, stream.width), stream.pix_fmt = images[0].shape[:2], "yuv420p"
        for image in change(images, float(rate)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))


def measured(folder: Path, options: argparse.Namespace, *, steady: bool) -> list[dict[str, Any]]:
    """Figures of `features` on the archives `train` and `test` in a folder, one for each seed."""
    stc = {}
    for name in ("train", "test"):
        stc[name] = folder / f"stc_{name}_{'steady' if steady else 'as_is'}"
        chosen = ["--preset", "features", "--ray.workers", "1"]
        switches = [] if steady else SETTINGS[options.what]
        job("extract_stc", "--archive", folder / name, "--out", stc[name], *chosen, *switches)
    train, test = StcTable(str(stc["train"])), StcTable(str(stc["test"]))
    labels = labelled(read_labels(options.labels), frame_counts(str(stc["test"])))
    fusion, cameras = preset("features").fusion, Cameras.of(train.files)
    found = []
    for seed in options.seeds:
        features, normal = learned(train, [name for name, weight in fusion.weights.items() if weight], seed, cameras)
        calibrations = calibrate(normal, fusion=fusion, smoothing=SMOOTHING, where=str(stc["train"]), cameras=cameras)
        scores = Scores(fusion, cameras, calibrations)
        found.append(figures(measure_files(test, features, cameras=cameras), scores, labels, options.fps))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=list(CHANGES), default="sway")
    parser.add_argument("--archive", type=Path, help="folder with train and test")
    parser.add_argument("--train", type=Path, help="archive of training footage, in place of --archive")
    parser.add_argument("--test", type=Path, help="archive of test footage, in place of --archive")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--work", type=Path, required=True, help="folder for swaying copies and their cubes")
    parser.add_argument("--fps", type=float, default=10.0, help="frames a second of folders of images, and for alarms")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--shares", type=float, nargs="+", help="of the width, or of the brightness")
    options = parser.parse_args()
    sources = {name: getattr(options, name) or options.archive / name for name in ("train", "test")}
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for share in options.shares or SHARES[options.what]:
        folder = options.work / f"{options.what}_{options.name}_{share}"
        for name, source in sources.items():
            seeds = HOURS if name == "train" and CHANGES[options.what] is lettered else 0
            changed(source, folder / name, options.what, share, options.fps, seeds)
        for steady in (False, True):
            rows = measured(folder, options, steady=steady)
            found.setdefault(str(share), {})["steady" if steady else "as_is"] = rows
            print(share, "steady" if steady else "as it is", [(row["micro"], row["macro"]) for row in rows], flush=True)
    save(f"{options.what}_{options.name}", {"seeds": options.seeds, "shares": found})


def table(what: str) -> str:
    """Frame AUROC, micro / macro, and anomalies told, by how much footage changes: frames as they are, and steady."""
    found = {
        found["benchmark"].removeprefix(f"{what}_").replace("_", " "): found for found in results(f"{what}_*.json")
    }
    shares = list(dict.fromkeys(share for result in found.values() for share in result["shares"]))
    rows = []
    for share in shares:
        for key, title in (("as_is", "as they are"), ("steady", "steady")):
            cells = [_cell(result["shares"].get(share, {}).get(key, [])) for result in found.values()]
            rows.append([f"{100 * float(share):g} %" if float(share) else "not at all", title, *cells])
    by = "flickers by" if what == "flicker" else "sways by"
    return markdown([by, "frames", *found], rows or [["not measured yet"]])


def _cell(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "–"
    micro, macro, told = (float(np.mean([row[key] for row in rows])) for key in ("micro", "macro", "told"))
    return f"{100 * micro:.1f} / {100 * macro:.1f}; {told:g} of {rows[0]['anomalies']:g}"


TABLES = {what: partial(table, what) for what in CHANGES}

if __name__ == "__main__":
    main()
