"""Training journals: curves and example images for TensorBoard and, on request, MLflow."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from hf2vad.errors import ConfigError, StorageError
from hf2vad.schema import U8
from hf2vad.storage import join, put_bytes

PUT_SECONDS = 30.0
"""Curves are put in storage this often, and after every epoch."""


class Journal(Protocol):
    """Takes figures and pictures; `step` counts optimizer steps from the beginning of training."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Some figures, by name (`flow/loss`)."""

    def image(self, step: int, name: str, pixels: U8) -> None:
        """A picture, (H, W, 3) RGB."""

    def epoch_end(self) -> None:
        """An epoch is over: what was written can be looked at from now on."""

    def close(self) -> None:
        """Nothing more will come."""


class TensorBoard:
    """Event files under `uri`; each run adds one. It is written in a local folder and put from there.

    tensorboardX's own SummaryWriter writes in a thread, and its flush does not wait for it, so that what is put would
    lack the last events.
    """

    def __init__(self, uri: str, *, first_step: int) -> None:
        """`first_step`: what an earlier run wrote from this step on is hidden, because it is done again."""
        self._uri = uri
        self._folder = tempfile.TemporaryDirectory(prefix="hf2vad-tensorboard-")
        self._writer = EventsWriter(f"{self._folder.name}/events", f".{uuid.uuid4().hex[:8]}")
        if first_step:
            self._write(Event(step=first_step, file_version="brain.Event:2"))
            self._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))
        self._put = time.monotonic()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._write(Event(step=step, summary=summary.scalar(name, value)))
        if time.monotonic() - self._put > PUT_SECONDS:
            self.epoch_end()

    def image(self, step: int, name: str, pixels: U8) -> None:
        self._write(Event(step=step, summary=summary.image(name, pixels, dataformats="HWC")))

    def epoch_end(self) -> None:
        self._writer.flush()
        for path in Path(self._folder.name).iterdir():
            put_bytes(join(self._uri, path.name), path.read_bytes())
        self._put = time.monotonic()

    def close(self) -> None:
        self._writer.close()
        self._folder.cleanup()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)


class MLflow:
    """Figures to the MLflow tracking server at `uri`; each call of the job is a run of the experiment `hf2vad`."""

    def __init__(self, uri: str, *, settings: Mapping[str, Any]) -> None:
        """`settings`: what the run is told by. Raises ConfigError without mlflow, StorageError without a server."""
        try:
            import mlflow
        except ImportError:
            raise ConfigError("--mlflow needs MLflow: pip install 'hf2vad[mlflow]'") from None
        self._mlflow = mlflow
        self._refused = mlflow.exceptions.MlflowException
        self._uri = uri
        try:
            mlflow.set_tracking_uri(uri)
            mlflow.set_experiment("hf2vad")
            mlflow.start_run()
            mlflow.log_params({name: str(value)[:500] for name, value in settings.items()})
        except self._refused as error:
            raise StorageError(f"{uri}: MLflow cannot be used: {error}") from None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        try:
            self._mlflow.log_metrics({name: float(value) for name, value in values.items()}, step=step)
        except self._refused as error:
            raise StorageError(f"{self._uri}: MLflow cannot be used: {error}") from None

    def image(self, step: int, name: str, pixels: U8) -> None:
        """Pictures are TensorBoard's."""

    def epoch_end(self) -> None:
        """MLflow has everything at once."""

    def close(self) -> None:
        self._mlflow.end_run()


class Journals:
    """Several journals as one; a context manager that closes them."""

    def __init__(self, journals: Sequence[Journal] = ()) -> None:
        self._journals = journals

    def __enter__(self) -> Journals:
        return self

    def __exit__(self, *_: object) -> None:
        for journal in self._journals:
            journal.close()

    @property
    def wanted(self) -> bool:
        """True if a journal is written."""
        return bool(self._journals)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for journal in self._journals:
            journal.scalars(step, values)

    def image(self, step: int, name: str, pixels: U8) -> None:
        for journal in self._journals:
            journal.image(step, name, pixels)

    def epoch_end(self) -> None:
        for journal in self._journals:
            journal.epoch_end()
