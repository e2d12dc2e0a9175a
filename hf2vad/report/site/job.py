"""Settings of a review site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hf2vad.archive.archive_refs import ArchiveRef, parse_archives
from hf2vad.archive.path_filter import PathFilterSettings
from hf2vad.errors import ConfigError
from hf2vad.settings import require, require_rate
from hf2vad.storage import is_local


@dataclass(frozen=True, kw_only=True)
class ReportJob(PathFilterSettings):
    """Settings of hf2vad report."""

    scores: str
    """Output of `hf2vad score` or `hf2vad backfill`, or one bundle=<id> folder in it."""

    out: str
    """Folder or s3://bucket/prefix of the site; open its index.html."""

    archive: tuple[str, ...] = ()
    """The videos that were scored, for the player and the pictures, as scoring or backfill took them: of several
    archives each as name=uri. Empty: the site has neither."""

    bundle: str = ""
    """The bundle that scored them, for the reasons of each event and the page about the result; empty: neither."""

    labels: str = ""
    """Ground truth to show in the curves, as hf2vad evaluate takes it."""

    evaluation: str = ""
    """An evaluation.json of hf2vad evaluate, whose AUROC goes to the overview."""

    pattern: str = ""
    """Pattern of video paths, such as `{camera}/{date}/{time}.mp4`; also `{year}`, `{month}`, `{day}`, `{hour}`,
    `{minute}`, `{second}`. Without `{camera}` the first folder is the camera."""

    media: Literal["link", "copy", "transcode", "none"] = "link"
    """Source of the player. `link`: the archive's own files, if a browser can play them. `copy`: copies of them in the
    site. With both, other videos are transcoded to small H.264 files. `transcode`: all videos are."""

    media_url: str = ""
    """`link`: where a browser finds the archive, such as https://nas/cameras; of archives with names, each below its
    own. Empty: by its path from the site."""

    media_videos: Literal["events", "all"] = "all"
    """Videos that are copied or transcoded: all, so that you can check what was missed, or only those with an event."""

    longest: int = 640
    """Longer side of transcoded videos, in pixels."""

    image_fps: float = 0.0
    """Frames a second of folders of images, as they were scored with."""

    title: str = "Review"
    """Heading of the site."""

    notice: str = ""
    """Sentence at the head of every page: what whoever looks at the site must know."""

    threads: int = 4
    """Videos that are worked on at once."""

    def __post_init__(self) -> None:
        require(self.threads > 0, f"--threads must be positive, got {self.threads}")
        require(self.longest >= 16, f"--longest must be at least 16 pixels, got {self.longest}")
        require_rate("--image-fps", self.image_fps)
        _ = self.scope
        for source in self.sources:
            if self.media == "link" and not self.media_url and not _can_be_linked(source.uri, self.out):
                raise ConfigError(
                    f"--media link: pages in {self.out} cannot name files in {source.uri} by a path; "
                    "give --media-url, or --media copy, transcode or none"
                )

    @property
    def sources(self) -> tuple[ArchiveRef, ...]:
        """The archives that were scored. Raises ConfigError."""
        return parse_archives(tuple(filter(None, self.archive)))


def _can_be_linked(archive: str, out: str) -> bool:
    """True if a relative path leads from one to the other: both local, or in one bucket."""
    if is_local(archive) or is_local(out):
        return is_local(archive) and is_local(out)
    return archive.split("/")[:3] == out.split("/")[:3]
