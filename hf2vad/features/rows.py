"""Products of cubes' vectors with a matrix, the same to the last digit whichever cubes stand beside them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from hf2vad.schema import F32, F64

Real = TypeVar("Real", F32, F64)


def products_by_row(rows: Real, matrix: Real) -> Real:
    """(B, E): the products of (B, D) rows with a (D, E) matrix, each row by a call of its own.

    In a product of all rows at once, BLAS rounds a row by its place among them, and by the number of threads. Where a
    shard begins decides that place, and must not show in a score.
    """
    products: Real = np.matmul(rows[:, None], matrix)[:, 0]
    return products
