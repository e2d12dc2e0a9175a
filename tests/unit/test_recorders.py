"""Files of recorders that no muxer of FFmpeg writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf2vad.video import counting
from hf2vad.video.timeline import probe
from tests.clips import only
from tests.recorders import write_dav, write_packed
from tests.unit.test_streams import assert_as_decoded


@pytest.fixture(autouse=True)
def _restarts_close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that short videos have some."""
    monkeypatch.setattr(counting, "APART", 8)


def test_two_pictures_in_one_packet_are_two_rows_and_the_file_is_not_truncated(tmp_path: Path) -> None:
    assert write_packed(tmp_path / "clip.avi", 40) == 19
    timeline = assert_as_decoded(tmp_path / "clip.avi", [1000, 1, 7])
    assert timeline.frame_count == 40
    assert timeline.pts_s == pytest.approx([t / 25 for t in range(40)])
    assert timeline.truncated is None
    assert timeline.repairs == ()


def test_a_dahua_recording_has_its_own_times(tmp_path: Path) -> None:
    write_dav(tmp_path / "clip.dav", 60)
    timeline = assert_as_decoded(tmp_path / "clip.dav", [1000, 1, 7])
    assert timeline.pts_s == pytest.approx([t / 25 for t in range(60)])
    assert [restart.frame for restart in timeline.restarts] == [10, 20, 30, 40, 50]
    assert timeline.repairs == ()


def test_a_dahua_recording_that_was_cut_off_keeps_what_is_there(tmp_path: Path) -> None:
    write_dav(tmp_path / "clip.dav", 60)
    data = (tmp_path / "clip.dav").read_bytes()
    (tmp_path / "clip.dav").write_bytes(data[: len(data) * 2 // 3])
    assert 30 < probe(only(tmp_path / "clip.dav")).frame_count < 60
