r"""Cubes a second of every engine, and of each trick alone, by network, precision and batch size.

Example:
    python -m benchmarks engines
    python -m benchmarks engines --presets compact_eq9 --batches 10 --repeats 3 --threads 1
    python -m benchmarks engines --device cuda
    python -m benchmarks engines --device cuda --presets ped2 --bundle BUNDLE --engines eager compiled aot tensorrt \
        --data ../shared/data/ped2

All variants of a network and a batch size are run in turn, so what else the machine does falls on all; ratios are
medians of the rounds' own. `folded` is the inference form run by PyTorch as it is, memories read whole; `sparse`
reads only the slots that are kept: `compiled`, `aot` and `tensorrt` are made from it. A memory of few slots
(`compact_eq9`) has one form. Networks learn flow for `--steps` steps on generated cubes first, because one with random
weights keeps all slots; --bundle takes a trained one. With --data, of UCSD Ped2, the bundle scores its test clips with
published boxes by eager and by every other engine, and their AUROC is compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import interleave, save, summary
from hf2vad.bundle.bundle import load_bundle
from hf2vad.bundle.kept import ProbeCubes
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.engines.compiled import compiled_engine
from hf2vad.engines.eager import BatchEngine, EagerEngine
from hf2vad.engines.make import BUILD, LOAD
from hf2vad.engines.network import EngineInputs, NetworkEngine
from hf2vad.engines.package import SUFFIX
from hf2vad.models.device import choose_device
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inference import Inference
from hf2vad.models.inputs import cube_tensors
from hf2vad.models.losses import flow_loss
from hf2vad.models.settings import LossConfig
from hf2vad.presets import preset
from tests.stc import make_cubes

ROOT = Path(__file__).resolve().parents[1]
BATCHES = {"cpu": (10, 64, 128), "cuda": (64, 1024, 8192)}
PRECISIONS = {"cpu": ("fp32",), "cuda": ("fp32", "tf32", "bf16")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--presets", nargs="+", default=["ped2", "compact_eq9"], help="ped2 is the paper's size")
    parser.add_argument("--batches", nargs="+", type=int, help="default: 10 64 128, on a GPU 64 1024 8192")
    parser.add_argument("--precisions", nargs="+", help="default: fp32, on a GPU fp32 tf32 bf16")
    parser.add_argument("--engines", nargs="+", default=["eager", "folded", "sparse", "compiled", "aot"])
    parser.add_argument("--repeats", type=int, default=7, help="rounds that count")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0: PyTorch's own choice")
    parser.add_argument("--steps", type=int, default=60, help="training steps of the flow stage")
    parser.add_argument("--bundle", help="a trained bundle in place of --presets")
    parser.add_argument("--data", type=Path, help="folder of UCSD Ped2, for AUROC; needs --bundle")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    precisions = options.precisions or PRECISIONS[options.device]
    networks = []
    for name, model, probe in models(options, device):
        kept = {level: int(read.slots_kept) for level, read in reconstruct(model, probe, device).memories.items()}
        network: dict[str, Any] = {"network": name, "gflop": gflop(model, probe, device), "slots_kept": kept}
        print(network, flush=True)
        network["batches"] = [
            measured(model, probe, device, batch, options.engines, precisions, options.repeats, network["gflop"])
            for batch in options.batches or BATCHES[options.device]
        ]
        networks.append(network)
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "device": options.device, "networks": networks}
    if options.data and options.bundle:
        result["auroc"] = accuracy(options.bundle, options.data, options.engines, precisions, options.device)
    save(f"engines_{options.device}", result)


def models(options: argparse.Namespace, device: torch.device) -> list[tuple[str, HF2VAD, ProbeCubes]]:
    """Each network, in evaluation mode, and cubes like those it was trained on."""
    if options.bundle:
        bundle = load_bundle(options.bundle)
        return [(bundle.id, bundle.build(device), bundle.probe.or_noise())]
    return [
        (name, trained(name, options.steps, device), ProbeCubes(*make_cubes(16, 10**6))) for name in options.presets
    ]


def trained(name: str, steps: int, device: torch.device) -> HF2VAD:
    """A network of a preset whose flow autoencoder has learned enough for its memories to be sparse."""
    torch.manual_seed(0)
    model = HF2VAD(preset(name).model).to(device, memory_format=torch.channels_last)
    learner = torch.optim.Adam(model.flow_autoencoder.parameters(), lr=1e-3)
    model.train()
    for step in range(steps):
        loss = flow_loss(model, cube_tensors(*make_cubes(32, step), device), LossConfig()).total
        learner.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        learner.step()
    return model.eval().to(memory_format=torch.contiguous_format)


def reconstruct(model: HF2VAD, probe: ProbeCubes, device: torch.device) -> Any:
    with torch.inference_mode():
        return model.reconstruct(cube_tensors(probe.appearance, probe.flow, device))


def gflop(model: HF2VAD, probe: ProbeCubes, device: torch.device) -> float:
    """Of one cube through eager: multiplications and additions."""
    counter = FlopCounterMode(display=False)
    with counter:
        model.errors(cube_tensors(probe.appearance[:1], probe.flow[:1], device))
    return round(counter.get_total_flops() / 1e9, 3)


def measured(
    model: HF2VAD,
    probe: ProbeCubes,
    device: torch.device,
    batch: int,
    names: list[str],
    precisions: tuple[str, ...],
    repeats: int,
    per_cube: float,
) -> dict[str, Any]:
    """Every engine at one batch size: seconds, cubes a second, GFLOP/s in eager's count, ratio to eager."""
    reference = EagerEngine(model, device=device, batch=batch)
    rows = np.arange(batch) % len(probe)
    inputs = cube_tensors(probe.appearance[rows], probe.flow[rows], device)
    engines: dict[str, BatchEngine] = {"eager fp32": reference}
    built: dict[str, float] = {}
    for name in names:
        for precision in precisions:
            if name != "eager":
                started = time.monotonic()
                given = EngineInputs(model, probe, device, batch, precision)  # type: ignore[arg-type]
                engines[f"{name} {precision}"] = engine(name, given)
                built[f"{name} {precision}"] = round(time.monotonic() - started, 1)
                print(f"batch {batch}: {name} {precision} ready after {built[f'{name} {precision}']} s", flush=True)
    expected = reference.batch_errors(inputs)

    def run(one: BatchEngine) -> Callable[[], object]:
        return lambda: [value.cpu() for value in one.batch_errors(inputs)]

    differences = {name: difference(one.batch_errors(inputs), expected) for name, one in engines.items()}
    found = summary(
        interleave({name: run(one) for name, one in engines.items()}, repeats=repeats), "eager fp32", units=batch
    )
    for name, figures in found.items():
        figures["gflop_per_s"] = round(figures["per_second"] * per_cube, 1)
        figures["difference"] = differences[name]
        figures["built_s"] = built.get(name, 0.0)
        one = engines[name]
        figures["overflows"] = one.overflows if isinstance(one, NetworkEngine) else 0
        print(f"  {name:16} {figures['per_second']:>10,.1f} cubes/s  {figures['ratio']:.2f}×  {differences[name]:.1e}")
    return {"batch": batch, "engines": found}


