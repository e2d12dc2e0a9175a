"""Networks small enough to be written by hand, as ONNX bytes (protobuf wire format): YOLOX-style, and DETR.

Every output number is `scale · pixel + bias` of one chosen input pixel, so that a test decides what is detected by the
image that it shows: enough to check letterboxing, channel order, decoding and suppression to the last digit.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FLOAT, INT64 = 1, 7
Raw = npt.NDArray[np.float32]


class PixelNetwork:
    """A network of input (B, 3, side, side) and `classes` classes; `cell` programs one of its output cells."""

    def __init__(self, side: int = 64, classes: int = 2) -> None:
        self.side = side
        levels = [side // stride for stride in (8, 16, 32)]
        self._starts = [0, levels[0] ** 2, levels[0] ** 2 + levels[1] ** 2]
        self._columns = levels
        shape = (sum(n * n for n in levels), 5 + classes)
        self.pixel = np.zeros(shape, np.int64)
        self.scale = np.zeros(shape, np.float32)
        self.bias = np.zeros(shape, np.float32)

    def cell(
        self,
        level: int,
        column: int,
        row: int,
        *,
        offset: tuple[float, float] = (0.0, 0.0),
        log_size: tuple[float, float] = (0.0, 0.0),
        objectness: float = 1.0,
        classes: Sequence[float] = (1.0, 0.0),
        seen: tuple[int, int, int] | None = None,
    ) -> None:
        """Let a cell answer these numbers; `seen` (channel, y, x): objectness is that input pixel ÷ 255 instead."""
        index = self._starts[level] + row * self._columns[level] + column
        self.bias[index] = [*offset, *log_size, objectness, *classes]
        if seen is not None:
            channel, y, x = seen
            self.pixel[index, 4] = (channel * self.side + y) * self.side + x
            self.scale[index, 4] = 1 / 255
            self.bias[index, 4] = 0.0

    def to_bytes(self, *, channels: int = 3, element: int = FLOAT, batch: int | str = 1) -> bytes:
        """The network as an ONNX file; `batch`: pictures at once, or a name for any number."""
        shape = list(self.bias.shape)
        flat = [0, channels * self.side * self.side]
        nodes = [
            _node("Reshape", ["images", "flat"], "line"),
            _node("Gather", ["line", "pixel"], "picked", axis=1),
            _node("Mul", ["picked", "scale"], "scaled"),
            _node("Add", ["scaled", "bias"], "output"),
        ]
        tensors = [
            _tensor("flat", np.array(flat, np.int64), [2]),
            _tensor("pixel", self.pixel, shape),
            _tensor("scale", self.scale, shape),
            _tensor("bias", self.bias, shape),
        ]
        inputs = [_value("images", element, [batch, channels, self.side, self.side])]
        return _network(nodes, tensors, inputs, [_value("output", FLOAT, [batch, *shape])])


class QueryNetwork:
    """A network as the DETR line exports it, input (B, 3, side, side); `query` programs one of its answers.

    A query's box is fixed, in shares of the picture; its score is `scale · pixel + bias` of one input number.
    """

    def __init__(self, side: int = 64) -> None:
        self.side = side
        self._boxes: list[tuple[float, float, float, float]] = []
        self._labels: list[int] = []
        self._scores: list[tuple[int, float, float]] = []

    def query(
        self,
        box: tuple[float, float, float, float],
        *,
        label: int = 0,
        score: float = 1.0,
        seen: tuple[int, int, int] | None = None,
    ) -> None:
        """Let a query answer these; `seen` (channel, y, x): its score is that input number instead."""
        self._boxes.append(box)
        self._labels.append(label)
        if seen is None:
            self._scores.append((0, 0.0, score))
        else:
            channel, y, x = seen
            self._scores.append(((channel * self.side + y) * self.side + x, 1.0, 0.0))

    def to_bytes(self, *, sizes: int = INT64, boxes: str = "boxes", corners: int = 4, batch: int | str = "n") -> bytes:
        """The network as an ONNX file.

        What may be wrong: `sizes`, the type of the sizes; `boxes`, the name of that output, and `corners`, the numbers
        of a box in it; a fixed `batch`.
        """
        count = len(self._labels)
        pixel, scale, bias = (list(values) for values in zip(*self._scores, strict=True))
        nodes = [
            _node("Reshape", ["images", "flat"], "line"),
            _node("Gather", ["line", "pixel"], "picked", axis=1),
            _node("Mul", ["picked", "scale"], "scaled"),
            _node("Add", ["scaled", "bias"], "scores"),
            _node("Mul", ["scores", "nothing"], "zeros"),
            _node("Add", ["zeros", "label"], "named"),
            _node("Cast", ["named"], "labels", to=INT64),
            _node("Gather", ["orig_target_sizes", "corners"], "extent", axis=1),
            _node("Cast", ["extent"], "pixels", to=FLOAT),
            _node("Unsqueeze", ["pixels", "one"], "each"),
            _node("Mul", ["each", "shares"], boxes),
        ]
        tensors = [
            _tensor("flat", np.array([0, 3 * self.side**2], np.int64), [2]),
            _tensor("pixel", np.array(pixel, np.int64), [count]),
            *(
                _tensor(name, np.array(values, np.float32), [count])
                for name, values in {"scale": scale, "bias": bias, "label": self._labels}.items()
            ),
            _tensor("nothing", np.zeros(1, np.float32), [1]),
            _tensor("corners", np.array([0, 1, 0, 1][:corners], np.int64), [corners]),
            _tensor("one", np.array([1], np.int64), [1]),
            _tensor("shares", np.array(self._boxes, np.float32)[:, :corners], [count, corners]),
        ]
        inputs = [
            _value("images", FLOAT, [batch, 3, self.side, self.side]),
            _value("orig_target_sizes", sizes, [batch, 2]),
        ]
        outputs = [
            _value("labels", INT64, [batch, count]),
            _value(boxes, FLOAT, [batch, count, corners]),
            _value("scores", FLOAT, [batch, count]),
        ]
        return _network(nodes, tensors, inputs, outputs)


class EncoderNetwork:
    """An image encoder: a projection of all pixels of a (B, 3, side, side) input, `numbers` of them."""

    def __init__(self, side: int, numbers: int) -> None:
        self.side = side
        self.weights = np.random.default_rng(numbers).normal(0, 0.02, (3 * side**2, numbers)).astype(np.float32)

    def to_bytes(self, *, channels: int = 3, batch: int | str = "n") -> bytes:
        """The network as an ONNX file; `batch`: pictures at once, or a name for any number."""
        size = channels * self.side**2
        nodes = [
            _node("Reshape", ["images", "flat"], "line"),
            _node("MatMul", ["line", "weights"], "embedding"),
        ]
        numbers = self.weights.shape[1]
        tensors = [
            _tensor("flat", np.array([-1, size], np.int64), [2]),
            _tensor("weights", self.weights[:size], [size, numbers]),
        ]
        inputs = [_value("images", FLOAT, [batch, channels, self.side, self.side])]
        return _network(nodes, tensors, inputs, [_value("embedding", FLOAT, [batch, numbers])])


def _network(nodes: list[bytes], tensors: list[bytes], inputs: list[bytes], outputs: list[bytes]) -> bytes:
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, b"pixels")
    graph += b"".join(_bytes(5, tensor) for tensor in tensors)
    graph += b"".join(_bytes(11, value) for value in inputs) + b"".join(_bytes(12, value) for value in outputs)
    opset = _bytes(1, b"") + _number(2, 13)
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, opset)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs)
    numbers = b"".join(
        _bytes(5, _bytes(1, name.encode()) + _number(3, value) + _number(20, 2)) for name, value in attributes.items()
    )
    return names + _bytes(2, output.encode()) + _bytes(4, operator.encode()) + numbers


def _tensor(name: str, values: npt.NDArray[np.int64] | Raw, shape: Sequence[int]) -> bytes:
    kind = INT64 if values.dtype == np.int64 else FLOAT
    code = "q" if kind == INT64 else "f"
    data = struct.pack(f"<{values.size}{code}", *values.ravel().tolist())
    return b"".join(_number(1, n) for n in shape) + _number(2, kind) + _bytes(8, name.encode()) + _bytes(9, data)


def _value(name: str, element: int, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(_bytes(1, _bytes(2, n.encode()) if isinstance(n, str) else _number(1, n)) for n in shape)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, element) + _bytes(2, sizes)))
