"""The files of the site: pages from templates, scripts and styles as they are, data and features' words as scripts.

A page on disk may not fetch a file, but it may load a script: data are calls of `hf2vad.put(name, value)`.
"""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import urlsplit

import jinja2

from hf2vad.features.registry import feature_classes
from hf2vad.storage import join, put_bytes

PAGES = ("index", "events", "video", "about")


def put_data(out: str, name: str, value: Any) -> None:
    """Put `value` where a page's `hf2vad.load(name)` finds it. Nothing in a text can end the script or its strings."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    put_bytes(join(out, "data", f"{name}.js"), f"hf2vad.put({json.dumps(name)},{text});\n".encode())


def put_pages(out: str, *, title: str, media_url: str, notice: str = "") -> None:
    """Put the pages, and what they look and behave like. `media_url`: a host that they may play videos from.
    `notice`: a sentence at their head."""
    package = files("hf2vad.report.site")
    texts = {item.name: item.read_text(encoding="utf-8") for item in package.joinpath("templates").iterdir()}
    environment = jinja2.Environment(loader=jinja2.DictLoader(texts), autoescape=True, undefined=jinja2.StrictUndefined)
    for page in PAGES:
        html = environment.get_template(f"{page}.html").render(
            title=title, page=page, media=_origin(media_url), notice=notice
        )
        put_bytes(join(out, f"{page}.html"), html.encode())
    _copy(package.joinpath("static"), join(out, "static"))
    words = {name: cls.word for name, cls in feature_classes().items()}
    put_bytes(join(out, "static", "features.js"), f"hf2vad.features = {json.dumps(words)};\n".encode())


def _copy(folder: Traversable, out: str) -> None:
    for item in folder.iterdir():
        if item.is_dir():
            _copy(item, join(out, item.name))
        elif not item.name.startswith("."):
            put_bytes(join(out, item.name), item.read_bytes())


def _origin(url: str) -> str:
    """Scheme and host of a URL, for the content security policy; empty for a path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else ""
