"""What a row's product is does not depend on the rows beside it."""

from __future__ import annotations

import numpy as np
import pytest

from hf2vad.features.rows import products_by_row


@pytest.mark.parametrize("exact", [np.float32, np.float64])
def test_a_rows_product_is_the_same_at_every_place_among_any_others(exact: type[np.float32] | type[np.float64]) -> None:
    rng = np.random.default_rng(0)
    rows, matrix = rng.normal(size=(70, 144)).astype(exact), rng.normal(size=(500, 144)).astype(exact).T
    all_at_once = products_by_row(rows, matrix)
    np.testing.assert_allclose(all_at_once, rows @ matrix, rtol=1e-3, atol=1e-3)
    for first in range(1, 13):
        np.testing.assert_array_equal(products_by_row(rows[first:], matrix), all_at_once[first:])
        np.testing.assert_array_equal(products_by_row(rows[:first], matrix), all_at_once[:first])


def test_no_row_gives_no_product() -> None:
    assert products_by_row(np.empty((0, 8), np.float32), np.ones((8, 3), np.float32)).shape == (0, 3)
