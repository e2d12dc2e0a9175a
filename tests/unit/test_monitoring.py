"""cluster/monitoring: what it asks Prometheus for is what runs tell, and the alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hf2vad import logs
from hf2vad.walk.backlog import Backlog
from hf2vad.walk.counts import RunCounts
from hf2vad.walk.metrics import FIGURES, Metrics
from tests.metrics import OWN_LABELS, exported
from tests.site import ROOT

FOLDER = ROOT / "cluster" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
NAMES = {exported(name): {*OWN_LABELS, *figure.labels} for name, figure in FIGURES.items()}
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt: prometheus)")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_asks_for_metrics_and_labels_that_runs_tell(where: str, expression: str) -> None:
    asked = re.findall(r"[A-Za-z_]\w*_hf2vad_\w+|\bhf2vad_\w+", expression)
    assert asked
    assert set(asked) <= set(NAMES), where
    for name, labels in re.findall(r"(ray_hf2vad_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)=", labels)) <= NAMES[name], where
    known = set.union(*(NAMES[name] for name in asked))
    for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert set(re.split(r"\s*,\s*", labels)) <= known, where


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    assert {name for name in NAMES if name not in shown} == set()


def test_every_metric_and_alert_is_in_the_docs_and_no_other() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert set(re.findall(r"`(ray_hf2vad_\w+)`", page)) == set(NAMES)
    assert set(re.findall(r"`(HF2VAD\w+)`", page)) == {rule["alert"] for rule in rules()}


def test_what_the_dashboards_variables_and_legends_name_is_there() -> None:
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    text = json.dumps(DASHBOARD)
    assert set(re.findall(r"\$\{?([a-z]\w*)", text)) <= names
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            by = {label for found in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in found.split(", ")}
            assert legend <= by, panel["title"]


def test_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        asked = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        assert asked <= {label for found in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in found.split(", ")}


def check(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_promtool_reads_alerts_scrape_settings_and_the_dashboards_expressions(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    check(tmp_path, "check", "config", "--syntax-only", "prometheus.yml")
    check(tmp_path, "check", "rules", "alerts.yaml")
    shown = [expression.replace("$__range", "1h") for _, expression in expressions()]
    asked = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(shown)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    check(tmp_path, "check", "rules", "panels.yaml")


@promtool
def test_the_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "alerts.yaml", tmp_path)
    shutil.copy(ROOT / "tests" / "data" / "alerts_test.yaml", tmp_path)
    check(tmp_path, "test", "rules", "alerts_test.yaml")
    tested = {
        one["alertname"]
        for test in yaml.safe_load((tmp_path / "alerts_test.yaml").read_text())["tests"]
        for one in test["alert_rule_test"]
        if one["exp_alerts"]
    }
    assert tested == {rule["alert"] for rule in rules()}


def test_the_pod_monitor_reads_the_ports_that_the_clusters_pods_name() -> None:
    monitor = yaml.safe_load((FOLDER / "podmonitor.yaml").read_text())
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (wanted,) = monitor["spec"]["selector"]["matchExpressions"]
    assert (monitor["kind"], endpoint["port"]) == ("PodMonitor", "metrics")
    assert wanted == {"key": "ray.io/node-type", "operator": "In", "values": ["head", "worker"]}


def test_a_run_that_cannot_be_measured_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(logs, "warn", lambda message, **fields: told.append(message))
    nowhere: Any = None
    Metrics("r", "backfill", 0.0, nowhere, RunCounts(), Backlog()).tell(end="finished")
    assert told == ["metrics not told"]
