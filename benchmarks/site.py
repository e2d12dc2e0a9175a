"""How long the review site takes to write, and its pages to open in Chromium.

Example:
    python -m benchmarks site --demo demo/report
    python -m benchmarks site --videos 50 --repeats 2   # only to see that it works

A result of many videos is made up: cameras of 24 hours each, an hour a video, 2,000 scored frames and about two events
in each. Its site is written by what jobs/report.py calls. Each page is then opened from disk in a browser context of
its own, without a cache, and timed from the navigation to the moment when all that it shows at first is there.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.report.site.evidence import video_key
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.night import write_site
from hf2vad.schema import BOX, EVENTS, FRAMES_TABLE, HEALTH, pack_metadata
from hf2vad.storage import put_json, put_table, read_json

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FRAMES, SECONDS = 2000, 3600.0
BUNDLE = "0123456789abcdef"


def name_of(number: int, hours: int = 24) -> str:
    return f"camera-{number // hours:04d}/2026-11-24/{number % hours:02d}-00-00.mp4"


def put_result(prefix: Path, videos: int, *, hours: int = 24) -> None:
    """Tables of `videos` hours of footage, `hours` of each camera, with 0 to 4 events in each."""
    numbers = np.random.default_rng(0)
    times = np.arange(FRAMES) * (SECONDS / FRAMES)
    fixed = {name: pa.nulls(FRAMES, FRAMES_TABLE.field(name).type) for name in FRAMES_TABLE.names}
    fixed |= {
        "frame": pa.array(np.arange(FRAMES, dtype=np.int32)),
        "pts_s": pa.array(times),
        "n_objects": pa.array(np.ones(FRAMES, np.int32)),
    }
    for number in range(videos):
        video = name_of(number, hours)
        score = numbers.normal(0, 1, FRAMES)
        rows = []
        for event, start in enumerate(sorted(numbers.integers(0, FRAMES - 30, numbers.integers(0, 5)).tolist())):
            score[start : start + 20] += 4 + numbers.exponential(3)
            peak = start + int(score[start : start + 20].argmax())
            row = {"video": video, "event": event, "start_frame": start, "end_frame": start + 19, "peak_frame": peak}
            row |= {"start_s": times[start], "end_s": times[start + 19], "peak_s": times[peak]}
            rows.append(row | {"peak_score": float(score[peak])} | dict.fromkeys(BOX, 10.0))
        metadata = {"video": video, "bundle": BUNDLE, "thresholds": [4.0, 3.0], "width": 640, "height": 360}
        frames = fixed | {"video": pa.array([video] * FRAMES), "score": pa.array(score)}
        for table, content in (
            ("frames", pa.table(frames, FRAMES_TABLE)),
            ("events", pa.Table.from_pylist(rows, EVENTS)),
            ("health", HEALTH.empty_table()),
        ):
            uri = prefix / table / f"{video}.parquet"
            put_table(str(uri), content.replace_schema_metadata(pack_metadata(table, metadata)))


def written(prefix: Path, site: Path) -> dict[str, Any]:
    """Write the site; what is on it, and how long that took."""
    started = time.perf_counter()
    found = write_site(ReportJob(scores=str(prefix), out=str(site), pattern="{camera}/{date}/{time}.mp4"))
    seconds = time.perf_counter() - started
    return {"videos": found.videos, "events": found.events, "written_s": round(seconds, 1)}


def opened(browser: Browser, url: str, repeats: int) -> dict[str, float]:
    """Seconds from a navigation to a page that is ready, in a new context each time."""
    seconds = []
    for _ in range(repeats + 1):
        context = browser.new_context()
        page = context.new_page()
        started = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.locator("body[data-ready]").wait_for(state="attached")
        seconds.append(time.perf_counter() - started)
        context.close()
    counted = seconds[1:]
    return {name: round(of(counted), 3) for name, of in (("seconds", statistics.median), ("slowest", max))}


def pages(browser: Browser, site: Path, video: str, repeats: int) -> dict[str, Any]:
    named = {"overview": "index.html", "events": "events.html", "videos": "video.html"}
    named["one video"] = f"video.html#video={video}"
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    measured = {name: opened(browser, f"file://{site.resolve()}/{page}", repeats) for name, page in named.items()}
    return {"megabytes": round(size / 1e6, 1), "pages": measured}


def table() -> str:
    """Seconds to open each page."""
    rows = [["not measured yet", "", "", "", "", ""]]
    for result in results("site.json"):
        rows = [
            [
                site["what"],
                f"{site['megabytes']:,.1f} MB",
                *(f"{page['seconds']:.2f} s ({page['slowest']:.2f})" for page in site["pages"].values()),
            ]
            for site in result["sites"]
        ]
    return markdown(["site", "size", "overview", "events", "videos", "one video"], rows)


TABLES = {"site": table}


def require_browser_and(demo: Path) -> None:
    """End the process with code 2 if this machine has no Chromium, or `demo` holds no site."""
    if not (path := _chromium_path()) or not (demo / "index.html").is_file():
        what = f"no site in {demo} (make demo)" if path else "no Chromium on this machine"
        print(f"error: {what}", file=sys.stderr)
        raise SystemExit(2)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium_path(), args=arguments)
        yield browser
        browser.close()


def _chromium_path() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("demo/report"), help="the demo's site")
    parser.add_argument("--videos", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--keep", type=Path, help="folder for the made-up result and its site; kept, and used again as it is"
    )
    options = parser.parse_args()
    require_browser_and(options.demo)
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        prefix, site = folder / "scores" / f"bundle={BUNDLE}", folder / "site"
        if not prefix.is_dir():
            put_result(prefix, options.videos)
        if not (folder / "written.json").is_file():
            put_json(str(folder / "written.json"), written(prefix, site))
        told = read_json(str(folder / "written.json"))
        demo_video = next((options.demo / "data" / "videos").glob("*.js")).stem
        with chromium() as browser:
            sites = [
                {"what": "demo", **pages(browser, options.demo, demo_video, options.repeats)},
                {
                    "what": f"{told['videos']:,} videos, {told['events']:,} events",
                    **told,
                    **pages(browser, site, video_key(name_of(0)), options.repeats),
                },
            ]
            version = browser.version
    save("site", {"repeats": options.repeats, "chromium": version, "sites": sites})
    print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
