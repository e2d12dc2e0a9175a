"""The folder of an event in a site: `events/<key>/`, its row `event.json` put last and removed first."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf2vad.errors import NotFoundError
from hf2vad.storage import delete, join, list_dir, put_bytes, put_json, read_json

if TYPE_CHECKING:
    from hf2vad.evidence.event import EventCard

FOLDER = "events"
ROW = "event.json"
_KEY = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class EventFolder:
    """Folder with the files of one event."""

    site: str
    key: str

    @property
    def uri(self) -> str:
        return join(self.site, FOLDER, self.key)

    def row(self) -> Mapping[str, Any]:
        """Content of `event.json`. Empty if it does not exist."""
        try:
            return read_json(join(self.uri, ROW))
        except NotFoundError:
            return {}

    def put(self, card: EventCard) -> None:
        """Put an event in place of what is there; a file that it does not name is removed before the row is put."""
        self._delete(keep=card.files)
        for name, data in card.files.items():
            put_bytes(join(self.uri, name), data)
        put_json(join(self.uri, ROW), card.row)

    def remove(self) -> None:
        """Remove all its files."""
        self._delete()

    def _delete(self, keep: Collection[str] = ()) -> None:
        """Remove what is there, the row first, but for the files to `keep`."""
        for name in sorted(self.files(), key=lambda name: name != ROW):
            if name not in keep:
                delete(join(self.uri, name))

    def files(self) -> list[str]:
        try:
            return [entry.name for entry in list_dir(self.uri) if not entry.is_dir]
        except NotFoundError:
            return []


def other_folders(site: str, keys: Collection[str]) -> Iterator[EventFolder]:
    """The event folders of a site, with something in them, that are of none of the `keys`."""
    try:
        found = [entry.name for entry in list_dir(join(site, FOLDER)) if entry.is_dir and _KEY.fullmatch(entry.name)]
    except NotFoundError:
        return
    for key in found:
        folder = EventFolder(site, key)
        if key not in keys and folder.files():
            yield folder
