"""Byte layouts of the STC table, on real crops: write, read, size, and training on it.

Example:
    python -m benchmarks stc                                                       # cubes of a generated archive
    python -m benchmarks stc --archive ../shared/data/videos --data ../shared/data/ped2
    python -m benchmarks stc --cubes 512 --repeats 1 --steps 4                     # small

A layout is a codec, what the bytes of a flow mean, and the cubes of a row group:

float16     what `schema.py` says: readers get views
planes      the same numbers, all low bytes of a cube before all high ones, which compress better
sixteenth   int16 in 1/16 pixel: less than 1/32 is lost; with --data, what that does to the AUROC of plain speed

Files are on local disk, in the page cache. Reading ends in float16 arrays; `shuffled` and `training` go through
training/data.py as training does, a block of 1,024 cubes at a time, without keeping the table in memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.measure import interleave, save, summary
from benchmarks.tables import ROOT, markdown, results
from hf2vad.ablation.record import frame_counts
from hf2vad.ablation.variants import Cubes as ScoredCubes
from hf2vad.ablation.variants import frame_scores, labelled
from hf2vad.demo.archive import generate
from hf2vad.evaluation.auroc import micro_auroc
from hf2vad.evaluation.labels import read_labels
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.features.speed import flow_speed
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.settings import LossConfig
from hf2vad.presets import preset
from hf2vad.schema import APPEARANCE_BYTES, F16, FLOW_BYTES, FLOW_SHAPE
from hf2vad.training.checkpoint import Checkpoints
from hf2vad.training.data import Cubes, StcTable, read_piece
from hf2vad.training.group import Group
from hf2vad.training.loop import Trainer
from hf2vad.training.order import Order
from hf2vad.training.settings import StageConfig

WINDOW = 1024
RAW_BYTES = APPEARANCE_BYTES + FLOW_BYTES


@dataclass(frozen=True)
class Layout:
    """How a table's bytes lie."""

    codec: str
    level: int | None = None
    flow: Literal["float16", "planes", "sixteenth"] = "float16"
    rows: int = 256
    """Cubes of a row group."""

    @property
    def name(self) -> str:
        codec = self.codec + (f"-{self.level}" if self.level else "")
        return f"{codec}, {self.flow}" + (f", groups of {self.rows}" if self.rows != 256 else "")

    def write(self, table: pa.Table, path: Path) -> None:
        """Put `table`, whose flow is float16, in this layout."""
        flow = table["flow"].combine_chunks()
        if isinstance(flow, pa.ChunkedArray):
            flow = flow.chunk(0)
        encoded = ENCODE[self.flow](np.frombuffer(flow.buffers()[1], "<f2").reshape(-1, *FLOW_SHAPE))
        data = pa.py_buffer(np.ascontiguousarray(encoded))
        column = pa.Array.from_buffers(pa.binary(FLOW_BYTES), len(flow), [None, data])
        table = table.set_column(table.schema.get_field_index("flow"), table.schema.field("flow"), column)
        pq.write_table(
            table,
            path,
            compression=self.codec,
            compression_level=self.level,
            row_group_size=self.rows,
            use_dictionary=False,
            write_statistics=False,
        )


class LayoutTable(StcTable):
    """A table in `layout`."""

    def __init__(self, uri: str, layout: Layout) -> None:
        super().__init__(uri)
        self._decode = DECODE[layout.flow]

    def epoch(self, order: Order, *, appearance: bool) -> Iterator[Cubes]:
        for cubes in super().epoch(order, appearance=appearance):
            yield self.decoded(cubes)

    def decoded(self, cubes: Cubes) -> Cubes:
        """`cubes` as they were read, with their flow in float16."""
        return replace(cubes, flow=self._decode(cubes.flow))


def planes(flow: F16) -> np.ndarray:
    return flow.view(np.uint8).reshape(len(flow), -1, 2).transpose(0, 2, 1)


def from_planes(stored: F16) -> F16:
    split = stored.view(np.uint8).reshape(len(stored), 2, -1)
    return np.ascontiguousarray(split.transpose(0, 2, 1)).view("<f2").reshape(-1, *FLOW_SHAPE)


def sixteenth(flow: F16) -> np.ndarray:
    return np.rint(flow.astype(np.float32) * 16).clip(-32768, 32767).astype("<i2")


