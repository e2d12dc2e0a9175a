"""Cutting and computing an ablation's nodes on the cluster, each once, in the order in which they need each other."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from hf2vad.ablation.nodes import Cut, Node, Tables, Workspace, run_node
from hf2vad.ablation.record import frame_counts
from hf2vad.ablation.variants import labelled
from hf2vad.cluster.calls import run_calls
from hf2vad.cluster.dispatch import Call, Cluster
from hf2vad.commandline import EXIT_OK
from hf2vad.cubes.settings import ExtractionConfig, extraction_fingerprint
from hf2vad.errors import VideoError
from hf2vad.evaluation.labels import FrameLabels
from hf2vad.hashes import content_hash, hash_of
from hf2vad.plurals import count_words
from hf2vad.progress import ProgressBar
from hf2vad.storage import exists, join, put_json, read_json
from hf2vad.tables.read import failure_rows
from hf2vad.training.data import StcTable


class Extract(Protocol):
    """Cuts the cubes of one archive."""

    def __call__(self, *, archive: str, boxes: str, out: str, dataset: str, extraction: ExtractionConfig) -> int:
        """Cut what is not there yet into <out>/stc/<dataset>; returns the exit code of the walk."""


def cut_all(
    cuts: Iterable[Cut], out: str, labels: FrameLabels, extract: Extract
) -> tuple[dict[Cut, Tables], dict[Cut, str]]:
    """The tables of each cut, and why some have none.

    Raises EvaluationError when the labels are those of other videos.
    """
    tables: dict[Cut, Tables] = {}
    failures: dict[Cut, str] = {}
    for cut in dict.fromkeys(cuts):
        try:
            tables[cut] = cut_cubes(cut, out, extract)
        except VideoError as error:
            failures[cut] = str(error)
            continue
        labelled(labels, frame_counts(tables[cut].test))
    return tables, failures


def cut_cubes(cut: Cut, out: str, extract: Extract) -> Tables:
    """The cubes of both archives, cut as far as they are not there; the summaries of the walks go unprinted.

    Raises VideoError when a video of them cannot be read.
    """
    started = time.monotonic()
    prefix = join(out, "cubes", hash_of(cut.train, cut.test, cut.boxes, extraction_fingerprint(cut.extraction)))
    stc: dict[str, str] = {}
    for part, archive, boxes in (("train", cut.train, cut.boxes[0]), ("test", cut.test, cut.boxes[1])):
        workspace = join(prefix, part)
        with contextlib.redirect_stdout(io.StringIO()):
            code = extract(archive=archive, boxes=boxes, out=workspace, dataset=part, extraction=cut.extraction)
        if code != EXIT_OK:
            rows = list(failure_rows(workspace))
            raise VideoError(
                f"{archive}: not cut: {count_words(len(rows), 'video')}, {rows[0]['video']!r}: {rows[0]['reason']}"
            )
        stc[part] = join(workspace, "stc", part)
    if not exists(join(prefix, "cut.json")):
        put_json(join(prefix, "cut.json"), {"seconds": round(time.monotonic() - started, 2)})
    contents = [StcTable(uri).fingerprint for uri in stc.values()] + [content_hash(boxes) for boxes in cut.boxes]
    seconds = float(read_json(join(prefix, "cut.json"))["seconds"])
    return Tables(stc["train"], stc["test"], hash_of(contents), seconds)


def run_nodes(nodes: Sequence[Node], workspace: Workspace, cluster: Cluster) -> dict[Node, str]:
    """Compute what is not there of `nodes` (a node comes after what it needs); returns why some have no result.

    What needs a node that failed fails with its reason.
    """
    done = {node for node in nodes if workspace.is_done(node)}
    waiting = [node for node in nodes if node not in done]
    failures: dict[Node, str] = {}

    def next_ready() -> Call | None:
        for node in list(waiting):
            if node.after in failures:
                failures[node] = failures[node.after]
                waiting.remove(node)
            elif node.after is None or node.after in done:
                waiting.remove(node)
                return Call(run_node, (workspace, node), node)
        return None

    with ProgressBar("ablation", total=len(nodes), unit="node") as bar:
        bar.advance(len(done))
        for outcome in run_calls(next_ready, cluster):
            node: Node = outcome.call.tag
            if outcome.failure is None:
                done.add(node)
            else:
                failures[node] = f"{workspace.name(node)}: {outcome.failure}"
            bar.advance(1, {"last": workspace.name(node), "failed": str(len(failures))})
    return failures
