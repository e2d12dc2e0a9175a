"""A cluster that asks for a token takes work from those who have it, and from nobody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.site import ROOT, RayCluster, Site, environment, job, ray_head

TOKEN = "token-of-this-test-" + "0" * 20


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("token") / "auth_token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def guarded(token: Path) -> Iterator[RayCluster]:
    folder = Path(tempfile.mkdtemp(prefix="hf2vad-ray-"))  # short: Ray's sockets have paths of at most 107 bytes
    try:
        with ray_head(folder, cpus=1, env={"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}) as head:
            yield head
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What those have in their environment who lack the token."""
    wrong = tmp_path_factory.mktemp("strangers") / "wrong"
    wrong.write_text("another-token-" + "1" * 20)
    return {
        "without": {"RAY_AUTH_MODE": "disabled"},
        "wrong": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(wrong)},
    }


def clean(env: dict[str, str], home: Path) -> dict[str, str]:
    """The environment of a job, where no token lies in the home folder and no cluster is named."""
    kept = {name: value for name, value in environment().items() if name not in ("RAY_ADDRESS", "AWS_PROFILE")}
    return {**kept, "HOME": str(home), **env}


@dataclass(frozen=True)
class Refused:
    """A scoring job of a stranger, and the folder that it was to write to."""

    done: Future[subprocess.CompletedProcess[str]]
    out: Path


@pytest.fixture(scope="module", autouse=True)
def refused(
    guarded: RayCluster, site: Site, strangers: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Refused]]:
    """Jobs that run beside the other tests: Ray waits for many seconds before it gives up."""
    home = tmp_path_factory.mktemp("refused")

    def score(who: str) -> subprocess.CompletedProcess[str]:
        arguments = ("--archive", site.test, "--bundle", site.bundle, "--out", home / who)
        command = job("score_archive", *arguments, "--ray.address", guarded.address)
        env = clean(strangers[who], home)
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=200)

    with ThreadPoolExecutor(len(strangers)) as pool:
        yield {who: Refused(pool.submit(score, who), home / who) for who in strangers}


def submit(cluster: RayCluster, env: dict[str, str], home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    submitting = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", cluster.dashboard, "--"]
    return subprocess.run(
        [*submitting, *command], capture_output=True, text=True, cwd=home, env=clean(env, home), timeout=120
    )


@pytest.mark.parametrize("who", ["without", "wrong"])
def test_a_job_that_is_submitted_without_the_token_is_refused(
    guarded: RayCluster, strangers: dict[str, dict[str, str]], tmp_path: Path, who: str
) -> None:
    done = submit(guarded, strangers[who], tmp_path, "touch", str(tmp_path / "ran"))
    assert done.returncode != 0
    assert "authentication" in (done.stdout + done.stderr).lower()
    assert not (tmp_path / "ran").exists()


def test_with_the_token_it_runs_and_the_log_does_not_hold_it(guarded: RayCluster, token: Path, tmp_path: Path) -> None:
    mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    done = submit(guarded, mine, tmp_path, "touch", str(tmp_path / "ran"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "ran").exists()
    assert TOKEN not in done.stdout + done.stderr


def test_a_scoring_job_with_the_token_scores(guarded: RayCluster, site: Site, token: Path, tmp_path: Path) -> None:
    arguments = ("--archive", site.test, "--bundle", site.bundle, "--out", tmp_path / "out", "--include", "01_*")
    command = job("score_archive", *arguments, "--ray.address", guarded.address)
    mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=clean(mine, tmp_path), timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) >= 5
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
    assert os.stat(token).st_mode & 0o077 == 0


def test_scoring_jobs_without_the_token_end_and_say_so(refused: dict[str, Refused]) -> None:
    for who, scoring in refused.items():
        ended = scoring.done.result()
        assert ended.returncode == 2, f"{who}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}"
        assert "RAY_AUTH_MODE" in ended.stderr, who
        assert not list(scoring.out.rglob("*.parquet"))
