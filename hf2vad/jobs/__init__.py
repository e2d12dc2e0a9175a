"""The jobs: one module each, with its description, its settings and its function.

`hf2vad NAME`, jobs/*.py, docs/configuration.md and the tests all take a job from `JOBS`.

Parsing options and printing help import a job's module. So its functions import PyTorch, Ray, OpenCV, scikit-learn, and
the parts of the package that need them, only when the job runs: `--help` then answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf2vad.commandline import Job

JOBS: dict[str, str] = {
    "run": "hf2vad.jobs.run",
    "demo": "hf2vad.jobs.demo",
    "extract": "hf2vad.jobs.extract",
    "train": "hf2vad.jobs.train",
    "score": "hf2vad.jobs.score",
    "report": "hf2vad.jobs.report",
    "review": "hf2vad.jobs.review",
    "similar": "hf2vad.jobs.similar",
    "teach": "hf2vad.jobs.teach",
    "case": "hf2vad.jobs.case",
    "alarms": "hf2vad.jobs.alarms",
    "backfill": "hf2vad.jobs.backfill",
    "build-engine": "hf2vad.jobs.build_engine",
    "evaluate": "hf2vad.jobs.evaluate",
    "reproduce": "hf2vad.jobs.reproduce",
    "ablate": "hf2vad.jobs.ablate",
}
"""The module of each job, by the name that the command `hf2vad` has for it; in the order of use."""


GROUPS: dict[str, tuple[str, ...]] = {
    "Start": ("run", "demo"),
    "Every night": ("backfill", "teach", "alarms"),
    "Look": ("report", "review", "similar", "case", "evaluate"),
    "Step by step": ("extract", "train", "score"),
    "Research": ("reproduce", "ablate"),
}
"""The jobs by what they are for, as `hf2vad --help` shows them; others are shown after these."""


def load(name: str) -> Job[Any]:
    """The job `name`: what its module calls JOB. Raises KeyError for a name that is not in `JOBS`."""
    job: Job[Any] = importlib.import_module(JOBS[name]).JOB
    return job
