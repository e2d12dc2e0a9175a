"""ONNX networks that somebody else trained, by URI: read, checked and opened."""

from __future__ import annotations

import hashlib
from typing import Any

from hf2vad.errors import ConfigError, MismatchError


def read_file(uri: str, sha256: str, *, name: str) -> tuple[bytes, str]:
    """The content of a file that a setting names, and its SHA-256 in hex.

    `sha256`: what it must be; empty: anything. `name`: of the setting, for messages. Raises MismatchError for another
    content, NotFoundError where there is no file.
    """
    from hf2vad.storage import read_bytes

    content = read_bytes(uri)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 and sha256 != digest:
        raise MismatchError(f"{name} {uri} has SHA-256 {digest[:16]}…, but {sha256[:16]}… was used before")
    return content, digest


def open_network(content: bytes, threads: int, *, name: str) -> Any:
    """An onnxruntime session of a network, on a GPU where onnxruntime has one; `threads`: of the processor.

    `name`: of the setting and its value, for messages. Raises ConfigError where onnxruntime is missing or `content` is
    no network.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(f"{name}: a network needs onnxruntime: pip install 'hf2vad[detector]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait would spin, on the cores that decoding and flow need: twice the processor time of a picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise ConfigError(f"{name}: not an ONNX network: {error}") from None


def picture_size(given: Any) -> tuple[int, int] | None:
    """Width and height that a session's input has; None unless it is float32 of fixed size (1 or open, 3, H, W)."""
    shape = given.shape
    fixed = len(shape) == 4 and shape[1] == 3 and all(isinstance(n, int) for n in shape[2:])
    single = fixed and (shape[0] == 1 or not isinstance(shape[0], int))
    return (int(shape[3]), int(shape[2])) if single and given.type == "tensor(float)" else None
