"""Material of an event beside its row: pictures, clips, nearest normal examples, in `events/<key>/`.

`event.json` names the files that lie beside it; any may be missing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from hf2vad.errors import NotFoundError, SchemaError
from hf2vad.evidence.folder import FOLDER, ROW
from hf2vad.storage import join, list_dir, read_json

PICTURES = ("thumb", "preview", "appearance", "predicted", "appearance_error", "flow", "reconstructed", "flow_error")
CLIPS = ("clip", "clip_boxes")
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


def video_key(video: str) -> str:
    """Name of a video in permalinks."""
    return hashlib.sha1(video.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()[:16]


@dataclass(frozen=True)
class Evidence:
    """Content of `event.json`."""

    kind: str = ""
    sentence: str = ""
    """Why it is an event."""
    rarity: str = ""
    """How rare that is; empty for a score that is not by surprise."""
    score: float | None = None
    """The score of the moment that is shown."""
    parts: dict[str, float] = field(default_factory=dict)
    """Contribution of each feature to the score."""
    bars: list[list[Any]] = field(default_factory=list)
    """Name, strength and its words, of each part."""
    files: dict[str, str] = field(default_factory=dict)
    """Pictures and clips: paths from the site's pages."""
    nearest: list[str] = field(default_factory=list)
    nearest_distance: list[float] = field(default_factory=list)
    nearest_of: int = 0
    """Normal examples that were compared."""
    nearest_camera: bool = False
    """True if the nearest examples are of the event's own camera."""
    frame: int | None = None
    """The frame of the pictures, where it is not the peak's."""
    box: list[float] | None = None
    """x1, y1, x2, y2 in that frame, in pixels of the source."""
    whole: list[float] | None = None
    """Box of the whole object, as it is drawn."""
    note: str = ""
    """Why something is missing."""


NOTHING = Evidence()


def folders(site: str) -> set[str]:
    """Keys of the events that have a folder."""
    try:
        return {entry.name.rstrip("/") for entry in list_dir(join(site, FOLDER)) if entry.is_dir}
    except NotFoundError:
        return set()


def read_evidence(site: str, key: str) -> Evidence:
    """Read the folder of an event. None as long as its `event.json` does not exist.

    Raises SchemaError for one that this release does not understand.
    """
    where = join(site, FOLDER, key, ROW)
    try:
        row = read_json(where)
    except NotFoundError:
        return NOTHING
    try:
        files = dict(row.get("files") or {})
        nearest = [_path(key, name) for name in files.pop("nearest", None) or []]
        return Evidence(
            kind=str(row.get("kind") or ""),
            sentence=str(row.get("sentence") or ""),
            rarity=str(row.get("rarity") or ""),
            score=None if row.get("score") is None else float(row["score"]),
            bars=[[str(name), float(strength), str(text)] for name, strength, text in row.get("bars") or []],
            parts={str(name): float(value) for name, value in (row.get("parts") or {}).items() if value is not None},
            files={name: _path(key, files[name]) for name in (*PICTURES, *CLIPS) if files.get(name)},
            nearest=nearest,
            nearest_distance=[float(value) for value in row.get("nearest_distance") or []],
            nearest_of=int(row.get("nearest_of") or 0),
            nearest_camera=bool(row.get("nearest_camera")),
            frame=None if row.get("frame") is None else int(row["frame"]),
            box=_corners(row.get("box")),
            whole=_corners(row.get("whole")),
            note=str(row.get("note") or ""),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise SchemaError(f"{where}: not an event of hf2vad ({error}); remove its folder and run again") from None


def _corners(box: Any) -> list[float] | None:
    return [round(float(corner), 1) for corner in box] if box else None


def _path(key: str, name: Any) -> str:
    if not isinstance(name, str) or not _PLAIN.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a file beside it")
    return f"{FOLDER}/{key}/{name}"
