from __future__ import annotations

import numpy as np
import pytest

from hf2vad.features.exemplars import TRIMMED, USUAL, fit_exemplars, local_scales, nearest
from hf2vad.fitting.folds import BLOCKS, MOST, Folds
from hf2vad.schema import F32
from hf2vad.training.data import StcFile


def clips(count: int, each: int, seed: int = 0) -> tuple[F32, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 1, (count * each, 6)).astype(np.float32)
    return vectors, np.repeat(np.arange(count, dtype=np.int32), each)


def test_the_distance_is_to_the_nearest_exemplar() -> None:
    vectors, folds = clips(4, 100)
    arrays = fit_exemplars(vectors, folds, 40, seed=0)
    assert len(arrays["exemplars"]) == pytest.approx(40, abs=4)
    asked = clips(1, 50, seed=1)[0]
    by_hand = np.linalg.norm(asked[:, None] - arrays["exemplars"], axis=2).min(1)
    assert nearest(asked, arrays) == pytest.approx(by_hand, rel=1e-3)


def test_a_training_cube_is_measured_against_other_footage_alone() -> None:
    vectors, folds = clips(4, 100)
    vectors[folds == 2] += 50
    arrays = fit_exemplars(vectors, folds, 400, seed=0)
    assert np.median(nearest(vectors, arrays)) < 0.05
    apart = nearest(vectors, arrays, folds)
    assert apart[folds == 2].min() > 100
    assert apart[folds != 2].max() < 10


def test_a_scale_is_half_of_how_far_training_cubes_lie_from_their_exemplar() -> None:
    vectors, folds = clips(4, 300)
    vectors[::2] *= 0.1
    vectors[::2] += 30  # half of the cubes lie close together, far from the others
    arrays = fit_exemplars(vectors, folds, 40, seed=0)
    found = local_scales(vectors, folds, arrays)
    scales = found["scale"]
    close = arrays["exemplars"][:, 0] > 15
    apart = np.linalg.norm(vectors[:, None] - arrays["exemplars"], axis=2)
    apart[folds[:, None] == arrays["fold"]] = np.inf
    usual = apart.min(1).mean()
    for exemplar in (int(np.flatnonzero(close)[0]), int(np.flatnonzero(~close)[0])):
        own = apart.min(1)[apart.argmin(1) == exemplar]
        mean = (own.sum() + USUAL * usual) / (len(own) + USUAL)
        assert scales[exemplar] == pytest.approx((mean / usual + 1) / 2, rel=1e-3)
    assert found["reach"][0] == pytest.approx(np.quantile(apart.min(1), 0.9), rel=1e-3)
    assert scales[close].max() < 0.9 < 1.2 < scales[~close].mean()
    asked = clips(1, 50, seed=1)[0]
    ratio = nearest(asked, arrays) / nearest(asked, {**arrays, "scale": scales})
    assert ratio == pytest.approx(scales[np.linalg.norm(asked[:, None] - arrays["exemplars"], axis=2).argmin(1)])


def test_cubes_that_are_all_alike_have_a_scale_of_one() -> None:
    vectors, folds = np.zeros((40, 6), np.float32), np.repeat(np.arange(2, dtype=np.int32), 20)
    arrays = fit_exemplars(vectors, folds, 4, seed=0)
    assert (local_scales(vectors, folds, arrays)["scale"] == 1).all()
    assert (local_scales(vectors[:0], folds[:0], arrays)["scale"] == 1).all()


def test_footage_of_one_fold_is_measured_against_itself() -> None:
    vectors, folds = clips(1, 60)
    assert np.isfinite(nearest(vectors, fit_exemplars(vectors, folds, 20, seed=0), folds)).all()


def test_the_most_unusual_training_cubes_become_no_exemplars() -> None:
    vectors, folds = clips(4, 500)
    count = int(0.8 * TRIMMED * len(vectors))
    vectors[:count] = 100 + np.arange(count)[:, None]
    arrays = fit_exemplars(vectors, folds, 200, seed=0)
    assert arrays["exemplars"].max() < 50
    assert nearest(vectors, arrays)[:count].min() > 100


def test_the_same_vectors_and_seed_give_the_same_exemplars() -> None:
    vectors, folds = clips(3, 200)
    first, second, other = (fit_exemplars(vectors, folds, 30, seed=seed)["exemplars"] for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_distances_do_not_depend_on_how_many_are_asked_for_at_once() -> None:
    vectors, folds = clips(4, 600)
    arrays = fit_exemplars(vectors, folds, 100, seed=0)
    assert nearest(vectors, arrays)[:7] == pytest.approx(nearest(vectors[:7], arrays), rel=1e-4, abs=1e-4)


def files(*videos: tuple[str, int, int]) -> list[StcFile]:
    return [StcFile(f"{video}/{start}", video, start, stop, (4,)) for video, start, stop in videos]


def test_a_video_is_of_one_fold_where_there_are_several() -> None:
    folds = Folds.of(files(*((f"{i:03}", 0, 100) for i in range(40))))
    numbers = [set(folds(f"{i:03}", np.arange(4, 100, dtype=np.int32))) for i in range(40)]
    assert all(len(found) == 1 for found in numbers)
    assert len(set.union(*numbers)) == MOST


def test_one_video_is_cut_into_blocks_of_time_however_its_files_are_cut() -> None:
    frames = np.arange(0, 800, dtype=np.int32)
    whole, shards = Folds.of(files(("a", 0, 800))), Folds.of(files(("a", 0, 300), ("a", 300, 800)))
    assert np.array_equal(whole("a", frames), shards("a", frames))
    assert np.bincount(whole("a", frames)).tolist() == [100] * BLOCKS
    two = Folds.of(files(("a", 0, 800), ("b", 0, 80)))
    assert set(two("a", frames)).isdisjoint(two("b", frames[:80]))
