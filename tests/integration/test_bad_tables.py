"""Tables that cannot be trained on, and disks that fill up: one clear line, and the last good checkpoint stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hf2vad.schema import STC
from hf2vad.storage import put_table
from hf2vad.training.checkpoint import Checkpoint, Checkpoints
from hf2vad.training.group import Group
from tests.disk import enlarge, small_disk
from tests.site import RayCluster, run_job
from tests.stc import make_cubes, put_clip

SMALL = (
    "--preset=compact_eq9",
    "--model.flow-root=2",
    "--model.slots=8",
    *("--model.cvae-widths", "4", "8", "8", "8"),
    "--training.batch=8",
    "--training.flow.epochs=2",
    "--training.frame.epochs=1",
    "--threads=1",
)


def complaint(stc: Path, out: Path, *more: object) -> str:
    """The line that training ends with when it exits with 2; above it there may be progress, but no traceback."""
    done = run_job("train", "--stc", stc, "--out", out, *SMALL, *more, expect=2)
    *progress, line = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert not any("error" in one for one in progress)
    assert "Traceback" not in done.stdout + done.stderr
    return line


def checkpoint(out: Path) -> Checkpoint:
    """The checkpoint that is there, read as training reads it."""
    uri = str(out / "checkpoints" / "last.safetensors")
    data = Path(uri).read_bytes()
    settings = data[: data.index(b"progress")].rsplit(b'settings\\": \\"', 1)[1][:16].decode()
    found = Checkpoints(uri, settings=settings, group=Group()).load()
    assert found is not None
    return found


def test_a_table_of_three_rows(tmp_path: Path) -> None:
    put_clip(tmp_path / "stc", "a", (0, 40), {10: 3})
    line = complaint(tmp_path / "stc", tmp_path / "out")
    assert "3 cubes in 1 file, at least 16 are needed" in line
    assert not (tmp_path / "out").exists()


def test_a_table_of_files_without_rows(tmp_path: Path) -> None:
    put_clip(tmp_path / "stc", "a", (0, 40), {})
    put_clip(tmp_path / "stc", "b", (0, 40), {})
    assert "0 cubes in 2 files, at least 16 are needed" in complaint(tmp_path / "stc", tmp_path / "out")


def test_a_table_of_another_schema_version(tmp_path: Path) -> None:
    path = put_clip(tmp_path / "stc", "a", (0, 40), {10: 16})
    metadata = {**pq.read_schema(path).metadata, b"hf2vad.schema": b"99"}
    put_table(str(path), STC.empty_table().replace_schema_metadata(metadata))
    line = complaint(tmp_path / "stc", tmp_path / "out")
    assert f"{path}: schema version 99, this release reads 1" in line


@pytest.fixture(scope="module")
def nan_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nan") / "stc"
    appearance, flow = make_cubes(32, 0)
    flow[3, 1:, 5, 5, 0] = np.nan
    put_clip(folder, "a", (0, 40), {10: 32}, content=(appearance, flow))
    return folder


def test_a_table_with_nan_flow(nan_table: Path, tmp_path: Path) -> None:
    line = complaint(nan_table, tmp_path / "out")
    assert "loss is nan in stage flow, epoch 1" in line
    assert f"look for cubes with NaN flow in {nan_table}" in line
    assert not list((tmp_path / "out").rglob("*.safetensors"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")
def test_several_workers_stop_together_at_a_loss_that_is_no_number(
    nan_table: Path, ray_cluster: RayCluster, tmp_path: Path
) -> None:
    line = complaint(nan_table, tmp_path / "out", "--workers", 2)
    assert "loss is nan in stage flow, epoch 1" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", 3), "8 must be a multiple of 3"),
        (("--workers", 8), "at least 2 cubes for each"),
        (("--workers", -1), "--workers must not be negative"),
        (("--workers", 2, "--ray.cpus", 500), "2 workers need 500.0 CPUs"),
        (("--workers", 2, "--device", "cuda"), "2 workers need 1.0 CPUs and 1.0 GPUs each"),
    ],
)
def test_workers_that_cannot_be(
    nan_table: Path, ray_cluster: RayCluster, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    assert message in complaint(nan_table, tmp_path / "out", *arguments)


def test_a_full_disk_leaves_the_last_good_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    put_clip(tmp_path / "stc", "a", (0, 40), {10: 16})
    more = ("--training.no-tensorboard", "--training.cache-gib", 0)
    run_job("train", "--stc", tmp_path / "stc", "--out", tmp_path / "whole", *SMALL, *more)
    size = (tmp_path / "whole" / "checkpoints" / "last.safetensors").stat().st_size
    with small_disk(tmp_path / "disk", int(1.1 * size)):
        out = tmp_path / "disk" / "out"
        line = complaint(tmp_path / "stc", out, *more)
        assert f"{out}/checkpoints/last.safetensors: cannot be written: No space left on device" in line
        assert [path.name for path in out.rglob("*") if path.is_file()] == ["last.safetensors"]
        found = checkpoint(out)
        assert (found.progress.stage, found.progress.epoch) in ((0, 1), (1, 0))
        enlarge(tmp_path / "disk", 8 * size)
        run_job("train", "--stc", tmp_path / "stc", "--out", out, *SMALL, *more)
        assert (out / "bundle.json").exists()
