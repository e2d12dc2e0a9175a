"""Variants measured side by side in one run, and what becomes of the figures."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results"


def interleave(
    variants: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 7,
    warm: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each call of each variant, `repeats` of them: every variant once, then all again.

    What else the machine does in a moment thereby falls on all variants. The first `warm` rounds are not counted.
    `clock`: `time.process_time` for the processor's seconds, which other processes do not add to.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(warm + repeats):
        for name, run in variants.items():
            started = clock()
            run()
            if number >= warm:
                seconds[name].append(clock() - started)
    return seconds


def summary(seconds: Mapping[str, list[float]], baseline: str, *, units: float = 1) -> dict[str, dict[str, float]]:
    """Of each variant: median seconds, fastest and slowest, `units` a second, and how many times `baseline`'s speed.

    The ratio is the median of the rounds' own ratios.
    """
    return {
        name: {
            "seconds": round(statistics.median(values), 6),
            "fastest": round(min(values), 6),
            "slowest": round(max(values), 6),
            "per_second": round(units / statistics.median(values), 2),
            "ratio": round(statistics.median(b / v for b, v in zip(seconds[baseline], values, strict=True)), 3),
        }
        for name, values in seconds.items()
    }


def save(name: str, result: Mapping[str, Any]) -> None:
    """Write benchmarks/results/<name>.json, with the machine, versions and commit."""
    out = RESULTS / f"{name}.json"
    load = [round(value, 1) for value in os.getloadavg()]
    report = {"benchmark": name, "machine": {**describe(), "load_at_end": load}, **result}
    out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {out}")