def engine(name: str, inputs: EngineInputs) -> NetworkEngine:
    """An engine, or a trick alone, ready to run."""
    if name == "folded":
        network = Inference(inputs.model, batch=inputs.batch)
        return NetworkEngine(network.to(inputs.network().autoencoder.head.weight.dtype), inputs)
    if name == "sparse":
        return NetworkEngine(inputs.network(), inputs)
    if name == "compiled":
        return compiled_engine(inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"engine{SUFFIX[name]}"  # type: ignore[index]
        BUILD[name](inputs, path)  # type: ignore[index]
        return LOAD[name](path, inputs)  # type: ignore[index]


def difference(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> float:
    """The largest relative one, over cubes and both errors."""
    return max(float(((f - e).abs() / e.abs()).max()) for f, e in zip(found, expected, strict=True))


def accuracy(bundle: str, data: Path, names: list[str], precisions: tuple[str, ...], device: str) -> dict[str, float]:
    """Frame AUROC on Ped2's test clips by each engine, through the jobs."""
    frames, labels = data / "testing" / "frames", data / "testing" / "frame_labels.parquet"
    boxes = ["--boxes", data / "testing" / "boxes.parquet"]
    if load_bundle_settings(bundle).extraction.detector.kinds != ("boxes",):
        boxes = []
    kinds = [("eager", "fp32")]
    kinds += [(n, p) for n in names for p in precisions if n in ("compiled", "aot", "tensorrt")]
    found = {}
    for name, precision in kinds:
        with tempfile.TemporaryDirectory() as folder:
            scored = ["--archive", frames, "--bundle", bundle, "--out", folder, "--engine", name, *boxes]
            scored += ["--precision", precision, "--device", device, "--engine-cache", f"{folder}/engines"]
            for job, arguments in (
                ("score_archive", scored),
                ("evaluate", ["--scores", folder, "--labels", labels, "--out", folder]),
            ):
                command = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *map(str, arguments)]
                subprocess.run(command, check=True)
            evaluation = json.loads((Path(folder) / "evaluation.json").read_text())
        found[f"{name} {precision}"] = evaluation["auroc_micro"]
    return found


def table() -> str:
    """Ratios to eager of every engine, by network and batch size."""
    from benchmarks.tables import markdown, results

    rows = []
    for result in results("engines_*.json"):
        where = result["machine"]["gpu"] or f"{result['threads']} threads of {result['machine']['cpu']}"
        for network in result["networks"]:
            for batch in network["batches"]:
                for name, figures in batch["engines"].items():
                    speed, ratio = f"{figures['per_second']:,.0f}", f"{figures['ratio']:.2f}"
                    work = f"{figures['gflop_per_s']:,.0f}"
                    shown = [f"`{network['network']}`", str(batch["batch"]), f"`{name}`", speed, ratio, work]
                    rows.append([*shown, f"{figures['difference']:.0e}", where])
    head = ["network", "batch", "engine", "cubes/s", "× eager", "GFLOP/s", "differs by", "on"]
    return markdown(head, rows or [["not measured yet", *[""] * (len(head) - 1)]])


TABLES = {"engines": table}


if __name__ == "__main__":
    main()
