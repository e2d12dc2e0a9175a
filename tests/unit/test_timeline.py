from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hf2vad.video.counting import Restart
from hf2vad.video.timeline import Timeline

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(
    pts_s=arrays(np.float64, st.integers(0, 9), elements=st.floats(width=64)),
    pts=st.none() | arrays(np.int64, st.integers(0, 9), elements=INT64),
    keyframes=st.none() | arrays(np.int64, st.integers(0, 9), elements=INT64),
    packets=st.none() | arrays(np.int64, st.integers(0, 9), elements=INT64),
)
def test_a_timeline_crosses_processes_bit_for_bit(
    pts_s: np.ndarray, pts: np.ndarray | None, keyframes: np.ndarray | None, packets: np.ndarray | None
) -> None:
    sent = Timeline(7, 64, 48, pts_s, pts, keyframes, packets, (Restart(3, 4),), names=("1.png",), promised=8)
    got = pickle.loads(pickle.dumps(sent))
    assert vars(got).keys() == vars(sent).keys()
    for name, value in vars(sent).items():
        if isinstance(value, np.ndarray):
            assert vars(got)[name].dtype == value.dtype
            assert vars(got)[name].tobytes() == value.tobytes()
        else:
            assert vars(got)[name] == value


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 12.5])
def test_two_hours_of_video_stay_out_of_rays_object_store(fps: float) -> None:
    count = int(7200 * fps)
    pts = np.arange(count) * 512
    timeline = Timeline(count, 1920, 1080, np.arange(count) / fps, pts, pts[::50])
    assert len(pickle.dumps(timeline)) < 100 * 1024, "Ray sends values of up to 100 KiB with the reply itself"
