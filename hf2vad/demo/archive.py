"""The demo archive: normal clips to train on, and clips with something unusual, with labels, boxes and tracks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pyarrow as pa

from hf2vad.demo.actors import Actor, Kind
from hf2vad.demo.corridor import Corridor
from hf2vad.demo.road import Road
from hf2vad.demo.scene import Scene
from hf2vad.demo.street import Street
from hf2vad.schema import BOXES, LABELS, U8
from hf2vad.storage import exists, put_json, put_table, read_json
from hf2vad.threads import prefetch

SceneName = Literal["street", "corridor", "road"]
SCENES: Mapping[SceneName, type[Scene]] = {"street": Street, "corridor": Corridor, "road": Road}

TRACKS = pa.schema(
    [*BOXES, pa.field("track", pa.int32()), pa.field("kind", pa.string()), pa.field("anomalous", pa.bool_())]
)
"""One row for each visible object of each frame."""

VERSION = 1
"""Version of the generator. Another version renders other pictures."""

DRAWN_AHEAD = 8
"""Pictures that drawing may be ahead of the encoder."""

VISIBLE = 0.2
"""An object counts when at least this share of it is inside the picture."""


@dataclass(frozen=True)
class DemoArchive:
    """Locations of the parts of a generated archive."""

    train: Path
    """Normal clips."""
    test: Path
    """Clips to score."""
    labels: Path
    """Table of frame labels of the test clips."""
    boxes: Path
    """Table of object boxes in the test clips."""
    tracks: Path
    """Table of object tracks in the test clips."""


@dataclass(frozen=True)
class ClipFrame:
    """One rendered frame."""

    image: U8
    """(H, W, 3) BGR."""
    time: float
    """Seconds from the clip's beginning."""
    objects: list[tuple[int, Actor, tuple[float, float, float, float]]]
    """Track number, actor and box, clipped to the picture, of everything visible."""


def generate(
    out: str | Path,
    *,
    seed: int = 0,
    train_clips: int = 8,
    test_clips: int = 7,
    frames: int = 200,
    size: tuple[int, int] = (320, 240),
    far_runner: bool = False,
    scene: SceneName = "street",
) -> DemoArchive:
    """Render the archive into the folder `out`. The same arguments give the same bytes; an archive that is there
    already, and whole, is left as it is.

    size: width and height of the pictures, in pixels. scene: what the camera looks at. The test clips show what is
    unusual there in turn; the last clip of a full set is normal. far_runner: add a clip with a person who runs far from
    the camera, where the published method is known to fail (paper §4.4).
    """
    archive = DemoArchive(
        *(Path(out) / name for name in ("train", "test", "labels.parquet", "boxes.parquet", "tracks.parquet"))
    )
    settings = {
        "version": VERSION,
        "seed": seed,
        "train_clips": train_clips,
        "test_clips": test_clips,
        "frames": frames,
        "size": list(size),
        "far_runner": far_runner,
        "scene": scene,
    }
    finished = str(Path(out) / "archive.json")
    if exists(finished):
        if read_json(finished) == settings:
            return archive
        for part in (archive.train, archive.test):
            shutil.rmtree(part, ignore_errors=True)
    camera = SCENES[scene](*size, seed=seed)
    kinds: list[Kind | None] = [*camera.UNUSUAL, *camera.UNUSUAL[:2], None][:test_clips]
    kinds += [camera.UNUSUAL[i % len(camera.UNUSUAL)] for i in range(len(kinds), test_clips)]
    if far_runner:
        kinds.append("far_runner")
    for number in range(train_clips):
        clip = render_clip(camera, None, frames=frames, seed=[seed, 1, number])
        _encode(archive.train / f"normal_{number + 1:02d}.mp4", camera, clip)
    rows: list[dict[str, object]] = []
    labels: list[dict[str, object]] = []
    for number, kind in enumerate(kinds):
        name = f"{number + 1:02d}_{kind or 'normal'}.mp4"
        clip = _noting(render_clip(camera, kind, frames=frames, seed=[seed, 2, number]), name, rows, labels)
        _encode(archive.test / name, camera, clip)
    put_table(str(archive.labels), pa.Table.from_pylist(labels, LABELS))
    tracks = pa.Table.from_pylist(rows, TRACKS)
    put_table(str(archive.tracks), tracks)
    put_table(str(archive.boxes), tracks.select(BOXES.names))
    put_json(finished, settings)
    return archive


def render_clip(scene: Scene, unusual: Kind | None, *, frames: int, seed: list[int]) -> Iterator[ClipFrame]:
    """The frames of one clip: people who walk, and now and then `unusual`."""
    rng = np.random.default_rng([*seed, 4])
    seconds = frames / scene.fps
    cast = [*scene.normal(seconds, rng), *(scene.unusual(unusual, seconds, rng) if unusual else ())]
    actors = sorted(cast, key=lambda actor: actor.foot)
    ground = scene.ground()
    light = np.random.default_rng([*seed, 3]).integers(0, 10_000)
    for number in range(frames):
        time = number / scene.fps
        picture = ground.copy()
        for actor in sorted(actors, key=lambda actor: actor.foot_at(scene, time)):
            actor.draw(picture, scene, time)
        objects = [
            (track, actor, _clipped(actor.box(scene, time), scene))
            for track, actor in enumerate(actors)
            if actor.visible(scene, time) >= VISIBLE
        ]
        yield ClipFrame(scene.exposed(picture, int(light) + number), time, objects)


def _clipped(box: tuple[float, float, float, float], scene: Scene) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(scene.width)), min(y2, float(scene.height))


def _noting(
    clip: Iterator[ClipFrame], video: str, rows: list[dict[str, object]], labels: list[dict[str, object]]
) -> Iterator[ClipFrame]:
    """Pass the frames on unchanged and record their objects and labels."""
    for number, frame in enumerate(clip):
        for track, actor, box in frame.objects:
            place = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
            who = {"track": track, "kind": actor.kind, "anomalous": actor.anomalous(frame.time)}
            rows.append({"video": video, "frame": number, **place, **who})
        anomalous = any(actor.anomalous(frame.time) for _, actor, _ in frame.objects)
        labels.append({"video": video, "frame": number, "anomalous": anomalous})
        yield frame


def _encode(path: Path, scene: Scene, clip: Iterator[ClipFrame]) -> None:
    """H.264 with B-frames and a keyframe every 50; one thread, so that the bytes depend on the pictures alone. Pictures
    are drawn in another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(prefetch(clip, depth=DRAWN_AHEAD, name="draw")) as frames, av.open(str(path), "w") as container:
        # x264's macroblock tree gives other bytes from run to run when it is given one picture at a time.
        options = {"crf": "18", "preset": "veryfast", "g": "50", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=Fraction(scene.fps).limit_denominator(1000), options=options)
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        container.mux(stream.encode(None))
