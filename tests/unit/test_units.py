"""The units of H.264 and HEVC packets, and what the header of a picture says without the picture."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from av.packet import Packet
from hypothesis import given
from hypothesis import strategies as st

from hf2vad.video.units import IS_SLICE, length_bytes, picture_header, refreshes_gradually, units
from tests.clips import Clip, write_clip

HEVC = {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:keyint=10"}
CLIPS = {
    "h264.mp4": Clip(width=320, height=240),
    "h264.ts": Clip(width=320, height=240),
    "cavlc.mkv": Clip(options={"g": "10", "x264-params": "cabac=0"}, width=320, height=240),
    "slices.mp4": Clip(options={"g": "10", "slices": "4"}, width=320, height=240),
    "interlaced.mp4": Clip(options={"g": "10", "flags": "+ildct+ilme"}, width=320, height=240),
    "hevc.mp4": Clip("libx265", HEVC, width=320, height=240),
    "hevc.ts": Clip("libx265", HEVC, width=320, height=240),
}


@given(
    some=st.lists(st.binary(min_size=2, max_size=600).map(lambda unit: b"\x65" + unit), max_size=5),
    length=st.sampled_from([2, 4]),
)
def test_units_are_parted_by_lengths_of_any_size(some: list[bytes], length: int) -> None:
    assert list(units(b"".join(len(unit).to_bytes(length, "big") + unit for unit in some), length)) == some


@given(some=st.lists(st.binary(min_size=1).filter(lambda unit: 0 not in unit), max_size=5))
def test_units_are_parted_by_start_codes(some: list[bytes]) -> None:
    data = b"".join(b"\0\0\1" + unit for unit in some)
    assert list(units(data, 0)) == some


def test_a_recovery_point_is_seen_behind_lengths_of_two_bytes() -> None:
    sei, slice_ = b"\x06\x06\x01\x44\x80", b"\x41" + bytes(range(1, 90))
    data = b"".join(len(unit).to_bytes(2, "big") + unit for unit in (sei, slice_))
    assert refreshes_gradually(list(units(data, 2)))


@pytest.mark.parametrize("name", CLIPS)
def test_the_header_of_a_keyframe_gives_a_frame_with_the_keyframes_properties(name: str, tmp_path: Path) -> None:
    write_clip(tmp_path / name, CLIPS[name])
    with av.open(str(tmp_path / name)) as container:
        context = container.streams.video[0].codec_context
        assert context.name in IS_SLICE
        packet = next(container.demux(video=0))
        header = picture_header(bytes(packet), context.name, length_bytes(context.name, context.extradata))
        assert header is not None
        assert 4 * len(header) < packet.size, "nearly all of a keyframe is samples"
        context.options, context.thread_count = {"ec": "0"}, 1
        for each in (Packet(header), packet):
            (frame,) = [*context.decode(each), *context.decode(None)]
            assert (frame.width, frame.height) == (320, 240)
            assert frame.interlaced_frame == name.startswith("interlaced")
            context.flush_buffers()
