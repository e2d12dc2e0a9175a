"""The recipe "a detector" of docs/contributing.md, followed to the letter in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hf2vad.storage import list_files, read_table
from tests.clips import Clip, write_clip

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/contributing.md").read_text()

JOB = """
import json, sys
from dataclasses import replace
from hf2vad.cubes.settings import extraction_fingerprint
from hf2vad.jobs.extract import JOB
from hf2vad.presets import PRESETS
from hf2vad.training.data import StcTable

code = JOB.main(sys.argv[1:])
extraction = StcTable("out/stc/videos").extraction
moved = replace(extraction.detector, places=replace(extraction.detector.places, file="s3://elsewhere/gates.json"))
wider = replace(extraction.detector, places=replace(extraction.detector.places, grow=3.0))
print(json.dumps({
    "code": code,
    "kind": extraction.detector.kind,
    "places": vars(extraction.detector.places),
    "fingerprints": [extraction_fingerprint(replace(extraction, detector=each)) for each in (
        extraction.detector, moved, wider)],
    "ped2": extraction_fingerprint(PRESETS["ped2"].extraction),
}))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package, in which one file and one entry are added as the page says."""
    recipe = PAGE[PAGE.index("**A detector**") :]
    (code,) = re.findall(r"The example is a file `places\.py`.*?```python\n(.*?)```", recipe, re.DOTALL)
    (entry,) = re.findall(r"Its entry .*?```text\n(.*?)```", recipe, re.DOTALL)
    shutil.copytree(ROOT / "hf2vad", tmp_path / "hf2vad", ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path / "hf2vad/cubes/detectors"
    (folder / "places.py").write_text(code)
    registry = folder / "settings.py"
    registry.write_text(registry.read_text().replace("\n}\n", f"\n{entry}}}\n", 1))
    return tmp_path


@pytest.mark.slow
def test_a_detector_is_one_file_and_one_entry(checkout: Path) -> None:
    (checkout / "videos").mkdir()
    write_clip(checkout / "videos/clip.mp4", Clip(frames=8))
    (checkout / "gates.json").write_text("[[4, 4, 20, 24], [30, 10, 50, 40]]")
    options = ["--archive", "videos", "--out", "out", "--ray.address", "none", "--detector.kinds", "places", "motion"]
    options += ["--detector.places.file", "gates.json", "--detector.places.grow", "1.5"]
    done = subprocess.run(
        [sys.executable, "-c", JOB, *options],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["code"], result["kind"]) == (0, "places+motion")
    assert result["places"]["grow"] == 1.5
    assert Path(result["places"]["file"]) == checkout / "gates.json"
    here, moved, wider = result["fingerprints"]
    assert here == moved != wider
    assert result["ped2"] == "f2083814e59afa1a"  # a new detector changes nobody's cubes
    (uri,) = [entry.uri for entry in list_files(str(checkout / "out/stc"), ".parquet")]
    rows: pa.Table = read_table(uri)
    boxes = np.stack([rows[name].to_numpy() for name in ("x1", "y1", "x2", "y2")], axis=1)
    for frame in range(4, 8):
        first, second = boxes[rows["frame"].to_numpy() == frame][:2].tolist()
        assert (first, second) == ([2.5, 2.5, 21.5, 25.5], [28.5, 8.5, 51.5, 41.5])
