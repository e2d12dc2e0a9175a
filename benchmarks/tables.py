"""Writes the tables of README and docs from benchmarks/results, between <!-- table: name --> and <!-- end -->.

Example:
    python -m benchmarks tables           # rewrite what has changed
    python -m benchmarks tables --check   # exit with 1 when a page is not what the results say
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hf2vad.ablation.rows import HEAD, cells
from hf2vad.archive.recorders import RECORDERS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TABLE = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def results(pattern: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob(pattern))]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def by_run() -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """The results on Ped2 of each preset, label and source of boxes: one a seed."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for result in results("ped2_*.json"):
        groups.setdefault(tuple(result[key] for key in ("preset", "label", "boxes")), []).append(result)
    return groups


def ped2() -> str:
    """AUROC of each run on Ped2: mean over seeds, lowest and highest, and the interval over videos."""
    rows = []
    for (preset, label, boxes), group in by_run().items():
        found = [result["evaluation"] for result in group]
        interval = [mean([e["intervals"]["auroc_micro"][end] for e in found]) for end in (0, 1)]
        fused = [e["auroc_micro"] for e in found]
        spread = f" ({percent(min(fused))} to {percent(max(fused))})" if len(fused) > 1 else ""
        parts = [
            f"{percent(mean([e[part]['micro'] for e in found]))}"
            for part in ("flow_only", "frame_only", "speed_yardstick")
        ]
        rows.append(
            [
                f"`{preset}`{f' {label}' if label else ''}",
                boxes,
                str(len(group)),
                percent(mean(fused)) + spread,
                f"{percent(interval[0])} to {percent(interval[1])}",
                percent(mean([e["auroc_micro_raw"] for e in found])),
                *parts,
                percent(mean([e["auroc_macro"] for e in found])),
            ]
        )
    head = ["run", "boxes", "seeds", "fused", "95 % over videos", "fused, raw", "flow only", "frame only"]
    return markdown([*head, "speed, no model", "fused, macro"], rows)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def headline() -> str:
    """Micro frame AUROC of the presets that score by surprise and of plain speed, by footage and boxes."""
    rows = []
    for name, shown in (
        ("ped2_published", ["UCSD Ped2", "published by VEC"]),
        ("ped2_own", ["UCSD Ped2", "motion and YOLOX-nano, confidence 0.3"]),
        ("ped2_own_default", ["UCSD Ped2", "motion and YOLOX-nano, confidence 0.5"]),
        ("ped2_motion", ["UCSD Ped2", "motion alone"]),
        ("ped2", ["UCSD Ped2", "the default"]),
        ("demo_street", ["generated street", "the default"]),
        ("demo_corridor", ["generated corridor", "the default"]),
        ("demo_road", ["generated road", "the default"]),
    ):
        (features,), compact = results(f"surprise_{name}.json"), results(f"compact_{name}.json")
        rows.append([*shown, _micro(features, "features"), _micro(compact[0], "compact") if compact else "–"])
        rows[-1].append(_micro(features, "speed").partition(" ")[0])
    return markdown(["footage", "boxes", "`features`", "`compact`", "speed, no model"], rows)


def _micro(result: dict[str, Any], part: str) -> str:
    """The mean over seeds in percent, and how many seeds."""
    seeds = [figures["micro"] for figures in result["auroc"][part]]
    return f"{100 * mean(seeds):.1f} ({len(seeds)} seed{'s' if len(seeds) > 1 else ''})"


def ped2_time() -> str:
    """Seconds of each job on Ped2, the mean over seeds, and what was trained."""
    names = ("train", "score_archive")
    rows = []
    for (preset, label, boxes), group in by_run().items():
        first = group[0]
        machine = first["machine"]["gpu"] or f"{first['machine']['cores']} cores"
        steps = " + ".join(f"{e['samples_per_s'] * e['seconds']:,.0f} {e['stage']}" for e in first["history"])
        seconds = [f"{mean([result['seconds'][name] for result in group]):.0f} s" for name in names]
        rows.append(
            [f"`{preset}`{f' {label}' if label else ''}", boxes, f"{first['cubes']:,}", steps, *seconds, machine]
        )
    return markdown(["run", "boxes", "training cubes", "cubes seen by the stages", "train", "score", "machine"], rows)


def seeds() -> str:
    """Rows of the ablation over several seeds, on published boxes."""
    (result,) = results("seeds_ped2_published.json")
    count = len({row["seed"] for row in result["rows"]})
    keep = [
        HEAD.index(name) for name in ("row", "fused", "flow only", "frame only", "speed, no model", "95 % over videos")
    ]
    lines = [[str(count), *(line[i] for i in keep)] for line in cells(result["rows"])]
    return markdown(["seeds", *(HEAD[i] for i in keep)], lines)


