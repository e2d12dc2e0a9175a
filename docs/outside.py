"""For mkdocs: a link to a file outside docs/ becomes the file's name, since the site does not have the file."""

from __future__ import annotations

import posixpath
import re
from typing import Any

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)#\s]*)[^)]*\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with such links replaced."""
    folder = posixpath.dirname(page.file.src_uri)

    def replaced(found: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(folder, found["target"]))
        if not place.startswith("../"):
            return found[0]
        name = f"`{place.removeprefix('../')}`"
        return name if found["text"].strip("`") in place else f"{found['text']} ({name})"

    return LINK.sub(replaced, markdown)
