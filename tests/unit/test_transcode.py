"""Copies of videos for the player: long pauses are cut short, and pictures have the shape that they are shown in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hf2vad.report.site.transcode import PAUSE_LEFT, cuts_of, transcoded
from tests.clips import only, pictures
from tests.streams import Stream, moved, write_stream


def copied(path: Path, folder: Path, stop: int) -> tuple[list[float], tuple[int, int]]:
    """Times of the frames of a video's copy, and its size."""
    (folder / "copy.mp4").write_bytes(transcoded(only(path), start=0, stop=stop, longest=640, image_fps=25))
    with av.open(str(folder / "copy.mp4")) as container:
        frames = list(container.decode(video=0))
    return [float(frame.time or 0) for frame in frames], (frames[0].width, frames[0].height)


def test_a_pause_of_eight_hours_is_cut_short_and_the_rest_keeps_its_times(tmp_path: Path) -> None:
    write_stream(tmp_path / "clip.mkv", Stream(times=moved(8 * 3600, range(20, 40))))
    times, _ = copied(tmp_path / "clip.mkv", tmp_path, 40)
    expected = [t / 25 for t in range(20)] + [19 / 25 + PAUSE_LEFT + t / 25 for t in range(20)]
    assert times == pytest.approx(expected, abs=0.002)


def test_the_frame_before_a_pause_lasts_until_its_end(tmp_path: Path) -> None:
    """A player goes by the durations in the file, and one of them must not be that of a later frame."""
    write_stream(tmp_path / "clip.mkv", Stream(times=moved(8 * 3600, range(20, 40))))
    copied(tmp_path / "clip.mkv", tmp_path, 40)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        lasting = [float(packet.duration * packet.time_base) for packet in packets]
    assert [packet.dts for packet in packets] == [packet.pts for packet in packets]
    assert lasting[19] == pytest.approx(PAUSE_LEFT, abs=0.002)
    assert lasting[:19] + lasting[20:] == pytest.approx([1 / 25] * 39, abs=0.002)


def test_cuts_say_where_and_how_much_is_gone() -> None:
    times = np.array([0, 0.1, 10, 100, 100.1, 4000])
    cuts = cuts_of(times)
    assert [after for after, _ in cuts] == [100, 4000]
    assert [gone for _, gone in cuts] == pytest.approx([90 - PAUSE_LEFT, 3899.9 - PAUSE_LEFT])


def test_pixels_of_the_copy_are_square(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for image in pictures(10, 64, 48):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    assert copied(tmp_path / "clip.mp4", tmp_path, 10)[1] == (128, 48)
