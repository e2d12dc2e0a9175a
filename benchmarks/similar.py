"""More like this: exact search among millions of vectors, and what vectors cost scoring.

Example:
    python -m benchmarks similar --millions 10

Vectors are random. A search compares one with all and takes the moments out. Writes benchmarks/results/similar.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np

from benchmarks.measure import RESULTS, save
from benchmarks.tables import markdown
from hf2vad.features.feature import CubeArrays
from hf2vad.features.object_vector import object_vectors
from hf2vad.review.similar import CHUNK, VectorIndex
from hf2vad.schema import VECTOR_BYTES

VIDEOS = 40 * 30
"""Forty cameras for a month, a video a day."""
BATCH = 64


def random_index(count: int) -> VectorIndex:
    """An index of `count` random vectors, two a second."""
    draw = np.random.default_rng(0)
    vectors = draw.integers(-100, 100, (count, VECTOR_BYTES), dtype=np.int8)
    squares = [np.square(vectors[start : start + CHUNK].astype(np.float32)).sum(1) for start in range(0, count, CHUNK)]
    each = -(-count // VIDEOS)
    within = np.arange(count) % each
    return VectorIndex(
        videos=[f"camera-{number}.mp4" for number in range(VIDEOS)],
        vectors=vectors,
        video=(np.arange(count) // each).astype(np.int32),
        frame=within.astype(np.int32),
        seconds=(within / 2).astype(np.float32),
        score=draw.uniform(0, 5, count).astype(np.float32),
        squares=np.concatenate(squares),
    )


def vector_seconds(rounds: int) -> list[float]:
    """Seconds of the processor for the vectors of one batch of cubes, each round."""
    draw = np.random.default_rng(0)
    seconds = []
    for _ in range(rounds):
        cubes = CubeArrays(
            boxes=np.tile(np.array([[0, 0, 20, 40]], np.float32), (BATCH, 1)),
            flow=draw.normal(0, 1, (BATCH, 4, 32, 32, 2)).astype(np.float16),
            appearance=draw.integers(0, 255, (BATCH, 5, 32, 32, 3), dtype=np.uint8),
        )
        _ = cubes.median_flow, cubes.grey  # features need them anyway
        started = time.process_time()
        object_vectors(cubes)
        seconds.append(time.process_time() - started)
    return seconds


def table() -> str:
    """Seconds of a search, and of the vectors that scoring keeps."""
    found = json.loads((RESULTS / "similar.json").read_text())
    clock, busy = found["search_s"], found["processor_s"]
    row = [
        f"{found['vectors']:,}",
        f"{clock['median']:.2f} s ({clock['slowest']:.2f})",
        f"{busy['median']:.2f} s",
        f"{found['vector_us_a_cube']:.0f} µs",
    ]
    head = ["vectors", "a search, median (slowest)", "of the processor", "making one"]
    return markdown(head, [row])


TABLES = {"similar": table}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    count = int(arguments.millions * 1e6)
    index = random_index(count)
    seconds, busy = [], []
    for number in range(arguments.rounds):
        started, before = time.perf_counter(), time.process_time()
        moments = index.like(index.videos[number], 0, 40, 12)
        seconds.append(time.perf_counter() - started)
        busy.append(time.process_time() - before)
        assert len(moments) == 12
    cubes = vector_seconds(arguments.rounds)
    save(
        "similar",
        {
            "vectors": count,
            "bytes": count * (VECTOR_BYTES + 20),
            "search_s": {"median": round(statistics.median(seconds), 3), "slowest": round(max(seconds), 3)},
            "processor_s": {"median": round(statistics.median(busy), 3), "most": round(max(busy), 3)},
            "vector_us_a_cube": round(1e6 * statistics.median(cubes) / BATCH, 1),
        },
    )
    return 0
