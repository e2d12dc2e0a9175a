"""The package from Python: train, load, score, read, evaluate; in this process, without Ray.

>>> model = hf2vad.train("videos", frames=":50%")
>>> result = model.score("videos", frames="50%:")
>>> result.events.to_pandas()

Steps are those of the jobs, with the same tables. What they print goes nowhere, long ones show their progress on
stderr. Nothing is written but where `out` says; without it a temporary folder is used, which ends with the object.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from hf2vad.cluster.settings import NO_RAY, RayConfig
from hf2vad.errors import NotFoundError
from hf2vad.schema import TABLES
from hf2vad.storage import absolute, join
from hf2vad.tables.read import failure_rows, scores_prefix, video_tables

if TYPE_CHECKING:
    import torch

    from hf2vad.models.hf2vad import HF2VAD

TableName = Literal["frames", "objects", "events", "health"]

FAILURES = pa.schema([pa.field("video", pa.string(), False), pa.field("reason", pa.string(), False)])
"""One row for each video that could not be scored, or only in part."""

HERE = RayConfig(address=NO_RAY)


def train(archive: str | Path, *, frames: str = ":", preset: str = "features", out: str | Path = "") -> Model:
    """Learn what is normal from the videos of `archive`: a folder, an s3://bucket/prefix or one video.

    frames: the part of each video to learn from, such as ":50%" or "0:5000". preset: what the score is made of.
    out: folder for cubes and bundle; with the same `out` and settings an interrupted call resumes.
    Raises ConfigError for settings that cannot be, NotFoundError where there is nothing, TrainingError for footage in
    which too little moves.
    """
    from hf2vad.jobs.extract import ExtractJob, extract_job
    from hf2vad.jobs.train import TrainJob, train_job

    place = _Place(out)
    early = {"preset": preset, "boxes": None}
    extraction = replace(ExtractJob.base(early), archive=str(archive), out=place / "stc", frames=frames, ray=HERE)
    with _quiet():
        extract_job(replace(extraction, dataset="learned"))
        train_job(replace(TrainJob.base(early), stc=place / "stc", out=place / "bundle"))
    return Model(place / "bundle", place)


def load(bundle: str | Path) -> Model:
    """The model in the folder or s3://bucket/prefix `bundle`. Raises NotFoundError or BundleError."""
    from hf2vad.bundle.settings import load_bundle_settings

    uri = absolute(str(bundle))
    load_bundle_settings(uri)
    return Model(uri)


def read(scores: str | Path, table: TableName) -> pa.Table:
    """A table of all videos below `scores`, where scoring, backfill or a run wrote to: docs/data-format.md has columns.

    Raises EvaluationError where there are no scores.
    """
    return _whole(scores_prefix(absolute(str(scores))), table)


def evaluate(scores: str | Path | Result, labels: str | Path, *, tracks: str | Path = "") -> dict[str, Any]:
    """Figures of scores against labels: what evaluation.json holds.

    labels: a Parquet file (video, frame, anomalous), or a folder of text files. tracks: a Parquet file of anomalous
    boxes, for RBDC and TBDC. Raises EvaluationError where they do not belong together.
    """
    from hf2vad.jobs.evaluate import EvaluateJob, put_evaluation

    where = scores.uri if isinstance(scores, Result) else absolute(str(scores))
    with tempfile.TemporaryDirectory(prefix="hf2vad-") as folder:
        return put_evaluation(EvaluateJob(scores=where, labels=str(labels), tracks=str(tracks), out=folder))


def dataset(stc: str | Path) -> torch.utils.data.Dataset[dict[str, torch.Tensor]]:
    """The cubes of an STC table as a dataset of PyTorch, for research; see hf2vad.training.dataset.CubeDataset."""
    from hf2vad.training.dataset import CubeDataset

    return CubeDataset(absolute(str(stc)))


class _Place:
    """A folder, which ends with the object where it is a temporary one."""

    def __init__(self, out: str | Path) -> None:
        """`out`; empty: a new temporary folder."""
        self.uri = absolute(str(out)) if str(out) else tempfile.mkdtemp(prefix="hf2vad-")
        if not str(out):
            weakref.finalize(self, shutil.rmtree, self.uri, ignore_errors=True)

    def __truediv__(self, name: str) -> str:
        return join(self.uri, name)


@dataclass(frozen=True)
class Result:
    """Scores of all videos, as Arrow tables."""

    uri: str
    """Folder of the tables: <out>/bundle=<id>."""
    _place: _Place = field(repr=False)

    @property
    def frames(self) -> pa.Table:
        """A row for each frame: score, features, number of objects, health."""
        return _whole(self.uri, "frames")

    @property
    def objects(self) -> pa.Table:
        """A row for each scored object: box, score and features."""
        return _whole(self.uri, "objects")

    @property
    def events(self) -> pa.Table:
        """A row for each event: first and last frame, peak, box."""
        return _whole(self.uri, "events")

    @property
    def health(self) -> pa.Table:
        """A row for each stretch of footage that is frozen, dark, covered …"""
        return _whole(self.uri, "health")

    @property
    def failures(self) -> pa.Table:
        """A row for each video that could not be scored, or only in part."""
        return pa.Table.from_pylist(list(failure_rows(self.uri)), FAILURES)


@dataclass(frozen=True)
class Model:
    """A trained model."""

    uri: str
    """Location of the bundle."""
    _place: _Place | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """Id of the bundle: 16 hex digits, a hash of what decides scores."""
        from hf2vad.bundle.settings import load_bundle_settings

        return load_bundle_settings(self.uri).id

    def score(
        self,
        archive: str | Path,
        *,
        frames: str = ":",
        threshold: float | None = None,
        out: str | Path = "",
        device: str = "auto",
    ) -> Result:
        """Score the videos of `archive`: a folder, an s3://bucket/prefix or one video.

        frames: the part of each video to score. threshold: score at which an event starts; None: the bundle's.
        out: folder of the tables; with the same `out` an interrupted call resumes. A video that cannot be scored
        becomes a row of `failures`. Raises ConfigError, and NotFoundError where there is nothing.
        """
        from hf2vad.jobs.score import ScoreJob, score_job

        place = _Place(out)
        base = ScoreJob.base({"bundle": self.uri})
        job = replace(
            base, archive=str(archive), bundle=self.uri, out=place.uri, frames=frames, device=device, ray=HERE
        )
        with _quiet():
            score_job(replace(job, engine="eager", events=replace(job.events, threshold=threshold)))
        return Result(join(place.uri, f"bundle={self.id}"), place)

    def network(self, device: str = "cpu") -> HF2VAD:
        """The network as a torch.nn.Module in evaluation mode; see docs/model.md. Raises BundleError."""
        import torch

        from hf2vad.bundle.bundle import load_bundle

        return load_bundle(self.uri).build(torch.device(device))

    def save(self, out: str | Path) -> Model:
        """Put the bundle into the folder or s3://bucket/prefix `out`, and return the model there."""
        from hf2vad.bundle.bundle import load_bundle, save_bundle

        uri = absolute(str(out))
        save_bundle(uri, load_bundle(self.uri))
        return Model(uri)


def _whole(prefix: str, table: TableName) -> pa.Table:
    """The tables of all videos in one, without what each says of itself."""
    try:
        found = [tables.table(table).replace_schema_metadata(None) for tables in video_tables(prefix, table)]
    except NotFoundError:
        found = []
    empty: Mapping[str, pa.Schema] = TABLES
    return pa.concat_tables(found, promote_options="default") if found else empty[table].empty_table()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep summaries, which jobs print on stdout, to oneself."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
