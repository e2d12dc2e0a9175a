"""Pictures of digits: scikit-learn's, which ship with it, or MNIST's from its idx files."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from sklearn.datasets import load_digits

from hf2vad.errors import EvaluationError, NotFoundError, SchemaError
from hf2vad.schema import F32, F64, U8
from hf2vad.storage import find_file, join, read_bytes

NORMAL = 2
"""The digit that is learnt."""

SIZE = 32
"""Pixels of a side, as the networks take them."""

HELD_OUT = 1 / 3
"""Share of scikit-learn's 2s that are not learnt from. MNIST comes with test images of its own."""

_UNSIGNED_BYTE = 8
"""Type code of an idx file."""

Classes = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Digits:
    """What is learnt from, and what is tested on."""

    train: F32
    """(N, 32, 32) in [0, 1], ink is 1: pictures of `NORMAL`."""
    test: F32
    """(M, 32, 32): other pictures of it, and of all other digits."""
    classes: Classes
    """(M,): which digit each test picture shows."""

    @property
    def anomalous(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(M,): whether a test picture shows a digit that was not learnt."""
        return np.asarray(self.classes != NORMAL)


def read_digits(mnist: str, seed: int) -> Digits:
    """MNIST from its folder, as it is split; or, with an empty name, scikit-learn's digits, split by `seed`."""
    return _mnist(mnist) if mnist else _scikit(seed)


def _scikit(seed: int) -> Digits:
    found = load_digits()
    classes = found.target.astype(np.int64)
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(classes == NORMAL))
    held_out = round(HELD_OUT * len(normal))
    test = np.sort(np.concatenate([normal[:held_out], np.flatnonzero(classes != NORMAL)]))
    train, shown = found.images[normal[held_out:]], found.images[test]
    return Digits(_resized(train, white=16), _resized(shown, white=16), classes[test])


def _mnist(folder: str) -> Digits:
    """Raises NotFoundError for a file that is missing, SchemaError for one that is no idx file of images or labels, and
    EvaluationError where images and labels do not belong together."""
    train, train_classes = _labelled(folder, "train")
    test, classes = _labelled(folder, "t10k")
    normal = train[train_classes == NORMAL]
    if len(normal) < 2:
        raise EvaluationError(f"{folder}: {len(normal)} training images of {NORMAL}; at least 2 are needed")
    if (classes == NORMAL).all() or (classes != NORMAL).all():
        raise EvaluationError(f"{folder}: the t10k files must hold images of {NORMAL} and of other digits")
    return Digits(_resized(normal), _resized(test), classes)


def _labelled(folder: str, part: str) -> tuple[U8, Classes]:
    images = _idx(folder, f"{part}-images-idx3-ubyte", 3)
    labels = _idx(folder, f"{part}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise EvaluationError(f"{folder}: {len(images)} {part} images and {len(labels)} labels do not belong together")
    if labels.size and labels.max() > 9:
        raise SchemaError(f"{folder}: {part} labels must be digits 0 to 9, got {labels.max()}")
    return images, labels.astype(np.int64)


def _idx(folder: str, name: str, dimensions: int) -> U8:
    """An idx file of unsigned bytes, plain or gzipped: 0, 0, type, number of dimensions, each as 32 bits, values."""
    uri = next((at for ending in ("", ".gz") if find_file(at := join(folder, name + ending))), None)
    if uri is None:
        raise NotFoundError(f"{folder}: neither {name} nor {name}.gz is there")
    data = read_bytes(uri)
    if uri.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise SchemaError(f"{uri}: not a gzip file: {error}") from None
    start = 4 + 4 * dimensions
    if data[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]) or len(data) < start:
        raise SchemaError(f"{uri}: not an idx file of unsigned bytes in {dimensions} dimensions")
    shape = [int(size) for size in np.frombuffer(data, ">u4", dimensions, 4)]
    if len(data) != start + math.prod(shape) or not all(shape[1:]):
        sizes = " × ".join(map(str, shape))
        raise SchemaError(f"{uri}: holds {len(data) - start:,} bytes where its header says {sizes}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _resized(images: U8 | F64, *, white: int = 255) -> F32:
    """(N, 32, 32) in [0, 1] for at least one picture of any size, in which ink is `white`."""
    scaled = images.astype(np.float32) / np.float32(white)
    return np.stack([cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for image in scaled])
