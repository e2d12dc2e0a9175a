"""The files under cluster/ are valid, agree with each other and with the code, and give away no rights or secrets."""

from __future__ import annotations

import copy
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from hf2vad import __version__
from hf2vad.bundle.bundle import save_bundle
from hf2vad.commandline import command, parse
from hf2vad.errors import ConfigError
from hf2vad.jobs import load
from tests.bundles import make_bundle
from tests.data.make_golden import golden_network
from tests.manifests import (
    FOLDERS,
    KUBERNETES,
    PARTS,
    check,
    cluster_spec,
    containers,
    launcher,
    locked,
    of_kind,
    pod_templates,
    rendered,
)
from tests.site import ROOT
from tests.stc import SMALL_MODEL

SUBMIT = re.compile(r"^ray job submit .*-- (python .*)$", re.MULTILINE)
PAGES = [page for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if "ray job submit" in page.read_text()]
RAY_JOBS = ("extract", "nightly", "score", "train", "train-gpu")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bundle in place of the site's: jobs read its settings before they know their own."""
    folder = str(tmp_path_factory.mktemp("bundle"))
    save_bundle(folder, make_bundle(golden_network(SMALL_MODEL).state_dict()))
    return folder


def settings_of(entrypoint: str, bundle: str) -> Any:
    """The settings that a job would have from its command line in the image."""
    entrypoint = entrypoint.replace("--bundle s3://vad/bundles/site-7", f"--bundle {bundle}")
    python, script, *arguments = shlex.split(entrypoint)
    assert python == "python"
    assert Path(script).parent == Path("/opt/hf2vad/jobs")
    assert (ROOT / "jobs" / Path(script).name).is_file()
    return parse(load(command(Path(script).stem)), arguments, "hf2vad")


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_applied_fits_the_schemas(folder: str) -> None:
    things = rendered(folder)
    assert things
    for thing in things:
        check(thing)
        assert thing["metadata"].get("namespace", "hf2vad") == "hf2vad"


def test_every_folder_is_looked_at() -> None:
    assert {path.parent.name for path in KUBERNETES.rglob("kustomization.yaml")} == {*FOLDERS, *PARTS}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entryPoint"), "python"),
        (("spec", "ttlSecondsAfterFinished"), "600"),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "on"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "runAsUser"), 1000),
    ],
)
def test_a_misspelt_field_or_a_wrong_type_is_refused(path: tuple[str, ...], value: Any) -> None:
    job = copy.deepcopy(of_kind("score", "RayJob"))
    place = job
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(job)


