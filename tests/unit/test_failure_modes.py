"""docs/failure_modes.md promises a test for each line: those tests exist."""

from __future__ import annotations

import re

from tests.site import ROOT

PAGE = (ROOT / "docs" / "failure_modes.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_each_test_that_the_page_names_exists() -> None:
    named = set(NAMED.findall(PAGE))
    assert len(named) > 30
    found = {
        (file, name) for file, name in named if re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    }
    assert named - found == set()


def test_each_line_of_its_tables_says_what_shows_it() -> None:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ") and line.count("|") == 5]
    rows = [row for row in rows if row[0].strip() not in ("what happens", "---")]
    assert len(rows) > 30
    for happens, *_, shown in rows:
        assert NAMED.search(shown) or "the same" in shown or "as for" in shown, happens
