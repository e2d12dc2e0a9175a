"""Names, states and metadata by which a run finds again what an earlier one has left: none of them may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf2vad.archive.catalog import Video
from hf2vad.hashes import hash_of
from hf2vad.schema import FRAMES_TABLE, pack_metadata
from hf2vad.storage import put_table
from hf2vad.tables.layout import CubeLayout, RunLayout, ScoreLayout, record_uri, trace_uri

VIDEO = Video("gate/#1.mp4", "/archive/gate/#1.mp4", "file", "f" * 16, 1)
KEY = "gate/%231.mp4"
FRAMES = (200, 400)


def scores(out: Path) -> ScoreLayout:
    prefix = str(out / "bundle=b1")
    return ScoreLayout(prefix=prefix, bundle="b1", engine="eager fp32", plan="plan", scores="same", final="final")


def cubes(out: Path) -> CubeLayout:
    extraction = {"flow": {"scale": 2.0}}
    return CubeLayout(prefix=str(out), dataset="site", plan="plan", final="plan", extraction=extraction, left_out=None)


def test_score_tables_lie_below_their_bundle(tmp_path: Path) -> None:
    layout, name = scores(tmp_path), f"00000200-00000400-{hash_of('f' * 16, 'plan')}.parquet"
    prefix = f"{tmp_path}/bundle=b1"
    assert layout.shard_uri(VIDEO, FRAMES) == f"{prefix}/shards/{KEY}/{name}"
    assert layout.stats_uri(VIDEO, FRAMES) == f"{prefix}/looks/{KEY}/{name}"
    assert layout.table_uri("events", VIDEO) == f"{prefix}/events/{KEY}.parquet"
    assert layout.failure_uri(VIDEO) == f"{prefix}/failures/{KEY}.json"
    assert layout.marks == f"{prefix}/done"
    assert layout.state(VIDEO) == hash_of("f" * 16, "final")


def test_cubes_lie_below_their_dataset_and_their_failure_rows_beside_all_datasets(tmp_path: Path) -> None:
    layout, name = cubes(tmp_path), f"00000200-00000400-{hash_of('f' * 16, 'plan')}.parquet"
    assert layout.shard_uri(VIDEO, FRAMES) == f"{tmp_path}/stc/site/{KEY}/{name}"
    assert layout.stats_uri(VIDEO, FRAMES) == f"{tmp_path}/looks/site/{KEY}/{name}"
    assert layout.table_uri("health", VIDEO) == f"{tmp_path}/health/site/{KEY}.parquet"
    assert layout.failure_uri(VIDEO) == f"{tmp_path}/failures/{KEY}.json"
    assert layout.marks == f"{tmp_path}/done/site"
    assert layout.table == f"{tmp_path}/stc/site"
    assert layout.state(VIDEO) == layout.shard_state(VIDEO)


def test_records_of_runs_lie_beside_both(tmp_path: Path) -> None:
    assert record_uri(str(tmp_path), "r") == f"{tmp_path}/runs/r.json"
    assert trace_uri(str(tmp_path), "r") == f"{tmp_path}/runs/r.trace.json.gz"


def test_what_files_say_of_themselves_has_its_order(tmp_path: Path) -> None:
    """It is part of their bytes."""
    source = {"video": VIDEO.id, "fingerprint": VIDEO.fingerprint}
    frames = {"start": 200, "stop": 400}
    scored = {**source, "bundle": "b1", **frames, "plan": "plan", "engine": "eager fp32"}
    assert list(scores(tmp_path).metadata(VIDEO, FRAMES).items()) == list(scored.items())
    final = {**scored, "scores": "same", "final": "final", "complete": True}
    assert list(scores(tmp_path).final_metadata(VIDEO, FRAMES, complete=True).items()) == list(final.items())
    cut = {**source, **frames, "extraction": {"flow": {"scale": 2.0}}, "plan": "plan"}
    assert list(cubes(tmp_path).metadata(VIDEO, FRAMES).items()) == list(cut.items())


def vouch(layout: RunLayout) -> None:
    if isinstance(layout, ScoreLayout):
        values = pack_metadata("frames", layout.final_metadata(VIDEO, FRAMES, complete=True))
        put_table(layout.table_uri("frames", VIDEO), FRAMES_TABLE.empty_table().replace_schema_metadata(values))
    layout.vouch(VIDEO, [FRAMES])


@pytest.mark.parametrize("make", [scores, cubes])
def test_a_complete_video_is_known_until_it_is_withdrawn(make: type, tmp_path: Path) -> None:
    layout: RunLayout = make(tmp_path)
    assert not layout.is_final(VIDEO, layout.completion(VIDEO))
    vouch(layout)
    completion = layout.completion(VIDEO)
    assert completion is not None
    assert layout.is_final(VIDEO, completion)
    assert layout.state_of(completion) == layout.state(VIDEO)
    changed = Video(VIDEO.id, VIDEO.uri, VIDEO.kind, "0" * 16, 1)
    assert not layout.is_final(changed, completion)
    layout.withdraw(VIDEO)
    assert layout.completion(VIDEO) is None
