"""A package that was built, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from hf2vad.engines.target import Choice
from hf2vad.progress import duration
from hf2vad.summary import print_lines, print_whole


def print_built(choice: Choice, built: Mapping[str, Any], bundle: str, networks: Sequence[str], cache: str) -> None:
    """Print the device and figures of a package, and where it lies.

    built: JSON of the package. bundle: id of its bundle.
    """
    target = choice.target
    table = Table(title=f"engine {choice.spec.label} of bundle {bundle}", show_header=False)
    rows = {
        "device": f"{target.device} ({target.ability})",
        **({"threads": str(target.threads)} if target.threads else {}),
    }
    rows |= {"networks": ", ".join(networks)}
    rows |= {name: f"{built[name]}" for name in ("batch", "seconds", "file")}
    rows |= {"size": f"{built['bytes'] / 2**20:.1f} MiB", "in": cache}
    rows |= {"differs from eager by": f"{built['difference']:.1e}, relative, on the probe cubes"}
    for row in rows.items():
        table.add_row(*row)
    print_whole(table, width=120)
    print_lines(
        [
            f"Engine {choice.spec.label} of bundle {bundle} for {target.device}, built in "
            f"{duration(built['seconds'])}; differs from eager by {built['difference']:.1e}"
        ],
        last=f"Package: {cache}; hf2vad score --engine auto uses it where it fits",
    )
