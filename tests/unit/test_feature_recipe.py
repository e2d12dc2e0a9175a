"""The recipe "a feature" of docs/contributing.md, followed to the letter in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf2vad.demo.archive import generate
from hf2vad.features.settings import FEATURES, FusionConfig
from hf2vad.schema import BOX, F64
from hf2vad.settings import fingerprint
from tests.site import SMALL

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/contributing.md").read_text()
HERE = ("--ray.address", "none")


JOBS = """
import json, sys
from hf2vad.features.settings import FusionConfig
from hf2vad.jobs import load
from hf2vad.settings import fingerprint

for name, *arguments in json.loads(sys.argv[1]):
    assert load(name).main(arguments) == 0, name
print(fingerprint(FusionConfig()))
"""


@dataclass(frozen=True)
class Followed:
    """The recipe, followed: where, and what the last line of output was."""

    folder: Path
    last_line: str


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """A copy of the package with one file and one line more, as the page says; cubes, a bundle and scores by it."""
    recipe = PAGE[PAGE.index("**A feature**") :]
    (code,) = re.findall(r"The example is a file `aspect\.py`.*?```python\n(.*?)```", recipe, re.DOTALL)
    (line, *_) = re.findall(r"Its line .*?```text\n(.*?)```", recipe, re.DOTALL)
    (config, *_) = re.findall(r"```text\n(\[fusion\].*?)```", recipe, re.DOTALL)
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "hf2vad", folder / "hf2vad", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "hf2vad/features/aspect.py").write_text(code)
    registry = folder / "hf2vad/features/settings.py"
    registry.write_text(registry.read_text().replace("\n}\n", f"\n{line}}}\n", 1))
    (folder / "config.toml").write_text(config.replace("0.2", "0.02"))
    generate(folder / "archive", train_clips=1, test_clips=1, frames=40)
    only = ("--fusion.flow", "0", "--fusion.frame", "0")
    jobs = (
        ("extract", "--archive", "archive/train", "--out", "stc", *HERE),
        ("train", "--stc", "stc", "--out", "bundle", "--config", "config.toml", *only, *SMALL),
        ("score", "--archive", "archive/test", "--bundle", "bundle", "--out", "scores", *HERE),
        ("report", "--scores", "scores", "--out", "site", "--bundle", "bundle"),
    )
    done = subprocess.run(
        [sys.executable, "-c", JOBS, json.dumps(jobs)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Followed(folder, done.stdout.splitlines()[-1])


def log_aspect(table: pa.Table) -> F64:
    x1, y1, x2, y2 = (table[name].to_numpy().astype(np.float64) for name in BOX)
    return np.asarray(np.log((x2 - x1) / (y2 - y1)), np.float64)


@pytest.mark.slow
def test_a_feature_is_one_file_and_one_line(followed: Followed) -> None:
    found = json.loads((followed.folder / "bundle/bundle.json").read_text())
    assert (found["fusion"]["aspect"], found["aspect"]) == (0.5, {"tolerance": 0.02})
    patterns = ("stc/stc/**/*.parquet", "scores/*/objects/*.parquet")
    training, objects = (pq.read_table(next(followed.folder.glob(pattern))) for pattern in patterns)
    expected = np.maximum(np.abs(log_aspect(objects) - np.median(log_aspect(training))) - 0.02, 0)
    assert expected.any()
    assert objects["s_aspect"].to_numpy() == pytest.approx(expected, abs=1e-5)
    calibration = found["calibration"]
    scores = 0.5 * (expected - calibration["aspect_mean"]) / calibration["aspect_std"]
    assert objects["score"].to_numpy() == pytest.approx(scores, abs=1e-4)
    assert '"aspect": "proportions"' in (followed.folder / "site/static/features.js").read_text()


def test_a_new_feature_changes_no_hash_of_settings_that_do_not_use_it(followed: Followed) -> None:
    assert followed.last_line == fingerprint(FusionConfig())


def test_no_file_of_scripts_lists_the_features() -> None:
    for path in (ROOT / "hf2vad/report/site/static").glob("*.js"):
        named = [name for name in FEATURES if re.search(rf"[\"']{name}[\"']|\b{name}:", path.read_text())]
        assert len(named) < 2, f"{path.name} names {named}"
