"""Extraction runs ahead of the network, by a bounded amount, and does not change a byte."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hf2vad.cubes.extract import Extractor
from hf2vad.engines.eager import EagerEngine, NetworkErrors
from hf2vad.errors import ShapeError, VideoError
from hf2vad.features.settings import FusionConfig
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.schema import F16, U8, CubeBatch
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.shard import AHEAD, score_shard
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests.bundles import feature_set
from tests.moving import MOTION, only_video, scene, write_video
from tests.scores import CALIBRATION
from tests.stc import SMALL_MODEL, frame_cubes, make_cubes

BATCH = 4
PATIENCE = 20.0
"""Seconds after which a thread that was waited for counts as stuck."""

Stream = Generator[CubeBatch, None, None]


class WatchedEngine(EagerEngine):
    """The real engine, which calls `before` when it gets work."""

    def __init__(self, before: Callable[[], None]) -> None:
        torch.manual_seed(0)
        super().__init__(HF2VAD(SMALL_MODEL), device=torch.device("cpu"), batch=BATCH)
        self._before = before

    def errors(self, appearance: U8 | None, flow: F16) -> NetworkErrors:
        self._before()
        return super().errors(appearance, flow)


class Frames:
    """Frames of one cube each, that know how many of them were made."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.made, self.closed = 0, False
        self._count, self._error, self._more = count, error, threading.Condition()

    def stream(self) -> Stream:
        try:
            for frame in range(self._count):
                with self._more:
                    self.made += 1
                    self._more.notify_all()
                yield frame_cubes(frame, *make_cubes(1, frame))
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True

    def wait_for(self, count: int) -> bool:
        with self._more:
            return self._more.wait_for(lambda: self.made >= count, PATIENCE)


def scored(stream: Stream, engine: EagerEngine) -> pa.Table:
    scorer = Scorer.eq9(FusionConfig(), CALIBRATION)
    return score_shard("v", stream, feature_set(engine), scorer, metadata={})


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.slow
def test_the_pipeline_gives_the_bytes_of_one_step_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "clip.mp4", scene(40))
    video = only_video(tmp_path)
    extractor, engine = Extractor(MOTION), WatchedEngine(lambda: None)

    def tables() -> list[bytes]:
        files = []
        for shard in cut_shards(video, probe(video), 17):
            file = io.BytesIO()
            pq.write_table(scored(extractor.cubes(shard), engine), file)
            files.append(file.getvalue())
        return files

    def at_once(items: Iterable[object], **_: object) -> Generator[object, None, None]:
        assert not threads()
        yield from items

    pipelined = tables()
    for module in ("hf2vad.cubes.extract", "hf2vad.scoring.shard"):
        monkeypatch.setattr(f"{module}.prefetch", at_once)
    assert pipelined == tables()
    assert sum(pq.read_table(io.BytesIO(file))["score"].drop_null().length() for file in pipelined) > 40


def test_extraction_goes_on_while_the_network_works() -> None:
    frames = Frames(12 * BATCH)
    seen: list[bool] = []

    def before() -> None:
        batches = len(seen) + 1
        seen.append(frames.wait_for(min(12, batches + AHEAD) * BATCH))

    scored(frames.stream(), WatchedEngine(before))
    assert seen == [True] * 12, "while a batch is scored, the next ones are made"


@pytest.mark.slow
def test_extraction_is_no_further_ahead_than_it_may_be() -> None:
    frames = Frames(40 * BATCH)
    most: list[int] = []

    def before() -> None:
        threading.Event().wait(0.02)
        most.append(frames.made - (len(most) + 1) * BATCH)

    scored(frames.stream(), WatchedEngine(before))
    assert max(most) <= (AHEAD + 1) * BATCH, "the queue's batches, and the one that finds it full"


def test_what_extraction_raises_is_raised_after_the_batches_before_it() -> None:
    frames = Frames(3 * BATCH, VideoError("v: broken"))
    calls: list[None] = []
    with pytest.raises(VideoError, match="v: broken"):
        scored(frames.stream(), WatchedEngine(lambda: calls.append(None)))
    assert len(calls) == 3
    assert not threads()


def test_what_the_network_raises_ends_extraction() -> None:
    frames = Frames(1000)

    def before() -> None:
        raise ShapeError("no such cube")

    with pytest.raises(ShapeError, match="no such cube"):
        scored(frames.stream(), WatchedEngine(before))
    assert frames.closed
    assert frames.made < 1000
    assert not threads()
