"""Times of pictures that cannot be, repaired by one rule.

A picture's time is its own. It is not taken where it cannot be:
1. Behind those before it, and so are most of the pictures after it: the clock was set back. This picture follows its
   predecessor by one usual step, and all after it are moved by as much (`time_back`). Where the decoder reorders
   pictures, a time may be behind by as much as that moves them.
2. More than a day after its predecessor: the same for a clock that was set ahead (`time_jump`).
3. Behind, or ahead, and the pictures after it are not: its own time alone is wrong, and is made up (`time_back`,
   `time_jump`).
4. Otherwise out of order, where the decoder reorders pictures: the times are right and belong to each other's pictures,
   as in a container that has the order of decoding. They are sorted (`time_order`).
5. That of its predecessor: it is moved halfway to its successor, at most by one usual step (`time_doubled`).
6. Missing: it is made up (`time_missing`).
Times are made up evenly between their neighbours, at most one usual step apart.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hf2vad.schema import F64, TimeKind

Flags = npt.NDArray[np.bool_]
RepairKind = Literal["gap", TimeKind]

NEAR = 16
"""Pictures that a decoder may hold back to give them in order (H.264, HEVC), and so by how many places times may be out
of order; and pictures after an odd one that vote on whether it is its time that is wrong, or the clock."""
ALONE = 5.0
"""Seconds from all others, at least, that single wrong times are."""
LONGEST_PAUSE = 24 * 3600.0
"""Seconds that a recording may pause."""


class Repair(NamedTuple):
    """Times of frames `start` … `stop` (exclusive) that are not their own, or follow on pictures that are missing."""

    kind: RepairKind
    start: int
    stop: int
    value: float
    """Seconds that the clock went back or ahead, or that are missing; of the others, how many times were changed."""


def repaired(own: F64, *, step: float, reordered: bool) -> tuple[F64, tuple[Repair, ...]]:
    """Strictly ascending times in seconds, from the frames' `own` (NaN where they have none), and what was changed.

    step: seconds between frames where the times do not say. reordered: the decoder reorders pictures, so that times in
    the order of decoding are no fault of single ones. The first time is the first frame's.
    """
    known = own[~np.isnan(own)]
    if len(known) == len(own) and (np.diff(own) > 0).all() and (np.diff(own) <= LONGEST_PAUSE).all():
        return own, ()
    steps = np.diff(np.sort(known))
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else step
    # Around a pause, times in the order of decoding look as if they jumped.
    times, repairs = own.copy(), list[Repair]()
    if reordered and len(known) == len(own) and only_reordered(own):
        _sort(times, repairs)
    _set_one_clock(times, repairs, usual, reordered=reordered)
    _sort(times, repairs)
    missing = np.isnan(times)
    if missing.all():
        return np.arange(len(own), dtype=np.float64) * step, ()
    _make_up(times, usual)
    alone = np.isnan(own) & missing
    repairs += [Repair("time_missing", start, stop, stop - start) for start, stop in runs(alone)]
    doubled = np.concatenate([[False], np.diff(times) <= 0])
    repairs += [Repair("time_doubled", start, stop, stop - start) for start, stop in runs(doubled)]
    _spread(times, doubled, usual)
    return times, tuple(sorted(repairs, key=lambda repair: repair.start))


def only_reordered(times: F64) -> bool:
    """True if distinct `times` fit a decoder that reorders pictures: none is far from its place, or has come there
    alone as a single wrong time has."""
    order = np.argsort(times, kind="stable")
    places = np.arange(len(times))
    if (np.abs(order - places) > NEAR).any():
        return False
    steps = np.diff(times[order])
    slack = max(ALONE, NEAR * float(np.median(steps))) if len(steps) else ALONE
    apart = np.concatenate([[np.inf], steps, [np.inf]]) > slack
    return not (apart[1:] & apart[:-1] & (order != places)).any()


def _set_one_clock(times: F64, repairs: list[Repair], usual: float, *, reordered: bool) -> None:
    """Have `times` by the clock of the first frame, in place; NaN where a time cannot be."""
    own = times.copy()
    offset, latest, slack = 0.0, np.nan, NEAR * usual
    back = slack if reordered else 0.0
    for i in range(len(own)):
        time = times[i] = float(own[i]) + offset
        if latest - back <= time <= latest + slack or np.isnan(latest):
            latest = np.fmax(latest, time)
        elif time < latest:
            lasting = _most(own[i + 1 : i + 1 + NEAR] + offset < latest - back)
            repairs.append(Repair("time_back", i, i + 1, float(latest - time)))
            times[i] = latest + usual if lasting else np.nan
        elif time > latest:
            lasting = not _most(own[i + 1 : i + 1 + NEAR] + offset < time - slack)
            if lasting and time <= latest + LONGEST_PAUSE:
                latest = time
                continue
            repairs.append(Repair("time_jump", i, i + 1, float(time - latest)))
            times[i] = latest + usual if lasting else np.nan
        if times[i] != time and not np.isnan(times[i]):
            offset += times[i] - time
            latest = times[i]


def _most(votes: Flags) -> bool:
    return 2 * int(votes.sum()) > len(votes)


def _sort(times: F64, repairs: list[Repair]) -> None:
    """Give the times that are out of order to the frames in whose places they are."""
    present = np.flatnonzero(~np.isnan(times))
    ordered = np.sort(times[present])
    moved = present[ordered != times[present]]
    times[present] = ordered
    if len(moved):
        repairs.append(Repair("time_order", int(moved[0]), int(moved[-1]) + 1, float(len(moved))))


def _make_up(times: F64, usual: float) -> None:
    """Times for NaN, in place; there is one time at least."""
    for start, stop in runs(np.isnan(times)):
        count = stop - start
        if start == 0:
            times[:stop] = times[stop] - usual * np.arange(count, 0, -1)
            continue
        room = (times[stop] - times[start - 1]) / (count + 1) if stop < len(times) else usual
        times[start:stop] = times[start - 1] + min(usual, room) * np.arange(1, count + 1)


def _spread(times: F64, doubled: Flags, usual: float) -> None:
    """Move `doubled` times, which are that of their predecessor, apart, in place."""
    for start, stop in runs(doubled):
        room = (times[stop] - times[start - 1]) / (stop - start + 1) if stop < len(times) else usual
        times[start:stop] = times[start - 1] + min(usual, room) * np.arange(1, stop - start + 1)


def median_step(pts_s: F64) -> float:
    """Median seconds between frames at (frames,) ascending times; 0 for fewer than two."""
    return float(np.median(np.diff(pts_s))) if len(pts_s) > 1 else 0.0


def usual_fps(pts_s: F64) -> float:
    """Frames a second by the median step, to a thousandth; 0 for fewer than two frames."""
    return round(1 / step, 3) if (step := median_step(pts_s)) else 0.0


def runs(holds: Flags) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
