"""Zones by camera: what people drew on the review site, as a file that jobs read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.archive.catalog import EVERYTHING, Video, catalogue
from hf2vad.archive.path_filter import PathFilter
from hf2vad.archive.pattern import PathPattern
from hf2vad.archive.place import place_of
from hf2vad.archive.zones import NO_ZONES, CameraZones
from hf2vad.errors import ConfigError
from hf2vad.hashes import hash_of

EVERY_CAMERA = "*"
"""Name of the zones of all cameras, for archives in which every file counts as a camera."""
NAMED = 12
"""Cameras of an archive that an error names."""


@dataclass(frozen=True)
class Zones:
    """Zones of some cameras of an archive, which are named as the review site names them."""

    pattern: str = ""
    """Pattern of video paths by which cameras are named; without one, what usual recorders write, else the first
    folder, or the file."""
    cameras: Mapping[str, CameraZones] = field(default_factory=dict)
    """By name, below the archive's name where it has one. `*`: of every camera."""

    @classmethod
    def parse(cls, data: bytes, *, where: str) -> Self:
        """Zones from the content of a file. Raises ConfigError, which names the zone and point."""
        try:
            values = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: not valid JSON: {error}") from None
        return cls.from_json(values, where=where)

    @classmethod
    def from_json(cls, values: object, *, where: str) -> Self:
        """Zones from `{"hf2vad.zones": 1, "pattern": "…", "cameras": {"gate": [zone, …]}}`. Raises ConfigError."""
        if not isinstance(values, Mapping) or values.get("hf2vad.zones") != 1:
            raise ConfigError(f"{where}: not a file of zones (hf2vad.zones 1); hf2vad review and its pages save one")
        pattern, cameras = values.get("pattern", ""), values.get("cameras")
        if not isinstance(pattern, str) or not isinstance(cameras, Mapping):
            raise ConfigError(f"{where}: pattern must be a text, and cameras an object of lists of zones by camera")
        PathPattern(pattern)
        parsed = {str(name): CameraZones.parse(zones, where=f"{where}: {name}") for name, zones in cameras.items()}
        return cls(pattern, {name: zones for name, zones in sorted(parsed.items()) if zones.zones})

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        cameras = {name: zones.to_json() for name, zones in self.cameras.items()}
        return {"hf2vad.zones": 1, "pattern": self.pattern, "cameras": cameras}

    @property
    def key(self) -> str:
        """Hash of all zones; empty without any."""
        return hash_of(self.to_json()) if self.cameras else ""

    def of(self, video: Video) -> CameraZones:
        """The zones of a video's camera, and those of every camera."""
        if not self.cameras:
            return NO_ZONES
        own = place_of(video.path, PathPattern(self.pattern), video.source).camera
        names = (own, EVERY_CAMERA)
        return CameraZones(tuple(sorted({zone for name in names for zone in self.cameras.get(name, NO_ZONES).zones})))

    def check_cameras(self, sources: Iterable[ArchiveRef]) -> None:
        """Raise ConfigError for zones of a camera that none of the archives has; it names those that are there.

        The archives are listed until each camera with zones has shown a video.
        """
        sources, missing = list(sources), set(self.cameras) - {EVERY_CAMERA}
        for name in self._cameras_of(sources, sorted(missing)) if missing else ():
            missing.discard(name)
            if not missing:
                return
        there = sorted(set(self._cameras_of(sources, ()))) if missing else []
        if missing := missing - set(there):
            more = f" and {len(there) - NAMED:,} more" if len(there) > NAMED else ""
            named = ", ".join(there[:NAMED]) or "no videos"
            raise ConfigError(
                f"--zones: {', '.join(sorted(missing))}: no such camera in {', '.join(s.uri for s in sources)}; there "
                f"are {named}{more}: rename the zones' camera or remove it"
            )

    def _cameras_of(self, sources: Iterable[ArchiveRef], only: Sequence[str]) -> Iterator[str]:
        """Camera of each video; where the pattern says cameras, of folders of the cameras `only`, if any."""
        for source in sources:
            own = tuple(name.removeprefix(source.below) for name in only)
            named = own and "camera" in PathPattern(self.pattern).names
            scope = PathFilter(self.pattern, own) if named else EVERYTHING
            for video in catalogue(source.uri, scope=scope):
                yield place_of(video.id, PathPattern(self.pattern), source.name).camera


WHOLE_PICTURES = Zones()
"""No zones."""
