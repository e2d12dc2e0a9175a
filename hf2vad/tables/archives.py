"""Archive names that ids below a bundle=<id> folder may begin with.

A table says only the id of its video. Where ids begin with the name of an archive, the folder has a small file of the
names, so that whoever reads the tables can tell a video's path in its archive, which patterns are of.
"""

from __future__ import annotations

from collections.abc import Sequence

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.errors import NotFoundError, SchemaError
from hf2vad.storage import join, put_json, read_json

FILE = "archives.json"


def archive_names(prefix: str, sources: Sequence[ArchiveRef] = ()) -> frozenset[str]:
    """Names of the archives that were scored into a bundle=<id> folder, and those of `sources`; empty where ids are
    paths."""
    return _written_names(prefix) | {source.name for source in sources if source.name}


def put_archive_names(prefix: str, sources: Sequence[ArchiveRef]) -> None:
    """Add the names of `sources` to those below `prefix`; an archive without a name adds none."""
    names = archive_names(prefix, sources)
    if names != _written_names(prefix):
        put_json(join(prefix, FILE), {"names": sorted(names)})


def _written_names(prefix: str) -> frozenset[str]:
    where = join(prefix, FILE)
    try:
        names = read_json(where).get("names")
    except NotFoundError:
        return frozenset()
    if not isinstance(names, list):
        raise SchemaError(f"{where}: no list of names of archives")
    return frozenset(map(str, names))