@pytest.mark.parametrize("folder", RAY_JOBS)
def test_the_entrypoint_of_a_ray_job_parses_as_its_job_would(folder: str, bundle: str) -> None:
    job = of_kind(folder, "RayJob")
    settings = settings_of(job["spec"]["entrypoint"], bundle)
    (workers,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    if folder == "train":  # on the head alone
        assert settings.workers == 0
        return
    assert settings.ray.cpus == float(limits["cpu"])
    assert settings.ray.gpus == (float(limits["nvidia.com/gpu"]) if "nvidia.com/gpu" in limits else None)
    if folder == "train-gpu":  # which does not begin before all its workers are there
        assert settings.workers == workers["minReplicas"] == workers["replicas"] <= workers["maxReplicas"]
    else:
        assert settings.ray.workers == workers["maxReplicas"]


def test_places_are_written_once_and_reach_every_command() -> None:
    places = yaml.safe_load((KUBERNETES / "shape" / "places.yaml").read_text())["data"]
    entrypoints = {folder: of_kind(folder, "RayJob")["spec"]["entrypoint"] for folder in (*RAY_JOBS, "smoke")}
    for folder, entrypoint in entrypoints.items():
        assert not re.search(r"(?<![-\w])[A-Z]{3,}(?![-\w])", entrypoint), f"{folder}: {entrypoint}"
    for name, value in places.items():
        assert any(value in entrypoint for entrypoint in entrypoints.values()), name
    for path in KUBERNETES.rglob("*.yaml"):
        assert path.name == "places.yaml" or "s3://" not in path.read_text(), path


@pytest.mark.parametrize("folder", ["nightly", "score", "interactive"])
def test_one_line_gives_the_nodes_gpus(folder: str, bundle: str, tmp_path: Path) -> None:
    tree = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, tree)
    file = tree / folder / "kustomization.yaml"
    file.write_text(file.read_text().replace("  # - ../gpu", "  - ../gpu"))
    kind = "RayCluster" if folder == "interactive" else "RayJob"
    thing = of_kind(folder, kind, tree)
    check(thing)
    spec = cluster_spec(thing)
    assert spec is not None
    (workers,) = spec["workerGroupSpecs"]
    container = workers["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {each["image"] for each in containers(thing)} == {f"registry.example/hf2vad:{__version__}-gpu"}
    assert workers["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    if kind == "RayJob":
        assert settings_of(thing["spec"]["entrypoint"], bundle).ray.gpus == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_jobs_that_pages_submit_to_a_cluster_parse(page: Path, bundle: str) -> None:
    for entrypoint in SUBMIT.findall(page.read_text().replace("\\\n", " ")):
        settings_of(entrypoint.replace("python jobs/", "python /opt/hf2vad/jobs/"), bundle)


def test_a_renamed_option_would_be_seen(bundle: str) -> None:
    entrypoint = of_kind("score", "RayJob")["spec"]["entrypoint"].replace("--bundle", "--model-bundle")
    with pytest.raises(ConfigError, match="model-bundle"):
        settings_of(entrypoint, bundle)


def test_the_night_is_copied_by_the_cron_job_and_ends_in_time(bundle: str) -> None:
    job, cron = of_kind("nightly", "RayJob"), of_kind("nightly", "CronJob")
    settings = settings_of(job["spec"]["entrypoint"], bundle)
    assert settings.pattern == "{camera}/{date}/*"
    assert 0 < settings.hours * 3600 < job["spec"]["activeDeadlineSeconds"]
    assert job["spec"]["suspend"]
    assert job["spec"]["shutdownAfterJobFinishes"]  # KubeRay suspends nothing else
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert containers(cron)[0]["command"][-1] == job["metadata"]["name"]
    assert len(cron["metadata"]["name"]) + len("-12345678") <= 47  # of a RayJob's name, since it is that of the Job


def test_versions_are_those_of_the_lock() -> None:
    images = set()
    for thing in (thing for folder in FOLDERS for thing in rendered(folder)):
        images |= {container["image"] for container in containers(thing) if "seaweedfs" not in container["image"]}
        spec = cluster_spec(thing)
        assert spec is None or spec["rayVersion"] == locked()["ray"]
    assert images == {f"registry.example/hf2vad:{__version__}-{variant}" for variant in ("cpu", "gpu")}
    assert launcher()["docker"]["image"] == f"registry.example/hf2vad:{__version__}-gpu"


def test_pods_run_as_nobody_in_particular_and_may_do_nothing_more() -> None:
    things = [thing for folder in FOLDERS for thing in rendered(folder)]
    templates = [template for thing in things for template in pod_templates(thing)]
    assert len(templates) == 2 * 7 + 2  # seven clusters' heads and workers, the submitter, SeaweedFS
    for template in templates:
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        assert template["spec"]["securityContext"]["runAsUser"] == 1000
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert of_kind("nightly", "Role")["rules"] == [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["get", "create"]}
    ]


def test_clusters_ask_for_a_token_and_no_file_holds_a_secret() -> None:
    for folder in (*RAY_JOBS, "interactive"):
        spec = cluster_spec(of_kind(folder, "RayCluster" if folder == "interactive" else "RayJob"))
        assert spec is not None
        assert spec["authOptions"] == {"mode": "token"}
    assert "--env RAY_AUTH_MODE=token" in launcher()["docker"]["run_options"]
    assert all(thing["kind"] != "Secret" for folder in FOLDERS for thing in rendered(folder))
    for path in (ROOT / "cluster").rglob("*.yaml"):
        assert not re.search(r"AWS_(SECRET_ACCESS_KEY|ACCESS_KEY_ID)\s*[:=]\s*\S|AKIA[0-9A-Z]{16}", path.read_text())


def test_the_launcher_file_passes_rays_own_checks() -> None:
    settings = prepare_config(launcher())
    validate_config(settings)
    assert not [command for name, value in settings.items() if name.endswith("setup_commands") for command in value]
    types = settings["available_node_types"]
    assert types["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in types[settings["head_node_type"]]["node_config"]
    assert types["head"]["resources"] == {"CPU": 0}


def test_a_launcher_file_with_a_field_that_ray_does_not_know_is_refused() -> None:
    settings = prepare_config({**launcher(), "max_worker": 8})
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(settings)
