"""The nightly CronJob's submitter, run as its container runs it, with the rights that its Role gives."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import certificate
from tests.kubernetes_api import PREFIX, Api, serving
from tests.manifests import check, containers, of_kind
from tests.site import ROOT

RUN = {"JOB_NAME": "hf2vad-nightly-29401320", "JOB_UID": "2f1c7a5e-0000-4000-8000-000000000001"}
RUNNING = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}
DONE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}
FAILED = {
    "jobDeploymentStatus": "Failed",
    "jobStatus": "FAILED",
    "reason": "AppFailed",
    "message": "Job entrypoint command failed with exit code 3",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def api() -> Api:
    """The API with what `kubectl apply -k cluster/kubernetes/nightly` leaves there."""
    known = Api("token-of-this-test", of_kind("nightly", "Role")["rules"])
    known.objects["hf2vad-nightly"] = copy.deepcopy(of_kind("nightly", "RayJob"))
    known.statuses = [{}, {"jobDeploymentStatus": "Initializing"}, RUNNING, RUNNING, DONE]
    return known


@pytest.fixture
def pod(api: Api, pair: tuple[Path, Path], tmp_path: Path) -> Iterator[dict[str, str]]:
    with serving(api, pair, tmp_path / "account") as env:
        yield {**env, **RUN}


def submit(env: dict[str, str], account: Path) -> subprocess.CompletedProcess[str]:
    """The container's command, in this checkout."""
    python, script, *arguments = containers(of_kind("nightly", "CronJob"))[0]["command"]
    assert (python, Path(script).parent) == ("python", Path("/opt/hf2vad"))
    here = [sys.executable, ROOT / "cluster" / Path(script).name, *arguments]
    command = [*here, "--account", account, "--every", "0.01"]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)


def test_a_night_is_a_copy_of_the_suspended_rayjob_and_is_waited_for(
    api: Api, pod: dict[str, str], tmp_path: Path
) -> None:
    done = submit(pod, tmp_path / "account")
    assert done.returncode == 0, done.stderr
    night, template = api.objects[RUN["JOB_NAME"]], api.objects["hf2vad-nightly"]
    check(night)
    assert night["spec"] == {**template["spec"], "suspend": False}
    (owner,) = night["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", RUN["JOB_NAME"], RUN["JOB_UID"])
    assert template["spec"]["suspend"]
    assert [line.split(": ", 1)[1] for line in done.stdout.splitlines()] == [
        "started",
        "Initializing",
        "Running RUNNING",
        "Complete SUCCEEDED",
    ]
    assert api.token not in done.stdout + done.stderr


def test_a_submitter_that_was_started_again_waits_for_the_run_it_finds(
    api: Api, pod: dict[str, str], tmp_path: Path
) -> None:
    assert submit(pod, tmp_path / "account").returncode == 0
    again = submit(pod, tmp_path / "account")
    assert again.returncode == 0
    assert "was started before" in again.stdout
    assert sorted(api.objects) == ["hf2vad-nightly", RUN["JOB_NAME"]]


def test_a_run_that_failed_fails_the_job_with_its_reason(api: Api, pod: dict[str, str], tmp_path: Path) -> None:
    api.statuses = [RUNNING, FAILED]
    done = submit(pod, tmp_path / "account")
    assert done.returncode == 1
    assert done.stderr == f"error: {RUN['JOB_NAME']}: FAILED: AppFailed {FAILED['message']}\n"


def test_an_api_server_that_is_away_for_a_while_is_waited_for(api: Api, pod: dict[str, str], tmp_path: Path) -> None:
    api.down = 5
    done = submit(pod, tmp_path / "account")
    assert done.returncode == 0, done.stderr
    assert api.down == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("template", "404"), ("token", "401"), ("rights", "403"), ("name", "JOB_NAME"), ("pod", "not a pod")],
)
def test_what_is_wrong_is_said_in_one_line(
    api: Api, pod: dict[str, str], tmp_path: Path, wrong: str, said: str
) -> None:
    if wrong == "template":
        api.objects.clear()
    elif wrong == "token":
        (tmp_path / "account" / "token").write_text("another")
    elif wrong == "rights":
        api.rights[:] = [{**rule, "verbs": ["get"]} for rule in api.rights]
    elif wrong == "name":
        del pod["JOB_NAME"]
    else:
        del pod["KUBERNETES_SERVICE_HOST"]
    done = submit(pod, tmp_path / "account")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert RUN["JOB_NAME"] not in api.objects


def test_it_asks_for_nothing_but_rayjobs_of_its_namespace(api: Api, pod: dict[str, str], tmp_path: Path) -> None:
    submit(pod, tmp_path / "account")
    night = f"{PREFIX}/{RUN['JOB_NAME']}"
    assert set(api.asked) == {("GET", f"{PREFIX}/hf2vad-nightly"), ("POST", PREFIX), ("GET", night)}
