"""Requests that a background costs of a video in a real S3 store, counted at a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.storage import put_bytes
from hf2vad.storage import s3 as backend
from hf2vad.video import shards
from hf2vad.video.background import background
from hf2vad.video.decode import decode
from hf2vad.video.timeline import probe
from tests.fault_proxy import FaultProxy, Faults
from tests.moving import COUNT, scene, write_video
from tests.seaweed import SeaweedServer

SAMPLES = 4
ARCHIVE = "s3://backgrounds/archive"


@pytest.fixture
def proxy(s3: SeaweedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with FaultProxy(s3.endpoint, Faults()) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
        backend._file_system_of.cache_clear()
        yield made
    backend._file_system_of.cache_clear()


@pytest.fixture
def video(proxy: FaultProxy, tmp_path: Path) -> Video:
    write_video(tmp_path / "clip.mp4", scene(COUNT))
    put_bytes(f"{ARCHIVE}/clip.mp4", (tmp_path / "clip.mp4").read_bytes())
    (found,) = catalogue(ARCHIVE)
    return found


def requests_of(proxy: FaultProxy, call: Callable[[], object]) -> int:
    proxy.counts.clear()
    call()
    return proxy.counts.total()


def test_a_background_opens_its_video_once_and_has_the_pictures_of_each_sample_alone(
    proxy: FaultProxy, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SAMPLES", SAMPLES)
    (shard,) = shards.cut_shards(video, probe(video), 1000, background=True)
    (stretch,) = shard.stretches
    assert len(stretch.samples) == SAMPLES
    assert requests_of(proxy, lambda: background(stretch)) == requests_of(proxy, lambda: list(decode(shard)))
    alone = [frame.image for sample in stretch.samples for frame in decode(sample) if frame.image is not None]
    stack = np.sort(np.stack(alone), axis=0)
    made = background(stretch)
    assert made is not None
    assert np.array_equal(made.picture, stack[SAMPLES // 2])
