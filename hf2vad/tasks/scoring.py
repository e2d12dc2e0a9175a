"""Scoring: the rows of each shard, and of a finished video the tables of its frames, objects, events and health."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from hf2vad.archive.catalog import Video
from hf2vad.bundle.bundle import Bundle, same_bundle
from hf2vad.bundle.settings import BundleSettings
from hf2vad.cluster.warm import Warm
from hf2vad.engines.settings import EngineSpec
from hf2vad.health.judge import Health, judged_health
from hf2vad.health.settings import HealthConfig
from hf2vad.plurals import count_words
from hf2vad.schema import F64, HealthKind, pack_metadata, unpack_metadata
from hf2vad.scoring.events import thresholds
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.final import FinalTables, event_table, finalise, narrowed_shard, top_vectors
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.scoring.shard import score_shard
from hf2vad.settings import to_dict
from hf2vad.storage import read_table
from hf2vad.tables.layout import Metadata, ScoreLayout
from hf2vad.video.shards import HALO_BEFORE, Shard, worked_frames
from hf2vad.video.timeline import Timeline
from hf2vad.walk.task import CubeStream, Parts, VideoResult, WalkConfig

if TYPE_CHECKING:
    from hf2vad.engines.eager import Engine


@dataclass(frozen=True, kw_only=True)
class ScoringTask:
    """Scores each shard by a bundle; smooths the scores of a finished video, and finds events in them."""

    lane: ClassVar[str] = "network"

    layout: ScoreLayout
    config: WalkConfig
    bundle_uri: str
    bundle: BundleSettings
    """Each worker reads the bundle's arrays itself, once."""
    features: tuple[str, ...]
    """Names of the features that are measured."""
    engine: EngineSpec
    """No part of the plan: engines agree, so what one has scored stays."""
    batch: int
    """Cubes that the network works on at once."""
    device: str
    smoothing: SmoothingRule
    """Length of the median filter over frame scores."""
    events: EventConfig
    health: HealthConfig
    vectors: int = 0
    """Objects of each second that keep a vector; 0: none."""

    @property
    def use_gpu(self) -> bool:
        return self.device != "cpu" and bool(self.engine.networks)

    def with_engine(self, engine: EngineSpec) -> ScoringTask:
        """This task with another engine."""
        return replace(self, engine=engine, layout=replace(self.layout, engine=engine.label))

    def load(self) -> Mapping[str, float]:
        before = warm_features.loads
        self._features()
        return {"model_loads": warm_features.loads - before}

    def shard(self, shard: Shard, cubes: CubeStream) -> Generator[pa.Table, None, None]:
        yield score_shard(
            shard.video.id,
            cubes,
            self._features().of_camera(self.bundle.camera_of(shard.video.path)),
            Scorer.of(self.bundle, shard.video.path),
            metadata=self.layout.metadata(shard.video, (shard.start, shard.stop)),
            vectors=self.vectors > 0,
        )

    def finish(self, video: Video, parts: Parts) -> VideoResult:
        if parts.plan and not parts.done:
            return VideoResult()
        stats = [self.layout.stats_uri(video, shard) for shard in parts.done]
        metadata = self.layout.metadata(video, parts.frames)
        fps = self.config.extraction.working.fps
        health = judged_health(self.health, video, parts.timeline, parts.frames, stats, metadata, fps)
        final = self._final_tables(video, parts, health)
        tables = {"health": health.table, "objects": final.objects, "events": final.events, "frames": final.frames}
        if self.vectors:  # before the frames, which vouch for the others
            shards = (read_table(self.layout.shard_uri(video, frames)) for frames in parts.done)
            tables = {"vectors": top_vectors(shards, self.vectors, metadata), **tables}
        counts = {"events": final.events.num_rows, **health.counts}
        return VideoResult(list(tables.items()), counts, list(_shortcomings(parts.timeline, final, fps)))

    def reuse(self, video: Video, completion: Metadata) -> VideoResult | None:
        """The events that these settings make of the scores there, where the scores are those of this run; all tables
        of the objects there, where they are but for those that zones drop."""
        if not self.layout.has_same_scores(video, completion):
            return self._narrowed(video, completion)
        frames = read_table(self.layout.table_uri("frames", video))
        calibration = self.bundle.calibration_of(video.path)
        final = self.layout.of_camera(self.layout.final, video)
        own = {"final": final, "thresholds": list(thresholds(self.events, calibration))}
        metadata = {name: value for name, value in completion.items() if name not in ("schema", "table")} | own

        def described(values: Metadata) -> pa.Table:
            return frames.replace_schema_metadata(pack_metadata("frames", values))

        withdrawn = described(metadata | {"final": ""})  # after a kill it would vouch for other events
        events = event_table(frames, self._events_in(metadata), calibration, metadata)
        tables = [("frames", withdrawn), ("events", events), ("frames", described(metadata))]
        return VideoResult(tables, {"events_anew": 1, "events": events.num_rows})

    def _narrowed(self, video: Video, completion: Metadata) -> VideoResult | None:
        """The tables of a video without the objects that zones drop and did not before; None where objects are missing.

        Vectors are of the highest objects of a second, so those of the next ones would be missing.
        """
        layout = self.layout
        if self.vectors or not layout.has_more_objects(video, completion):
            return None
        frames, objects, health = (
            read_table(layout.table_uri(name, video)) for name in ("frames", "objects", "health")
        )
        calibration = self.bundle.calibration_of(video.path)
        before = {name: value for name, value in completion.items() if name not in ("schema", "table", "zones")}
        metadata = layout.final_metadata(video, (before["start"], before["stop"]), complete=True)
        metadata = {**metadata, **{name: value for name, value in before.items() if name not in metadata}}
        metadata |= {"engine": before["engine"], "thresholds": list(thresholds(self.events, calibration))}
        shard = narrowed_shard(frames, objects, layout.zones.of(video), completion)
        final = self._finalised(video, [shard], frames["pts_s"].to_numpy(), frames["health"].to_pylist(), metadata)
        withdrawn = frames.replace_schema_metadata(pack_metadata("frames", {**before, "scores": "", "final": ""}))
        unhealthy = health.replace_schema_metadata(
            pack_metadata("health", layout.metadata(video, (before["start"], before["stop"])))
        )
        tables = [("frames", withdrawn), ("health", unhealthy), ("objects", final.objects), ("events", final.events)]
        return VideoResult([*tables, ("frames", final.frames)], {"narrowed": 1, "events": final.events.num_rows})

    def _features(self) -> FeatureSet:
        threads = self.config.threads
        return warm_features(
            self.bundle_uri, self.bundle.id, self.features, self.engine, self.device, self.batch, threads
        )

    def _final_tables(self, video: Video, parts: Parts, health: Health) -> FinalTables:
        (start, stop), timeline = parts.frames, parts.timeline
        calibration, rate = self.bundle.calibration_of(video.path), timeline.usual_fps
        shards = [read_table(self.layout.shard_uri(video, frames)) for frames in parts.done]
        engines = {unpack_metadata(shard.schema, "shard", video.id)["engine"] for shard in shards}
        metadata: dict[str, Any] = {
            **self.layout.final_metadata(video, (start, stop), complete=parts.complete),
            "engine": ", ".join(sorted(engines)),
            "smoothing": self.smoothing.window(rate),
            **({"smoothing_rule": self.smoothing[:2], "fps": rate} if self.smoothing.fps else {}),
            **({"smoothing_ends": self.smoothing.ends} if self.smoothing.ends != "repeated" else {}),
            "thresholds": list(thresholds(self.events, calibration)),
            "width": timeline.width,
            "height": timeline.height,
            "frame_count": timeline.frame_count,
            **({"rule": "surprise"} if self.bundle.fusion.rule == "surprise" else {}),
            **({"sizes": health.sizes} if len(health.sizes) > 1 else {}),
            **({"worked_fps": fps} if (fps := self.config.extraction.working.fps) and timeline.timed else {}),
            **timeline.notes,
            **{name: value for name, value in to_dict(self.config.extraction).items() if name == "decode"},
        }
        return self._finalised(video, shards, np.asarray(timeline.pts_s[start:stop]), health.kinds, metadata)

    def _finalised(
        self,
        video: Video,
        shards: Sequence[pa.Table],
        pts_s: F64,
        health: Sequence[HealthKind | None],
        metadata: Metadata,
    ) -> FinalTables:
        """Final tables of `video` from rows of shards, by this run's settings."""
        scorer = Scorer.of(self.bundle, video.path)
        return finalise(
            shards,
            pts_s=pts_s,
            empty=scorer.empty,
            at_frame=scorer if scorer.at_frame else None,
            calibration=self.bundle.calibration_of(video.path),
            events=self._events_in(metadata),
            metadata=metadata,
            health=health,
        )

    def _events_in(self, metadata: Metadata) -> EventConfig:
        """The rules of events in frames of the video that `metadata` is of."""
        return self.events.at_rate(self.smoothing, metadata.get("fps", 0.0))