def selection() -> str:
    """What --select saw on Ped2: the chosen candidate of each step, and the one it started from."""
    rows = []
    for (preset, label, boxes), group in by_run().items():
        for step in ("network", "density", "fusion"):
            figures = [row for row in group[0]["selection"] if row["step"] == step]
            if figures:
                chosen = next(row for row in figures if row["chosen"])
                best = sorted(figures, key=lambda row: -row["mean"])[:2]
                shown = list({row["candidate"]: row for row in (figures[0], *best, chosen)}.values())
                for row in shown:
                    kinds = [
                        percent(row[kind]) if kind in row else "" for kind in ("speed2", "speed3", "against", "content")
                    ]
                    mark = "chosen" if row["chosen"] else ""
                    rows.append(
                        [f"`{preset}` {label}, {boxes}", step, row["candidate"], *kinds, percent(row["mean"]), mark]
                    )
    head = ["run", "step", "candidate", "2× skipped", "3× skipped", "flow reversed", "other pixels", "mean", ""]
    return markdown(head, rows)


def far_runner() -> str:
    """The parts of the score on the far runner's clip, in pixels and in box heights."""
    (result,) = results("far_runner.json")
    rows = [
        [part, unit, *(percent(found[where]) for where in ("far_runner", "all_clips"))]
        for part, units in result["auroc"].items()
        for unit, found in units.items()
    ]
    return markdown(["part", "unit", "the far runner's clip", "all clips"], rows)


def ddp() -> str:
    """Speed of training by one and two workers."""
    (result,) = results("ddp.json")
    rows = [[name, *(f"{speed[stage]:.0f}" for stage in ("flow", "frame"))] for name, speed in result["speeds"].items()]
    return markdown(["run", "flow stage", "frame stage"], rows)


def network_free() -> str:
    """AUROC on Ped2 of the parts that need no network, by source of boxes: mean over seeds, lowest and highest."""
    found = {result["benchmark"].removeprefix("network_free_"): result for result in results("network_free_*.json")}
    names = list(next(iter(found.values()))["auroc"])

    def cell(values: Sequence[float]) -> str:
        spread = f" ({percent(min(values))} to {percent(max(values))})" if max(values) > min(values) else ""
        return percent(mean(values)) + spread

    rows = [[name, *(cell(result["auroc"][name]["smoothed"]) for result in found.values())] for name in names]
    return markdown(["parts", *(f"{name} boxes" for name in found)], rows)


def memory() -> str:
    """Peak memory of a scoring worker."""
    (result,) = results("memory.json")
    rows = [
        [label, f"{result[name]['1_min']:.0f} MiB", f"{result[name]['10_min']:.0f} MiB", f"{result[name]['ratio']:.3f}"]
        for name, label in (("shards_of_200", "shards of 200 frames"), ("one_shard", "one shard a video"))
    ]
    return markdown(["", "1 minute", "10 minutes", "ratio"], rows)


def toy() -> str:
    """AUROC and errors of the toy experiment's variants: mean over seeds, lowest and highest."""

    def spread(values: Sequence[float]) -> str:
        return f"{100 * mean(values):.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"

    rows = []
    for result in results("toy*.json"):
        digits = result["data"]["source"].removesuffix(".datasets.load_digits")
        for found in result["variants"]:
            levels = [", ".join(found[part]) or "none" for part in ("memories", "skips")]
            errors = [f"{1000 * mean(found[part]):.1f}" for part in ("error_normal", "error_other")]
            kept = ", ".join(f"{mean(counts):.0f}" for counts in found["slots_kept"].values())
            rows.append([digits, f"({found['variant']})", *levels, spread(found["auroc"]), *errors, kept])
        rows.append([digits, "no network", "", "", spread(result["nearest_training_picture"]["auroc"]), "", "", ""])
    return markdown(["digits", "", "memories", "skips", "AUROC", "error on 2", "error on others", "slots kept"], rows)


def ablation() -> str:
    """AUROC of each row of the ablation on Ped2; the mean and deviation over its seeds."""
    (result,) = results("ablation_ped2.json")
    return markdown(HEAD, cells(result["rows"]))


def recorders() -> str:
    """The path forms of recorders, as the code has them."""
    return markdown(["recorder", "end of a path", "source"], [[r.name, f"`{r.form}`", r.source] for r in RECORDERS])


TABLES: dict[str, Callable[[], str]] = {
    "recorders": recorders,
    "ped2": ped2,
    "ped2_time": ped2_time,
    "headline": headline,
    "memory": memory,
    "ablation": ablation,
    "ddp": ddp,
    "far_runner": far_runner,
    "network_free": network_free,
    "seeds": seeds,
    "selection": selection,
    "toy": toy,
}


def of_benchmarks() -> dict[str, Callable[[], str]]:
    """Tables that benchmarks make of their own results: what a module of this package has as TABLES."""
    found: dict[str, Callable[[], str]] = {}
    for module in pkgutil.iter_modules([str(ROOT / "benchmarks")]):
        if module.name not in ("tables", "__main__"):
            found |= getattr(importlib.import_module(f"benchmarks.{module.name}"), "TABLES", {})
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    tables = {**TABLES, **of_benchmarks()}
    stale = []
    for page in PAGES:
        old = page.read_text()
        new = TABLE.sub(lambda found: found[1] + tables[found["name"]]() + found[3], old)
        if new != old:
            stale.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(new)
    for name in stale:
        print(f"{name}: {'is not what the results say' if check else 'written'}")
    return 1 if check and stale else 0
