"""Zones in storage: one small JSON file a version, of which the last counts; safe for any number of servers at once.

`<reviews>/zones/<number>.json` appears whole, by a put that fails where the number is taken, and never changes. Whoever
changes zones reads the last version, changes it and puts the next one; of two who do so at once, one is told that the
number is taken, and changes what the other has put. Earlier versions stay: they say what the zones were before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from hf2vad.archive.pattern import PathPattern
from hf2vad.archive.zone_map import WHOLE_PICTURES, Zones
from hf2vad.archive.zones import CameraZones
from hf2vad.errors import ConfigError, NotFoundError
from hf2vad.review.marks import is_valid
from hf2vad.review.store import FOLDER as REVIEWS
from hf2vad.storage import find_file, join, list_dir, put_if_absent, read_bytes

FOLDER = "zones"
"""Where a site's zones are, below the folder of its marks."""
LONGEST = 1024
"""Characters of a camera's name or a pattern, at most."""
_VERSION = re.compile(r"(\d{8})\.json")


@dataclass(frozen=True)
class ZoneChange:
    """Zones that somebody adds and removes at one camera."""

    pattern: str
    """Pattern by which the site names cameras."""
    camera: str
    add: CameraZones
    remove: CameraZones

    @classmethod
    def parse(cls, values: object, *, where: str) -> Self:
        """A change from `{"hf2vad.zones": 1, "pattern": "", "camera": "gate", "add": […], "remove": […]}`.

        Raises ConfigError for anything that a page does not send.
        """
        if not isinstance(values, Mapping) or values.get("hf2vad.zones") != 1:
            raise ConfigError(f"{where}: not a change of zones (hf2vad.zones 1)")
        pattern, camera = values.get("pattern", ""), values.get("camera")
        if not isinstance(pattern, str) or not isinstance(camera, str) or not camera:
            raise ConfigError(f"{where}: pattern and camera must be texts, got {pattern!r:.80} and {camera!r:.80}")
        if max(len(pattern), len(camera)) > LONGEST or not is_valid(pattern + camera):
            raise ConfigError(f"{where}: pattern and camera must be valid texts of at most {LONGEST} characters")
        PathPattern(pattern)
        add, remove = (CameraZones.parse(values.get(what, []), where=f"{where}: {what}") for what in ("add", "remove"))
        return cls(pattern, camera, add, remove)

    def applied_to(self, zones: Zones) -> Zones:
        """`zones` with this change; the same zones where it was made before.

        Raises ConfigError where those there are of cameras that another pattern names, or become too many.
        """
        if zones.cameras and zones.pattern != self.pattern:
            raise ConfigError(
                f"the zones here are of cameras named by pattern {zones.pattern!r}, this site names them by "
                f"{self.pattern!r}; make the site with that --pattern, or remove the zones there"
            )
        here = zones.cameras.get(self.camera, CameraZones())
        changed = [zone.to_json() for zone in ({*here.zones} - {*self.remove.zones}) | {*self.add.zones}]
        cameras = {**zones.cameras, self.camera: CameraZones.parse(changed, where=self.camera)}
        return Zones(self.pattern, {name: cameras[name] for name in sorted(cameras) if cameras[name].zones})


class ZoneStore:
    """The zones below a URI; may be used by several threads."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def zones(self) -> Zones:
        """The zones that count; none where nobody has drawn any."""
        return self._read(self.version())

    def version(self) -> int:
        """Number of the version that counts; 0 where there is none."""
        try:
            names = [_VERSION.fullmatch(entry.name) for entry in list_dir(self.uri) if not entry.is_dir]
        except NotFoundError:
            return 0
        return max((int(name[1]) for name in names if name), default=0)

    def change(self, change: ZoneChange) -> Zones:
        """Make a change; returns the zones with it, which everyone sees from then on.

        Raises ConfigError for a change that cannot be, StorageError, and then nothing is changed.
        """
        while True:
            number = self.version()
            before = self._read(number)
            after = change.applied_to(before)
            if after == before or put_if_absent(self._place(number + 1), _bytes(after)):
                return after

    def add_all(self, zones: Zones) -> None:
        """Add the zones of a file to those here. Raises what `change` does."""
        for camera, own in zones.cameras.items():
            self.change(ZoneChange(zones.pattern, camera, own, CameraZones()))

    def _read(self, number: int) -> Zones:
        if not number:
            return WHOLE_PICTURES
        where = self._place(number)
        return Zones.parse(read_bytes(where), where=where)

    def _place(self, number: int) -> str:
        return join(self.uri, f"{number:08d}.json")


def zones_of_site(site: str) -> Zones:
    """The zones that were drawn in a review site; none where nobody has drawn any."""
    return ZoneStore(join(site, REVIEWS, FOLDER)).zones()


def read_zones(uri: str) -> Zones:
    """The zones at a URI: a file, a review site, or the folder of its marks or zones; none for an empty URI.

    Raises ConfigError where there are none.
    """
    if not uri:
        return WHOLE_PICTURES
    if find_file(uri) is not None:
        return Zones.parse(read_bytes(uri), where=uri)
    for place in (uri, join(uri, FOLDER), join(uri, REVIEWS, FOLDER)):
        store = ZoneStore(place)
        if store.version():
            return store.zones()
    raise ConfigError(
        f"--zones {uri}: no zones there; give a review site in which zones were drawn, its reviews folder, or a file"
    )


def _bytes(zones: Zones) -> bytes:
    return (json.dumps(zones.to_json(), indent=2, ensure_ascii=False) + "\n").encode()
