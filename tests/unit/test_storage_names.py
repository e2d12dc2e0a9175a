from __future__ import annotations

import os
import posixpath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf2vad.errors import StorageError
from hf2vad.storage import (
    absolute,
    find_file,
    id_of_key,
    is_local,
    join,
    key_path,
    list_dir,
    local,
    objects_appear_whole,
    put_bytes,
    read_bytes,
    readable,
    s3,
)
from hf2vad.storage.backends import backend_of
from hf2vad.storage.names import KEY_BYTES, RESERVED, SEGMENT_BYTES

part = st.sampled_from(
    [
        "",
        ".",
        "..",
        "...",
        "%",
        "%2E%2E",
        "%2F",
        "~",
        "a",
        "A",
        ".json",
        "v.parquet",
        "\n",
        "\0",
        "ä",
        "日" * 70,
        "x" * 1000,
    ]
)
video_id = st.one_of(
    st.lists(st.one_of(part, st.binary(max_size=40).map(os.fsdecode)), max_size=6).map("/".join),
    st.binary(max_size=1000).map(os.fsdecode),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=250),
)


@settings(max_examples=300)
@given(identity=video_id)
@example("../../etc/passwd")
@example("/etc/passwd")
@example("a//b/")
@example("x" * 1000)
@example("ä" * 500)
@example(os.fsdecode(b"\xff" * 1000))
def test_a_key_stays_below_its_prefix_and_each_part_is_a_name_that_a_file_may_have(identity: str) -> None:
    key = key_path(identity)
    assert posixpath.normpath(f"/out/{key}") == f"/out/{key}"
    parts = key.split("/")
    assert len(key) <= KEY_BYTES
    assert len(parts) == identity.count("/") + 1 or parts[0].startswith("~")
    for name in parts:
        assert 0 < len(name) <= SEGMENT_BYTES
        assert name.isascii()
        assert name.isprintable()
        assert not name.endswith(RESERVED)


@settings(max_examples=300)
@given(first=video_id, second=video_id)
@example("", "%")
@example("", ".")
@example(".", "%2E")
@example("a/b", "a%2Fb")
@example("a~b", "a%7Eb")
@example("x" * 300, "x" * 301)
@example("/".join(["x" * 300, "y"]), "/".join(["x" * 300, "z"]))
@example("x" * 199 + "ä", "x" * 199 + "ö")
@example("x.parquet", "x%2Eparquet")
@example("/".join(["ä" * 60] * 9), "/".join(["ä" * 60] * 10))
@example("/".join(["b", *["ä" * 60] * 9]), "/".join(["c", *["ä" * 60] * 9]))
def test_two_ids_never_have_the_same_key(first: str, second: str) -> None:
    assert (key_path(first) == key_path(second)) == (first == second)


@settings(max_examples=300)
@given(identity=video_id)
@example("")
@example("a//b/")
@example("a.parquet/v.json")
@example("x" * 300)
@example("ä" * 500)
def test_a_key_leads_back_to_its_id_unless_it_was_shortened(identity: str) -> None:
    key = key_path(identity)
    assert id_of_key(key) == (None if "~" in key else identity)


@settings(max_examples=200)
@given(identity=video_id)
def test_a_shortened_part_is_not_the_key_of_any_other_id(identity: str) -> None:
    assert (key_path(key_path(identity)) == key_path(identity)) == (key_path(identity) == identity)


@pytest.mark.parametrize("identity", ["cam 1/2026-07-30/06.00.mp4", "a_b+c=d@e(f),g/.hidden/...x"])
def test_an_ordinary_id_is_its_own_key(identity: str) -> None:
    assert key_path(identity) == identity


@pytest.mark.parametrize(
    ("identity", "key"),
    [
        ("../a", "%2E%2E/a"),
        ("/a", "%/a"),
        ("a//b", "a/%/b"),
        ("line\nbreak", "line%0Abreak"),
        ("ä", "%C3%A4"),
        (os.fsdecode(b"\xe4"), "%E4"),
        ("100%", "100%25"),
        ("a.parquet/video.json", "a%2Eparquet/video%2Ejson"),
    ],
)
def test_other_characters_are_percent_encoded(identity: str, key: str) -> None:
    assert key_path(identity) == key


def test_parts_are_joined_with_one_slash_each() -> None:
    assert join("s3://bucket/", "/a/", "b/c") == "s3://bucket/a/b/c"
    assert join("/out", "a") == "/out/a"


def test_uris_with_a_scheme_are_in_its_storage_and_all_else_is_local() -> None:
    assert backend_of("s3://bucket/key") is s3
    for path in ("/s3://bucket", "s3:/bucket", "S3", "file", "", "cam/http://x"):
        assert backend_of(path) is local
    assert [is_local(uri) for uri in ("s3://bucket", "a/b")] == [False, True]
    assert [objects_appear_whole(uri) for uri in ("s3://bucket", "a/b")] == [True, False]


@pytest.mark.parametrize("uri", ["gs://bucket/key", "S3://bucket", "file:///tmp/x"])
def test_a_scheme_without_storage_is_named_with_those_that_there_are(uri: str) -> None:
    said = f"{uri}: no storage for {uri.split(':')[0]}://; there are s3:// and local paths"
    for call in (find_file, absolute, read_bytes, lambda uri: put_bytes(uri, b""), lambda uri: list(list_dir(uri))):
        with pytest.raises(StorageError) as refused:
            call(uri)
        assert str(refused.value) == said


def test_a_name_that_is_not_utf_8_is_shown_with_escapes() -> None:
    assert readable("Straße" + os.fsdecode(b"\xff")) == "Straße\\udcff"
