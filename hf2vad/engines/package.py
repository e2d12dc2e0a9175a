"""Built engines as files: `<folder>/<engine>-<key>.json` says what one is, and which file beside it holds it.

A package is executable code. It is used only when its SHA-256 is the one in its JSON, which shows that both came whole
from one build; who may write to the folder decides whose code runs (docs/adr/0008).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf2vad.engines.settings import EngineName, EngineSpec
from hf2vad.engines.target import Target, engine_key
from hf2vad.errors import EngineError
from hf2vad.storage import atomic_writer, exists, join, open_read, put_json, read_json

SUFFIX: dict[EngineName, str] = {"aot": ".pt2", "tensorrt": ".engine"}
CHUNK = 2**22
"""Bytes copied at once."""


class Package:
    """A built engine that is kept in a folder at a URI, or is not there yet."""

    def __init__(self, spec: EngineSpec, bundle_id: str, target: Target, batch: int) -> None:
        self.spec, self.bundle_id, self.target, self.batch = spec, bundle_id, target, batch
        self.key = engine_key(spec, bundle_id, target, batch=batch)
        self.about = join(spec.cache, f"{spec.name}-{self.key}.json")

    def exists(self) -> bool:
        """True if the package is complete. Its JSON is written last."""
        return exists(self.about)

    def put(self, path: Path, facts: dict[str, Any]) -> dict[str, Any]:
        """Put what was built at `path`; returns what its JSON says. `facts`: more to say.

        The file is named by its content, so that of several builds at once each JSON names its own.
        """
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            source.seek(0)
            file = f"{self.spec.name}-{self.key}-{digest[:8]}{SUFFIX[self.spec.name]}"
            with atomic_writer(join(self.spec.cache, file)) as target:
                shutil.copyfileobj(source, target, CHUNK)
        about = {
            "engine": self.spec.name,
            "precision": self.spec.precision,
            "networks": list(self.spec.networks),
            "batch": self.batch,
            "bundle": self.bundle_id,
            "key": self.key,
            "file": file,
            "sha256": digest,
            "bytes": path.stat().st_size,
            "place": json.loads(json.dumps(asdict(self.target))),
            **facts,
        }
        put_json(self.about, about)
        return about

    def fetch(self, folder: Path) -> Path:
        """A verified copy in a local `folder` that is this process's own. Raises EngineError for a changed one."""
        about = read_json(self.about)
        file = str(about.get("file"))
        uri, local = join(self.spec.cache, file), folder / f"engine{SUFFIX[self.spec.name]}"
        if not file.startswith(f"{self.spec.name}-{self.key}-") or "/" in file:
            raise EngineError(f"{self.about}: names another engine's file, {file!r}; build it again")
        with open_read(uri) as source, local.open("w+b") as target:
            shutil.copyfileobj(source, target, CHUNK)
            target.seek(0)
            digest = hashlib.file_digest(target, "sha256").hexdigest()
        if digest != about.get("sha256"):
            raise EngineError(f"{uri}: not what {self.about} was written for; build it again (hf2vad build-engine)")
        return local
