"""Some events as one file to hand over: a zip with clips, pictures, rows, hashes, and a page that a browser opens.

The same events, footage and settings give the same bytes: nothing in the zip says when it was made.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hf2vad.archive.archive_refs import ArchiveRef, find_in
from hf2vad.errors import ConfigError
from hf2vad.storage import open_read, read_bytes

COLUMNS = (
    "video", "start_s", "end_s", "peak_s", "start_frame", "end_frame", "peak_frame", "peak_score", "frame", "score",
    "kind", "sentence", "rarity", "box", "note",
)  # fmt: skip
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Time of every file in the zip: the earliest that zips have."""
FORMULA = "=+-@\t\r"
"""Characters at which a spreadsheet takes a text for a formula."""
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "video,img{max-width:100%}section{border-top:1px solid;margin-top:2rem}dt{font-weight:600}dd{margin:0 0 .4rem}"
    "code{overflow-wrap:anywhere}"
)


@dataclass(frozen=True)
class CaseEvent:
    """One event of a case."""

    folder: Path
    """Its `event.json`, and the files that it names."""
    source_sha256: str
    """SHA-256 of the video's file. Empty for a folder of images, and for a file that is gone."""

    @property
    def row(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "event.json").read_text())
        return content


def write_case(file: IO[bytes], title: str, events: Sequence[CaseEvent], about: Mapping[str, str]) -> None:
    """Write the zip; about: facts about the whole case, such as the bundle, by their names."""
    members = {name: data for number, event in enumerate(events, 1) for name, data in _members(number, event)}
    rows = [{**event.row, "source_sha256": event.source_sha256} for event in events]
    members["events.json"] = (json.dumps(rows, indent=2, ensure_ascii=False) + "\n").encode()
    members["events.csv"] = _csv(rows)
    members["index.html"] = _page(title, rows, about).encode()
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(members.items()))
    members["SHA256SUMS"] = sums.encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in sorted(members.items()):
            method = zipfile.ZIP_STORED if name.endswith((".mp4", ".jpg", ".webp")) else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), data, method)


def folder_of(number: int) -> str:
    """Folder of an event in the zip, by its number from 1 in the order of the page."""
    return f"event-{number:03d}"


def keys_in(item: str) -> list[str]:
    """The keys in a file that the review site saved, or the key itself. Raises ConfigError for another file."""
    if not item.endswith(".json"):
        return [item]
    try:
        return [str(row["key"]) for row in json.loads(read_bytes(item))]
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"--events {item}: not a file of events that the review site saved as JSON") from None


def source_sha256(sources: Sequence[ArchiveRef], name: str) -> str:
    """SHA-256 of a video's file. Empty for a folder of images, and for a file that is gone."""
    video = find_in(sources, name)
    if video is None or video.kind != "file":
        return ""
    digest = hashlib.sha256()
    with open_read(video.uri) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _members(number: int, event: CaseEvent) -> Iterator[tuple[str, bytes]]:
    for path in sorted(event.folder.iterdir()):
        yield f"{folder_of(number)}/{path.name}", path.read_bytes()


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    columns = ("number", *COLUMNS, "source_sha256")
    writer.writerow(columns)
    for number, row in enumerate(rows, 1):
        writer.writerow([number, *(_field(row.get(name)) for name in columns[1:])])
    return text.getvalue().encode("utf-8-sig")


def _field(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula begins with an apostrophe."""
    if isinstance(value, list):
        return " ".join(f"{corner:g}" for corner in value)
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple(FORMULA)) else value


def _page(title: str, rows: Sequence[Mapping[str, Any]], about: Mapping[str, str]) -> str:
    facts = "".join(_fact(name, text) for name, text in about.items())
    events = "".join(_section(number, row) for number, row in enumerate(rows, 1))
    shown = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{shown}</title>'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style></head>\n<body><h1>{shown}</h1>\n<dl>{facts}</dl>\n{events}"
        "<p>SHA256SUMS has the hash of every file: <code>sha256sum -c SHA256SUMS</code>. An event is what is unlike "
        "the footage that was learnt from; it is no finding about a person.</p></body></html>\n"
    )


def _section(number: int, row: Mapping[str, Any]) -> str:
    files, folder = row.get("files", {}), folder_of(number)
    clips = [f"{folder}/{html.escape(files[name])}" for name in ("clip_boxes", "clip") if name in files]
    shown = [f'<p><video controls preload="metadata" src="{clip}"></video></p>' for clip in clips]
    if "thumb" in files:
        shown.append(f'<p><img src="{folder}/{html.escape(files["thumb"])}" alt="The frame at the peak"></p>')
    span = (
        f"{row['start_s']:.2f} s to {row['end_s']:.2f} s, highest at {row['peak_s']:.2f} s (frame {row['peak_frame']})"
    )
    facts = {
        "Video": row["video"],
        "When in it": span,
        "Why": " ".join(filter(None, [row.get("sentence"), row.get("rarity")])),
        "SHA-256 of the video": row["source_sha256"],
        "Missing": row.get("note", ""),
    }
    return (
        f"<section><h2>{number}. {html.escape(row.get('kind') or 'event')}</h2>{''.join(shown)}"
        f"<dl>{''.join(_fact(name, text) for name, text in facts.items() if text)}</dl></section>\n"
    )


def _fact(name: str, text: str) -> str:
    return f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(text))}</dd>"