def from_sixteenth(stored: F16) -> F16:
    return (stored.view("<i2") * np.float32(1 / 16)).astype(np.float16)


ENCODE: dict[str, Callable[[F16], np.ndarray]] = {"float16": lambda f: f, "planes": planes, "sixteenth": sixteenth}
DECODE: dict[str, Callable[[F16], F16]] = {
    "float16": lambda stored: stored,
    "planes": from_planes,
    "sixteenth": from_sixteenth,
}

LAYOUTS = (
    Layout("zstd", 1),
    Layout("none"),
    Layout("lz4"),
    Layout("zstd", 3),
    Layout("lz4", None, "planes"),
    Layout("zstd", 1, "planes"),
    Layout("zstd", 3, "planes"),
    Layout("zstd", 1, "sixteenth"),
    Layout("zstd", 1, "float16", 64),
    Layout("zstd", 1, "float16", 1024),
    Layout("none", None, "float16", 64),
)
"""The first is what extraction writes."""
TRAINED = tuple(layout for layout in LAYOUTS if layout.rows == 256)


def extract(archive: Path, out: Path, *more: object) -> StcTable:
    command = [sys.executable, str(ROOT / "jobs" / "extract_stc.py"), "--archive", archive, "--out", out, *more]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return StcTable(str(out / "stc"))


def some_cubes(table: StcTable, most: int) -> pa.Table:
    """The first `most` rows of a table, as one file's, or all when it has fewer."""
    parts, rows = [], 0
    for file in table.files:
        part = pq.read_table(file.uri)
        parts.append(part.replace_schema_metadata(None))
        rows += len(part)
        if rows >= most:
            break
    metadata = pq.read_schema(table.files[0].uri).metadata
    return pa.concat_tables(parts).slice(0, most).combine_chunks().replace_schema_metadata(metadata)


def read_whole(table: LayoutTable) -> None:
    for piece in table.groups:
        assert table.decoded(read_piece(piece, True)).flow.dtype == np.float16


def read_shuffled(table: LayoutTable, *, appearance: bool) -> None:
    order = Order(batch=64, seed=0, epoch=0, window=WINDOW)
    for _ in table.epoch(order, appearance=appearance):
        pass


def train(table: LayoutTable, steps: int, out: Path) -> None:
    """`steps` steps of the flow stage of `compact`."""
    chosen = preset("compact")
    training = replace(
        chosen.training,
        stages=("flow",),
        flow=StageConfig(epochs=1, lr=1e-3, steps=steps),
        window=WINDOW,
        cache_gib=0.0,
        tensorboard=False,
    )
    torch.manual_seed(0)
    checkpoints = Checkpoints(str(out / "last.safetensors"), settings="", group=Group())
    Trainer(HF2VAD(chosen.model), table, training, LossConfig(), torch.device("cpu"), checkpoints).run()
    (out / "last.safetensors").unlink()


def error(flow: F16) -> dict[str, float]:
    """What 1/16 pixel loses."""
    exact = flow.astype(np.float32)
    stored = from_sixteenth(sixteenth(flow).view("<f2")).astype(np.float32)
    speed, off = flow_speed(flow), flow_speed(stored.astype(np.float16))
    return {
        "largest_px": float(np.abs(stored - exact).max()),
        "mean_px": float(np.abs(stored - exact).mean()),
        "mean_flow_px": float(np.abs(exact).mean()),
        "largest_of_a_cubes_speed_px": float(np.abs(speed - off).max()),
        "mean_of_a_cubes_speed_px": float(np.abs(speed - off).mean()),
    }


def speed_auroc(data: Path, work: Path) -> dict[str, float]:
    """AUROC of plain speed on Ped2's published boxes, from the flow as it is and from 1/16 pixel."""
    test = data / "testing"
    table = extract(test / "frames", work / "ped2", "--boxes", test / "boxes.parquet", "--preset", "ped2")
    found = list(table.in_order(appearance=False))
    videos = np.array([file.video for file, cubes in found for _ in cubes.frame], object)
    counted = ScoredCubes(videos, np.concatenate([cubes.frame for _, cubes in found]), frame_counts(table.uri))
    labels = labelled(read_labels(str(test / "frame_labels.parquet")), counted.frames)
    result: dict[str, float] = {"cubes": len(table)}
    for name, seen in (("float16", lambda f: f), ("sixteenth", lambda f: from_sixteenth(sixteenth(f).view("<f2")))):
        speed = np.concatenate([flow_speed(seen(cubes.flow)) for _, cubes in found]).astype(np.float64)
        raw = frame_scores(speed, 0.0, counted)
        pairs = {}
        for video, (frame, truth) in labels.items():
            values = Smoothing("median", 17)(raw[video])[frame]
            there = ~np.isnan(values)
            pairs[video] = (truth[there], values[there])
        result[name] = float(micro_auroc(pairs) or 0)
    return result


