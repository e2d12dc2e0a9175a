"""Find the moments worth watching: learn from the older part of each camera, score the rest, make the site.

Example:
    hf2vad run ~/videos
    hf2vad run front.mp4 yard.mp4 --out found
    hf2vad run s3://cameras/2026 --out s3://vad/found
    hf2vad run --out found                 # again: score what is new since then

No other option is needed. Cameras are read from the names that usual recorders give (Frigate, Reolink, …). Otherwise
each folder is a camera, and so is a video outside of folders. With four or more videos of a camera, the older half (by
name) is learned from and the newer half is scored. Otherwise the first half of each video is learned from and the
second half is scored. <out>/index.html is the site, and <out>/hf2vad.toml holds the settings that were used.

Run it again to resume where it left off, or to score what is new. Exit code: 0 done, 2 usage, 3 some videos failed, 143
stopped by SIGTERM.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

import tyro

from hf2vad.archive.settings import LimitsConfig
from hf2vad.cluster.settings import RayConfig
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK, Job
from hf2vad.errors import ConfigError, NotFoundError
from hf2vad.presets import PresetName
from hf2vad.settings import from_dict, require, require_rate

if TYPE_CHECKING:
    from hf2vad.archive.archive_refs import ArchiveRef
    from hf2vad.archive.catalog import Video
    from hf2vad.archive.parts import Parts
    from hf2vad.archive.passed import PassedOver
    from hf2vad.archive.zone_map import Zones
    from hf2vad.jobs.run_steps import Found
    from hf2vad.report.site.night import Site
    from hf2vad.runs.plan import RunPlan

LITTLE_S = 600.0
"""Footage to learn from, in seconds, below which the result is called a preview."""
KEPT = ("paths", "learn", "preset", "image_fps")
"""Settings that a result has for good."""


@dataclass(frozen=True, kw_only=True)
class RunJob:
    """Settings of `hf2vad run`."""

    paths: tyro.conf.Positional[tuple[str, ...]] = ()
    """Videos, folders of videos, or s3://bucket/prefix. None: those of the last run with this --out."""

    out: str = "found"
    """Folder or s3://bucket/prefix of the result; open its index.html."""

    learn: float = 50.0
    """Share of each camera's footage to learn from, in percent."""

    preset: PresetName = "features"
    """Features of the score. `features` needs no network, so it trains in seconds."""

    image_fps: float = 0.0
    """Frames a second of folders of images. 0: nobody knows; then times count 25 a second, and smoothing counts
    frames."""

    bundle: str = ""
    """Score with this bundle, such as one that `hf2vad teach` has made of the result's own, and learn nothing. Later
    runs with this --out keep to it."""

    zones: str = ""
    """Zones of cameras to ignore or to watch alone: a file, or another review site. Later runs with this --out keep to
    it. Empty: those that were drawn in the site of this result."""

    limits: LimitsConfig = field(default_factory=LimitsConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    def __post_init__(self) -> None:
        require(0 < self.learn < 100, f"--learn must lie between 0 and 100 percent, got {self.learn}")
        require_rate("--image-fps", self.image_fps)


def run_job(job: RunJob) -> int:
    """Learn, score, and make the site; what an earlier run has finished is not done again. Returns the exit code."""
    print("Starting …", flush=True)
    from hf2vad.archive.archive_refs import named_sources
    from hf2vad.archive.passed import PassedOver
    from hf2vad.bundle.settings import load_bundle_settings
    from hf2vad.jobs.extract import ExtractJob
    from hf2vad.runs.plan import planned
    from hf2vad.storage import exists, join, require_writable

    job = _with_last_paths(_absolute(job))
    sources = named_sources(job.paths)
    if job.bundle:
        load_bundle_settings(job.bundle)  # one that cannot be used is not noted for later runs
    zones = _zones(job, sources)
    passed = PassedOver()
    videos = _listed(sources, passed, job.out)
    parts = _parts(job, videos)
    learns = not job.bundle and not exists(join(job.out, "bundle", "bundle.json"))
    learn, most = job.learn / 100, ExtractJob.max_cubes
    plan = planned(videos, parts, learn, job.limits, image_fps=job.image_fps, most=most, learns=learns)
    for line in (*plan.lines(passed), *([] if learns else _pooled(job, plan))):
        print(line, flush=True)
    if zones.cameras:
        print(f"zones: {', '.join(zones.cameras)}", flush=True)
    from hf2vad.cluster.dispatch import open_cluster  # a mistake in the paths does not wait for these
    from hf2vad.jobs.run_steps import Steps

    require_writable(job.out)
    _put_choices(job, parts)
    with open_cluster(job.ray):
        steps = Steps(job, sources, videos, parts, plan.shares, zones)
        steps.extract()
        steps.train()
        found = steps.score()
        site = steps.show(_notice(plan.learned.seconds, below=found.below))
    _print_end(job, found, site, plan)
    return EXIT_FAILURES if site.failures or EXIT_FAILURES in steps.codes else EXIT_OK


def _pooled(job: RunJob, plan: RunPlan) -> Iterator[str]:
    """A line for the first camera that names give and the bundle, made by an earlier run, has not learnt apart."""
    from hf2vad.bundle.settings import load_bundle_settings
    from hf2vad.storage import join

    bundle = load_bundle_settings(job.bundle or join(job.out, "bundle"))
    cameras = chain.from_iterable(plan.recorders.names.values())
    yield from islice(filter(None, map(bundle.pooled_words, cameras)), 1)


def _absolute(job: RunJob) -> RunJob:
    """`job` with places that mean the same in every process."""
    from hf2vad.storage import absolute

    out, *paths = (absolute(place) for place in (job.out, *job.paths))
    bundle, zones = absolute(job.bundle), absolute(job.zones)
    return replace(job, out=out, paths=tuple(dict.fromkeys(paths)), bundle=bundle, zones=zones)


def _with_last_paths(job: RunJob) -> RunJob:
    """`job` with what the last run chose, where no path is given."""
    import tomllib

    from hf2vad.storage import join, read_bytes

    where = join(job.out, "hf2vad.toml")
    try:
        last = tomllib.loads(read_bytes(where).decode())
    except NotFoundError:
        return job
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: {error}; mend it, or choose another --out") from None
    kept = from_dict(RunJob, {"out": job.out, **last}, where=where)
    default = RunJob()
    changed = [name for name in KEPT if getattr(job, name) not in (getattr(default, name), getattr(kept, name))]
    if changed:
        raise ConfigError(
            f"{job.out} is the result of {' '.join(kept.paths)} with --learn {kept.learn:g} --preset {kept.preset}; "
            f"choose another --out, or leave {', '.join(changed)} out to score what is new there"
        )
    chosen = {name: getattr(kept, name) for name in KEPT}
    return replace(job, **chosen, bundle=job.bundle or kept.bundle, zones=job.zones or kept.zones)


def _put_choices(job: RunJob, parts: Parts) -> None:
    from hf2vad.storage import join, put_bytes, put_json

    lines = ["# What `hf2vad run` chose; run it again with this --out to score what is new."]
    lines += [f"{name} = {json.dumps(value)}" for name in (*KEPT, "bundle", "zones") if (value := getattr(job, name))]
    put_bytes(join(job.out, "hf2vad.toml"), ("\n".join(lines) + "\n").encode())
    put_json(join(job.out, "learned.json"), parts.to_json())


def _listed(sources: Sequence[ArchiveRef], passed: PassedOver, out: str) -> list[Video]:
    """The videos of all `sources`, but for those in the result's own folder.

    Raises ConfigError where there is none, NotFoundError for a path that leads nowhere.
    """
    from hf2vad.archive.catalog import catalogue, no_video

    videos = [
        replace(video, id=source.below + video.id, source=source.name)
        for source in sources
        for video in catalogue(source.uri, passed=passed)
        if not video.uri.startswith(out.rstrip("/") + "/")
    ]
    if not videos:
        raise no_video(", ".join(source.uri for source in sources), passed)
    return videos


def _zones(job: RunJob, sources: Sequence[ArchiveRef]) -> Zones:
    """The zones that are named, or drawn in the site of this result; a camera of the latter may be gone by now."""
    from hf2vad.review.zone_store import zones_of_site
    from hf2vad.walk.run import zones_of

    return zones_of(job.zones, sources) if job.zones else zones_of_site(job.out)


def _parts(job: RunJob, videos: Sequence[Video]) -> Parts:
    """Parts that an earlier run learned from, or a new split."""
    from hf2vad.archive.parts import Parts
    from hf2vad.storage import exists, join, read_json

    if exists(where := join(job.out, "learned.json")):
        return Parts.from_json(read_json(where))
    return Parts.of(videos, job.learn / 100)


def _notice(learned_s: float, *, below: bool) -> str:
    """Banner of the site."""
    from hf2vad.runs.plan import length

    said = []
    if learned_s < LITTLE_S:
        said.append(
            f"Learned from {length(learned_s)} of footage: a preview. More footage makes the score more certain."
        )
    if below:
        said.append("Nothing reached the alarm threshold; these are the most unusual moments below it.")
    return " ".join(said)


def _print_end(job: RunJob, found: Found, site: Site, plan: RunPlan) -> None:
    """Print the six lines of the result."""
    from hf2vad.plurals import count_words
    from hf2vad.runs.plan import length
    from hf2vad.summary import print_lines, within_line

    moments = count_words(0 if found.below else found.count, "unusual moment")
    below = "; the highest below the alarm threshold:" if found.below else ""
    failures = f"{count_words(site.failures, 'failure')} (see scores/)" if site.failures else "No failures"
    lines = [
        f"{moments} in {length(plan.scored.seconds)} of {count_words(plan.cameras, 'camera')}{below}",
        *(within_line(f"  {line}") for line in found.top),
        f"{failures}; scores/, bundle/ and hf2vad.toml are in {job.out}",
    ]
    print_lines(lines, last=f"Open: {site.index}")


JOB = Job(
    "run", RunJob, run_job, __doc__, shown=("paths", "out", "learn", "preset", "zones", "ray.address"), reads="paths"
)
