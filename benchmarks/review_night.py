"""A night of 40 cameras as a review site: how soon it opens, how much it moves while it loads, whom it shuts out.

Example:
    python -m benchmarks review_night --demo demo/report
    python -m benchmarks review_night --demo demo/report --cameras 3 --hours 2   # only to see that it works

The night is made up: a video an hour and camera, 2,000 scored frames and about two events in each, with scored objects,
and pictures and previews of the highest 200 events. Each page is opened from disk in Chromium without a cache, at two
widths, light and dark. It counts as open when all that it shows at first is there. Layout shift is the sum of the
browser's own entries until half a second later; violations are those of axe-core at WCAG levels A and AA.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.measure import save
from benchmarks.site import BUNDLE, SECONDS, chromium, put_result, require_browser_and
from benchmarks.tables import markdown, results
from hf2vad.evidence.choose import event_key
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.night import write_site
from hf2vad.schema import BOX, OBJECTS, pack_metadata
from hf2vad.storage import put_json, put_table, read_table

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHIFT = """window.shifted = 0; new PerformanceObserver(list => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
}).observe({type: "layout-shift", buffered: true});"""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WIDTHS = (1400, 390)
SIZE = (640, 360)
PICTURED = 200
"""Events with pictures: as many as `--evidence.events` has by default."""


def put_objects(prefix: Path) -> list[dict[str, Any]]:
    """A table of objects beside each table of events, two boxes a frame; returns all events."""
    numbers, events = np.random.default_rng(1), []
    for path in sorted((prefix / "events").rglob("*.parquet")):
        rows = read_table(str(path)).to_pylist()
        events += rows
        place = path.relative_to(prefix / "events")
        frames = read_table(str(prefix / "frames" / place))
        frame = np.repeat(np.arange(len(frames), dtype=np.int32), 2)
        low = numbers.uniform(0, 250, (len(frame), 2)).astype(np.float32)
        corners = [low[:, 0], low[:, 1], low[:, 0] + 40, low[:, 1] + 90]
        columns = {name: pa.nulls(len(frame), OBJECTS.field(name).type) for name in OBJECTS.names}
        columns |= {name: pa.array(side) for name, side in zip(BOX, corners, strict=True)}
        columns |= {"video": pa.array([frames["video"][0].as_py()] * len(frame)), "frame": pa.array(frame)}
        columns |= {
            "pts_s": pa.array(frame * (SECONDS / len(frames))),
            "score": pa.array(numbers.uniform(0, 3, len(frame))),
        }
        columns["speed"] = pa.array(np.ones(len(frame), np.float32))
        metadata = pack_metadata("objects", {"video": frames["video"][0].as_py(), "bundle": BUNDLE})
        put_table(str(prefix / "objects" / place), pa.table(columns, OBJECTS).replace_schema_metadata(metadata))
    return events


def put_pictures(site: Path, events: list[dict[str, Any]]) -> None:
    """A still and a loop of twelve pictures, of noise, for each of the highest events, and why it is one."""
    numbers = np.random.default_rng(2)
    for event in sorted(events, key=lambda row: -row["peak_score"])[:PICTURED]:
        folder = site / "events" / event_key(event["video"], event["start_frame"])
        folder.mkdir(parents=True, exist_ok=True)
        coarse = numbers.integers(60, 200, (13, 23, 40, 3), dtype=np.uint8)
        pictures = [cv2.resize(picture, (320, 180), interpolation=cv2.INTER_CUBIC) for picture in coarse]
        cv2.imwrite(str(folder / "thumb.jpg"), cv2.resize(pictures[0], (480, 270)))
        images = [Image.fromarray(picture) for picture in pictures[1:]]
        images[0].save(
            folder / "preview.webp", save_all=True, append_images=images[1:], duration=170, loop=0, quality=55
        )
        row = {
            "kind": "speed",
            "sentence": "Moves about twice as fast as all but 1 in 100 objects learnt; looks usual.",
        }
        row |= {"rarity": "Rarer than 1 in 20,000 objects, as far as the footage learnt from can tell", "score": 5.0}
        row |= {"parts": {"energy": 5.0, "shape": 0.1}, "box": [100, 100, 140, 190], "frame": event["peak_frame"]}
        row |= {"bars": [["energy", 6.0, "beyond 1 in 20,000"], ["shape", 0.6, "usual"]]}
        put_json(str(folder / "event.json"), {**row, "files": {"thumb": "thumb.jpg", "preview": "preview.webp"}})


def measured(browser: Browser, url: str, width: int, scheme: Any) -> dict[str, Any]:
    """Seconds until a page is there, its layout shift, and the names of violations, in a context of its own."""
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.add_init_script(SHIFT)
    started = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator("body[data-ready]").wait_for(state="attached")
    seconds = time.perf_counter() - started
    page.locator("body[data-ready=yes]").wait_for(state="attached")
    page.wait_for_timeout(500)
    shift = float(page.evaluate("window.shifted"))
    found = Axe().run(page, options={"runOnly": RULES, "preload": False}).response["violations"]
    wide = bool(page.evaluate("document.documentElement.scrollWidth") > width)
    context.close()
    return {
        "seconds": round(seconds, 3),
        "shift": round(shift, 4),
        "violations": [rule["id"] for rule in found] + ["wider than the window"] * wide,
    }


def pages(browser: Browser, site: Path) -> dict[str, Any]:
    """The worst of all widths and schemes for each page."""
    video = next((site / "data" / "videos").glob("*.js")).stem
    named = {"overview": "index.html", "events": "events.html", "one video": f"video.html#video={video}"}
    named["about"] = "about.html"
    found = {}
    for name, page in named.items():
        url = f"file://{site.resolve()}/{page}"
        measured(browser, url, WIDTHS[0], "light")  # the browser's own first time
        every = [measured(browser, url, width, scheme) for width in WIDTHS for scheme in ("light", "dark")]
        found[name] = {
            "seconds": max(one["seconds"] for one in every),
            "shift": max(one["shift"] for one in every),
            "violations": sorted({rule for one in every for rule in one["violations"]}),
        }
    return found


def table() -> str:
    """The slowest opening, the largest shift and the violations of each page."""
    rows = [["not measured yet", "", "", "", ""]]
    for result in results("review_night.json"):
        rows = [
            [
                site["what"],
                name,
                f"{page['seconds']:.2f} s",
                f"{page['shift']:.3f}",
                ", ".join(page["violations"]) or "none",
            ]
            for site in result["sites"]
            for name, page in site["pages"].items()
        ]
    return markdown(["site", "page", "open after", "layout shift", "violations"], rows)


TABLES = {"review_night": table}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("demo/report"), help="the demo's site")
    parser.add_argument("--cameras", type=int, default=40)
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--keep", type=Path, help="folder for the made-up night and its site")
    options = parser.parse_args()
    require_browser_and(options.demo)
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        prefix, site = folder / "scores" / f"bundle={BUNDLE}", folder / "site"
        if not (site / "index.html").is_file():
            put_result(prefix, options.cameras * options.hours, hours=options.hours)
            put_pictures(site, put_objects(prefix))
            write_site(ReportJob(scores=str(prefix), out=str(site), pattern="{camera}/{date}/{time}.mp4"))
        with chromium() as browser:
            sites = [
                {"what": "demo", "pages": pages(browser, options.demo)},
                {"what": f"{options.cameras} cameras × {options.hours} hours", "pages": pages(browser, site)},
            ]
            version = browser.version
    save("review_night", {"chromium": version, "load": os.getloadavg()[0], "sites": sites})
    print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
