"""The metrics of a run as Prometheus has them."""

from __future__ import annotations

from hf2vad.walk.metrics import FIGURES

OWN_LABELS = ("run", "job_name")
"""Labels of every series."""


def exported(name: str) -> str:
    """What Prometheus calls a metric."""
    return f"ray_{name}" + ("_total" if FIGURES[name].kind == "counter" else "")