def measure(rows: pa.Table, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All layouts, interleaved, by what is done."""
    count = len(rows)
    paths = {layout: folder / str(number) / "cubes.parquet" for number, layout in enumerate(LAYOUTS)}
    for layout, path in paths.items():
        path.parent.mkdir()
        layout.write(rows, path)
    tables = {layout: LayoutTable(str(path), layout) for layout, path in paths.items()}
    first = LAYOUTS[0].name

    def seconds(
        run: Callable[[Layout], object], layouts: Iterable[Layout] = LAYOUTS, units: float = count, repeats: int = 0
    ) -> dict[str, dict[str, float]]:
        calls = {layout.name: (lambda layout=layout: run(layout)) for layout in layouts}
        return summary(interleave(calls, repeats=repeats or options.repeats), first, units=units)

    scratch = folder / "written.parquet"
    found: dict[str, Any] = {
        "cubes": count,
        "raw_bytes_a_cube": RAW_BYTES,
        "bytes_a_cube": {layout.name: round(path.stat().st_size / count, 1) for layout, path in paths.items()},
        "write": seconds(lambda layout: layout.write(rows, scratch)),
        "read": seconds(lambda layout: read_whole(tables[layout])),
        "shuffled": seconds(lambda layout: read_shuffled(tables[layout], appearance=True)),
        "shuffled_flow": seconds(lambda layout: read_shuffled(tables[layout], appearance=False)),
    }
    if options.steps:
        cubes = min(options.steps, count // preset("compact").training.batch) * preset("compact").training.batch
        found["training"] = seconds(
            lambda layout: train(tables[layout], options.steps, folder), TRAINED, cubes, options.train_repeats
        )
    return found


def stc() -> str:
    """Layouts of the STC table."""
    head = ["layout", "of the raw size", "write, cubes/s", "read, cubes/s", "shuffled, cubes/s", "shuffled, flow only"]
    head = [*head, "flow stage, cubes/s"]
    found = results("stc.json")
    if not found:
        return markdown(head, [["not measured yet", *([""] * 6)]])
    (result,) = found
    rows = []
    for name, size in result["bytes_a_cube"].items():
        speeds = [result[part][name] for part in ("write", "read", "shuffled", "shuffled_flow")]
        trained = result.get("training", {}).get(name)
        cells = [f"{one['per_second']:,.0f}" for one in speeds]
        last = f"{trained['per_second']:,.0f} ({trained['ratio']:.2f}×)" if trained else ""
        rows.append([name, f"{size / result['raw_bytes_a_cube']:.2f}", *cells, last])
    return markdown(head, rows)


TABLES = {"stc": stc}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, help="videos whose crops are taken; by default a generated archive")
    parser.add_argument("--data", type=Path, help="UCSD Ped2 with published boxes, for the AUROC of 1/16 pixel")
    parser.add_argument("--cubes", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=16, help="of the flow stage, of 64 cubes each; 0: no training")
    parser.add_argument("--train-repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stc-") as name:
        folder = Path(name)
        archive = options.archive or generate(folder / "archive", train_clips=4, test_clips=1, frames=400).train
        rows = some_cubes(extract(archive, folder / "extracted"), options.cubes)
        flow = np.frombuffer(rows["flow"].chunk(0).buffers()[1], "<f2").reshape(-1, *FLOW_SHAPE)[: len(rows)]
        found = {"archive": options.archive.name if options.archive else "generated", **measure(rows, folder, options)}
        found["sixteenth"] = error(flow)
        if options.data:
            found["speed_auroc_ped2"] = speed_auroc(options.data, folder)
    save("stc", found)
    print(stc())
