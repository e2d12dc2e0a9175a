"""The tables below a bundle=<id> folder, by what their keys say of the videos' paths."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hf2vad.archive.scope import Scope
from hf2vad.archive.sources import split_id
from hf2vad.errors import NotFoundError
from hf2vad.schema import unpack_metadata
from hf2vad.storage import Entry, join, list_dir, list_files, open_parquet
from hf2vad.storage.names import part_of_key

ENDING = ".parquet"


def table_keys(prefix: str, table: str, scope: Scope, archives: Collection[str] = ()) -> Iterator[str]:
    """Keys of the tables whose videos can be in `scope`, in the order of listings; folders outside are not listed.

    Whether a video is in `scope` its table says: of a key that was shortened the path is not known before. `archives`:
    names that ids may begin with. Raises NotFoundError where there is no folder of that `table`.
    """
    return _keys(join(prefix, table), "", "", table, scope, archives)


def _keys(uri: str, key: str, path: str | None, table: str, scope: Scope, archives: Collection[str]) -> Iterator[str]:
    for entry in list_dir(uri):
        if not entry.is_dir:
            if entry.name.endswith(ENDING):
                yield key + entry.name
            continue
        try:
            below = _path_below(path, entry, table)
            if below is None or _enters(scope, below, archives):
                yield from _keys(entry.uri, f"{key}{entry.name}/", below, table, scope, archives)
        except NotFoundError:  # the folder is gone by now
            continue


def _enters(scope: Scope, path: str, archives: Collection[str]) -> bool:
    inside = split_id(path, archives)[1]
    return not inside or scope.enters(inside)


def _path_below(path: str | None, folder: Entry, table: str) -> str | None:
    """The path that a folder of keys stands for, with a slash after it; None where only a hash of it is left."""
    if path is None or folder.name.startswith("~"):
        return None
    part = part_of_key(folder.name)
    if part is None:
        part = _video_below(folder.uri, table).split("/")[path.count("/")]
    return f"{path}{part}/"


def _video_below(uri: str, table: str) -> str:
    """The id of one of the videos whose tables are below `uri`."""
    first = next(list_files(uri, ENDING))
    return str(unpack_metadata(open_parquet(first.uri).schema_arrow, table, first.uri)["video"])
