"""Whether an output folder is in a state that a reader can meet at any moment."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def unsound(out: Path) -> list[str]:
    """What is wrong with the files under `out`: what cannot be read, and what was not finished."""
    found = []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        try:
            if path.name.startswith(".writing-"):
                found.append(f"{path}: left unfinished")
            elif path.suffix == ".parquet":
                pq.read_table(path)
            elif path.suffix == ".json":
                json.loads(path.read_text())
        except (pa.ArrowException, ValueError) as error:
            found.append(f"{path}: {error}")
    return found