@Warm
def warm_features(
    uri: str, bundle_id: str, names: tuple[str, ...], spec: EngineSpec, device: str, batch: int, threads: int
) -> FeatureSet:
    """Features of the bundle, kept in this worker from shard to shard. Raises MismatchError if the bundle changed.

    Where no feature needs a network, none is made.
    """
    bundle = same_bundle(uri, bundle_id)
    engine = _engine(spec, bundle, device, batch, threads) if spec.networks else None
    return FeatureSet.of(bundle, names, engine, batch)


def _engine(spec: EngineSpec, bundle: Bundle, device: str, batch: int, threads: int) -> Engine:
    import torch  # seconds, which a bundle without networks does not pay

    from hf2vad.engines.make import make_engine
    from hf2vad.models.device import choose_device

    torch.set_num_threads(threads)
    return make_engine(spec, bundle, device=choose_device(device), batch=batch)


def _shortcomings(timeline: Timeline, tables: FinalTables, fps: float) -> Iterator[str]:
    """Sentence about the frames of a video that remain without a score."""
    if (frames := len(worked_frames(timeline, fps))) <= HALO_BEFORE:
        yield f"{count_words(frames, 'frame')}, a cube needs {HALO_BEFORE + 1}: no frame can be scored"
    if timeline.truncated:
        yield f"{timeline.truncated}; those were scored"
    if tables.undecodable:
        have = "has" if tables.undecodable == 1 else "have"
        yield f"{count_words(tables.undecodable, 'frame')} {have} no score because pictures cannot be decoded"
