"""Teach a bundle what people have called normal, so that it and its like are no event any more.

Example:
    hf2vad teach --bundle demo/bundle --reviews demo/report --archive demo/archive/test --out demo/taught
    hf2vad backfill --archive demo/archive/test --bundle demo/taught --out nightly --min-age-minutes 0
    hf2vad run --bundle found/taught --out found

Cubes of the marked events are cut again from the archive. What is like an event called normal, and not more like one
called interesting, counts as usual from then on; all else scores as before. The new bundle says what it was taught. It
may be taught again, with all reviews or with new ones: the last mark of an event counts.

Exit code: 0 done, 2 usage, 3 some marked events could not be used (it says which, and why).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf2vad.archive.settings import LimitsConfig, ZoneSettings
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK, Job
from hf2vad.errors import ConfigError
from hf2vad.plurals import count_words
from hf2vad.settings import require, require_rate

if TYPE_CHECKING:
    from hf2vad.bundle.bundle import Bundle
    from hf2vad.engines.eager import Engine
    from hf2vad.review.lessons import Teacher
    from hf2vad.review.marks import Mark


BATCH = 64
"""Cubes that a network works on at once."""


@dataclass(frozen=True, kw_only=True)
class TeachJob(ZoneSettings):
    """Settings of `hf2vad teach`."""

    bundle: str
    """The bundle that is taught; it stays as it is."""

    reviews: tuple[str, ...]
    """Review sites, their reviews/ folders, or files of marks that pages have saved."""

    archive: tuple[str, ...]
    """The videos that were marked, as scoring or backfill took them: of several archives each as name=uri."""

    out: str
    """Where the taught bundle goes."""

    boxes: str = ""
    """Parquet file of boxes, for a bundle that was trained on such boxes."""

    image_fps: float = 0.0
    """Frames a second of folders of images, as they were scored with."""

    device: str = "cpu"
    """Device of the network, if the bundle has one: `cpu`, `cuda`, `auto`."""

    threads: int = 1
    """Processor threads of a detector's or the bundle's network."""

    limits: LimitsConfig = field(default_factory=LimitsConfig)

    def __post_init__(self) -> None:
        require(self.threads > 0, f"--threads must be positive, got {self.threads}")
        require_rate("--image-fps", self.image_fps)


def teach_job(job: TeachJob) -> int:
    """Put the taught bundle and print what it was taught; returns the exit code."""
    from hf2vad.bundle.bundle import load_bundle, save_bundle
    from hf2vad.fitting.teach import comparing, teach
    from hf2vad.review.lessons import print_lessons
    from hf2vad.review.store import read_reviews
    from hf2vad.storage import absolute

    if absolute(job.out) == absolute(job.bundle):
        raise ConfigError("--out must be another place than --bundle")
    bundle = load_bundle(absolute(job.bundle))
    comparing(bundle)
    marks = read_reviews([absolute(uri) for uri in job.reviews])
    wanted = [mark for mark in marks if mark.verdict in ("normal", "interesting")]
    missing: list[tuple[Mark, str]] = []
    lessons = list(_teacher(job, bundle).lessons(wanted, lambda mark, why: missing.append((mark, why))))
    if wanted and not lessons:
        raise ConfigError(
            f"none of {count_words(len(wanted), 'marked event')} could be used; the first: {missing[0][1]}"
        )
    forget = [mark.event for mark in marks if mark.verdict == "reviewed"]
    taught = save_bundle(absolute(job.out), teach(bundle, lessons, forget=forget))
    last = f"Bundle {bundle.id}, taught, is bundle {taught.id} in {job.out}; scoring takes it as --bundle"
    print_lessons(lessons, taught, missing, last=last)
    return EXIT_FAILURES if missing else EXIT_OK


def _teacher(job: TeachJob, bundle: Bundle) -> Teacher:
    from hf2vad.archive.archive_refs import parse_archives
    from hf2vad.cubes.extract import Extractor
    from hf2vad.features.registry import networks_for
    from hf2vad.review.lessons import Teacher
    from hf2vad.scoring.feature_set import FeatureSet
    from hf2vad.walk.run import check_boxes, zones_of

    sources = parse_archives(job.archive)
    extraction = bundle.settings.extraction
    check_boxes(job.boxes, extraction.detector)
    weights = list(bundle.settings.fusion.weights)
    engine = _engine(job, bundle) if networks_for(weights) else None
    return Teacher(
        bundle=bundle,
        features=FeatureSet.of(bundle, weights, engine, BATCH),
        extractor=Extractor(extraction, job.boxes, threads=job.threads),
        sources=sources,
        image_fps=job.image_fps,
        limits=job.limits,
        zones=zones_of(job.zones, sources),
    )


def _engine(job: TeachJob, bundle: Bundle) -> Engine:
    """Engine for the networks that the bundle's score needs."""
    import torch

    from hf2vad.engines.make import make_engine
    from hf2vad.engines.settings import EngineSpec
    from hf2vad.features.registry import networks_for
    from hf2vad.models.device import choose_device

    torch.set_num_threads(job.threads)
    spec = EngineSpec(name="eager", networks=networks_for(bundle.settings.fusion.weights))
    return make_engine(spec, bundle, device=choose_device(job.device), batch=BATCH)


JOB = Job("teach", TeachJob, teach_job, __doc__, shown=("boxes", "image-fps", "zones"))
