"""Feature `embedding`: what is in the box, as any image network sees it (an image encoder in ONNX, by URI)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from hf2vad.errors import ConfigError
from hf2vad.features.exemplars import ExemplarConfig, ExemplarFeature
from hf2vad.features.feature import CubeArrays, CubeSample, Need, Topic
from hf2vad.models.onnx import open_network, picture_size, read_file
from hf2vad.schema import F32, SIZE, U8
from hf2vad.settings import require

PICTURES = 32
"""Crops that a network which leaves their number open is given at once."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig(ExemplarConfig):
    """An image network, and exemplars of its answers."""

    model: str = ""
    """URI of an ONNX file: one float32 input (1 or open, 3, H, W), RGB, of which the first output is the embedding."""

    model_sha256: str = ""
    """SHA-256 of the model file in hex. If empty, set when the feature is fitted."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Taken off red, green and blue in [0, 1]; ImageNet's by default."""

    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """Divisor of each colour channel after the mean is subtracted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("mean", "std"):
            require(len(getattr(self, name)) == 3, f"embedding.{name} must be three numbers, got {getattr(self, name)}")
        require(min(self.std) > 0, f"embedding.std must be positive, got {self.std}")


class Embedding(ExemplarFeature[EmbeddingConfig]):
    """Distance of the last crop's embedding, of length 1, to the nearest exemplar's; 0 without a network."""

    name = "embedding"
    word = "look"
    topic: ClassVar[Topic] = "looks"
    says = "looks unusual"
    needs: ClassVar[frozenset[Need]] = frozenset({"pixels"})
    Settings = EmbeddingConfig

    @classmethod
    def check(cls, settings: EmbeddingConfig) -> None:
        if not settings.model:
            raise ConfigError("fusion.embedding needs embedding.model, an ONNX file's URI")

    def prepared(self, sample: CubeSample) -> Self:
        _, digest = read_file(self.settings.model, self.settings.model_sha256, name="embedding.model")
        return type(self)(replace(self.settings, model_sha256=digest), perspective=sample.perspective)

    def fit(self, sample: CubeSample) -> Self:
        return super().fit(sample) if self.settings.model else self

    def measure(self, cubes: CubeArrays) -> F32:
        return super().measure(cubes) if self.fitted else np.zeros(len(cubes), np.float32)

    def vectors(self, cubes: CubeArrays) -> F32:
        encoder = _encoder(self.settings.model, self.settings.model_sha256)
        crops = cubes.pixels[:, -1]
        step = PICTURES if encoder.is_open else 1
        found = [
            encoder.answers(crops[start : start + step], self.settings) for start in range(0, max(1, len(crops)), step)
        ]
        values = np.concatenate(found)
        return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12), np.float32)


class _Encoder:
    """A network that is ready to be asked."""

    def __init__(self, uri: str, sha256: str) -> None:
        name = f"embedding.model {uri}"
        self._session = open_network(read_file(uri, sha256, name="embedding.model")[0], 1, name=name)
        inputs = self._session.get_inputs()
        size = picture_size(inputs[0]) if len(inputs) == 1 else None
        if size is None:
            given = ", ".join(f"{each.type} {each.shape}" for each in inputs)
            raise ConfigError(f"{name}: needs one float32 input of fixed size (1, 3, H, W), got {given}")
        self._input, self._size = inputs[0].name, size
        self.is_open = not isinstance(inputs[0].shape[0], int)
        self._output = self._session.get_outputs()[0].name

    def answers(self, crops: U8, settings: EmbeddingConfig) -> F32:
        """(B, D) for (B, 32, 32, 3) BGR crops."""
        width, height = self._size
        rgb = crops[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
        pictures = enlarging(height) @ rgb @ enlarging(width).T
        mean, std = (np.array(own, np.float32)[:, None, None] for own in (settings.mean, settings.std))
        given = np.ascontiguousarray((pictures - mean) / std)
        if not len(crops):
            given = np.zeros((1, *given.shape[1:]), np.float32)
        answer: Any = self._session.run([self._output], {self._input: given})[0]
        return np.asarray(answer, np.float32).reshape(len(given), -1)[: len(crops)]


def enlarging(side: int) -> F32:
    """(side, 32) weights that scale a crop's rows or columns to `side` pixels, linearly between their centres."""
    centre = np.clip((np.arange(side) + 0.5) * SIZE / side - 0.5, 0, SIZE - 1)
    return np.asarray(np.maximum(1 - np.abs(centre[:, None] - np.arange(SIZE)), 0), np.float32)


@lru_cache(maxsize=2)
def _encoder(uri: str, sha256: str) -> _Encoder:
    """Kept in the process: a feature is made anew for each camera, and its network is not."""
    return _Encoder(uri, sha256)
