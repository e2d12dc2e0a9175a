"""The split of an archive into footage to learn from and footage to score, when the user gives none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hf2vad.archive.catalog import Video
from hf2vad.archive.place import camera_of

ENOUGH = 4
"""Videos of a camera from which on whole videos are learned from, the older ones."""


@dataclass(frozen=True)
class Parts:
    """Videos by what becomes of them. Newer ones, which are none of these, are scored whole."""

    older: frozenset[str] = frozenset()
    """Ids of videos that are learned from as a whole, and not scored."""
    halved: frozenset[str] = frozenset()
    """Ids of videos whose beginning is learned from, and whose rest is scored."""

    @classmethod
    def of(cls, videos: Iterable[Video], share: float) -> Parts:
        """The first `share` (0 … 1) of each camera, by the order of names, in which recorders put time.

        Of a camera with fewer than ENOUGH videos it is the first part of each video.
        """
        older: list[str] = []
        halved: list[str] = []
        for ids in _by_camera(videos).values():
            if len(ids) < ENOUGH:
                halved += ids
            else:
                older += ids[: min(max(1, round(share * len(ids))), len(ids) - 1)]
        return cls(frozenset(older), frozenset(halved))

    def learned_whole(self, videos: Sequence[Video]) -> list[Video]:
        """Videos of `videos` that are learned from from beginning to end."""
        return [video for video in videos if video.id in self.older]

    def shared(self, videos: Sequence[Video]) -> list[Video]:
        """Videos whose first part is learned from and whose rest is scored."""
        return [video for video in videos if video.id in self.halved]

    def scored_whole(self, videos: Sequence[Video]) -> list[Video]:
        """Videos that are scored from beginning to end."""
        return [video for video in videos if video.id not in self.older and video.id not in self.halved]

    def to_json(self) -> dict[str, list[str]]:
        """Plain sorted values for a JSON file."""
        return {"older": sorted(self.older), "halved": sorted(self.halved)}

    @classmethod
    def from_json(cls, values: Mapping[str, list[str]]) -> Parts:
        """Parts from the values that `to_json` returned."""
        return cls(frozenset(values["older"]), frozenset(values["halved"]))


def archive_camera(video: Video) -> str:
    """Archive and camera of a video, where no pattern says one."""
    return f"{video.source}/{camera_of(video.path)}"


def _by_camera(videos: Iterable[Video]) -> dict[str, list[str]]:
    cameras: dict[str, list[str]] = {}
    for video in sorted(videos, key=lambda video: video.id):
        cameras.setdefault(archive_camera(video), []).append(video.id)
    return cameras
