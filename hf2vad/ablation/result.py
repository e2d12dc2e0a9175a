"""Result of an ablation: its files, and its table for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from hf2vad.ablation.rows import HEAD, cells, records_table
from hf2vad.plurals import count_words
from hf2vad.progress import duration
from hf2vad.storage import join, put_json, put_table
from hf2vad.summary import print_lines, print_whole


def put_result(
    out: str, settings: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], *, nodes: int, seconds: float
) -> None:
    """Put ablation.parquet and ablation.json at `out`, and print the table.

    settings: of the job. lines: of the result table. nodes: units of work. seconds: that all took.
    """
    result: dict[str, Any] = {
        "benchmark": "ablation",
        "seconds": round(seconds, 1),
        "units": nodes,
        "settings": settings,
        "chosen_on_labels": "nothing",
        "rows": lines,
    }
    put_table(join(out, "ablation.parquet"), records_table(lines))
    put_json(join(out, "ablation.json"), result)
    table = Table(title=f"frame AUROC, {count_words(nodes, 'node')}, {seconds:.0f} s; smoothed / raw")
    for column in HEAD:
        table.add_column(column)
    for line in cells(lines):
        table.add_row(*line)
    print_whole(table, width=160)
    counts = Counter(line["status"] for line in lines)
    done = [f"{count_words(count, 'row')} {status}" for status, count in counts.items()]
    said = [
        f"{', '.join(done)} in {duration(seconds)}",
        "Nothing is chosen by these figures: they are of the test labels, and the best of them is no result.",
        *(f"{line['row']}: {line['note']}" for line in lines if line["status"] == "failed"),
    ]
    print_lines(said, last=f"Written to {join(out, 'ablation.parquet')} and ablation.json; --verbose prints the rows")
