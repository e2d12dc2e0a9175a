"""The cameras of a table, each of which is learnt apart as far as it has footage (features by surprise)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf2vad.archive.pattern import PathPattern
from hf2vad.archive.place import camera_of
from hf2vad.archive.sample import places
from hf2vad.features.feature import CameraShare
from hf2vad.features.tail import own_share
from hf2vad.training.data import StcFile, StcTable

MOST_CAMERAS = 128
"""Cameras that are learnt apart, those with the most cubes: 4 KB each of the settings that travel with every call."""
OWN_EXEMPLARS = 512
"""Exemplars of a camera's own, at most: a cube is compared with them and with those of all cameras."""
OWN_BYTES = 12 * 2**20
"""Largest total size of single cameras' exemplars in a bundle, in bytes."""


@dataclass(frozen=True)
class Cameras:
    """Camera of each video of a table."""

    pattern: PathPattern = field(default_factory=PathPattern)
    """Pattern that names the camera of a path. If empty, the path does as place.py reads it."""
    apart: Mapping[str, Sequence[StcFile]] = field(default_factory=dict)
    """Files of each camera that is learnt apart, by name; none where all footage is of one camera."""
    pooled: Mapping[str, int] = field(default_factory=dict)
    """Cubes of the other cameras, by name: what is normal for all is normal for them."""

    @classmethod
    def of(cls, files: Sequence[StcFile], pattern: str = "", *, one: bool = False) -> Cameras:
        """The cameras of a table with these files; one: all footage is of one camera."""
        found = cls(PathPattern.of_camera(pattern))
        by_name: dict[str, list[StcFile]] = {}
        for file in files:
            if (name := found.of_path(file.path)) and len(file):
                by_name.setdefault(name, []).append(file)
        if one or len(by_name) < 2:
            return found
        most = sorted(by_name, key=lambda name: (-_cubes(by_name[name]), name))
        apart = {name: by_name[name] for name in sorted(most[:MOST_CAMERAS])}
        return cls(found.pattern, apart, {name: _cubes(by_name[name]) for name in most[MOST_CAMERAS:]})

    def of_path(self, path: str) -> str:
        """The camera of a video; empty where the pattern does not say one."""
        return camera_of(path, self.pattern)

    def apart_of(self, path: str) -> str:
        """The camera of a video where it is learnt apart; else empty."""
        name = self.of_path(path)
        return name if name in self.apart else ""

    def share(self, name: str, numbers: int) -> CameraShare:
        """Degree to which features may learn a camera apart. `numbers`: how many values one exemplar of each feature
        holds."""
        most = OWN_BYTES // (4 * max(1, numbers) * len(self.apart))
        return CameraShare(weight=own_share(_cubes(self.apart[name])), exemplars=max(2, min(OWN_EXEMPLARS, most)))

    def described(self) -> list[dict[str, Any]]:
        """A row a camera: its training cubes, and the weight of its own footage in what is normal for it, 0 where that
        is what is normal for all."""
        rows = [(name, _cubes(files), own_share(_cubes(files))) for name, files in self.apart.items()]
        rows += [(name, cubes, 0.0) for name, cubes in self.pooled.items()]
        return [{"camera": name, "cubes": cubes, "own": round(own, 4)} for name, cubes, own in sorted(rows)]


def sampled(table: StcTable, most: int, camera_of: Callable[[str], str]) -> StcTable:
    """At most `most` cubes of each camera, in whole files, spread evenly over its videos and their time; 0: all.

    camera_of: the camera of a video's path. A camera keeps a file, however large.
    """
    by_camera: dict[str, list[StcFile]] = {}
    for file in sorted(table.files, key=lambda file: (file.video, file.start)):
        by_camera.setdefault(camera_of(file.path), []).append(file)
    kept = {file.uri for files in by_camera.values() for file in (_spread(files, most) if most else files)}
    return table if len(kept) == len(table.files) else table.only([file for file in table.files if file.uri in kept])


def _spread(files: Sequence[StcFile], most: int) -> Iterator[StcFile]:
    if _cubes(files) <= most:
        yield from files
        return
    # Places of the golden section meet each of n files after less than 3 n of them.
    order = dict.fromkeys(int(place * len(files)) for place in places(3 * len(files)))
    taken = 0
    for number in order:
        taken += _cubes([files[number]])
        if taken > most and number != next(iter(order)):
            return
        yield files[number]


def _cubes(files: Sequence[StcFile]) -> int:
    return sum(map(len, files))
