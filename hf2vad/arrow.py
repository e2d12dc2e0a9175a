"""pyarrow without pandas, in processes that use no pandas."""

from __future__ import annotations

import functools
import importlib.abc
import sys


class _NoPandas(importlib.abc.MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


@functools.cache
def without_pandas() -> None:
    """Have pyarrow take pandas for absent in this process: to see whether what becomes an array is of pandas, it would
    import it, which takes 0.3 s and 40 MB. `to_pandas` works all the same.

    Only for processes that run nothing but a job: pyarrow no longer recognises the series of a user's own code.
    """
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    pa.array([0])  # looks for pandas, once for all
    sys.meta_path.remove(finder)
