"""HF²-VAD: finds the unusual moments of video archives (Liu et al., ICCV 2021, arXiv 2108.06852).

import hf2vad

model = hf2vad.train("videos", frames=":50%")      # or hf2vad.load("bundle")
result = model.score("videos", frames="50%:")
print(result.events.to_pandas())
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf2vad.api import Model, Result, dataset, evaluate, load, read, train

__all__ = ["Model", "Result", "__version__", "dataset", "evaluate", "load", "read", "train"]

# OpenMP threads wait for each other by spinning. On a machine that has other work too, a waiting thread then holds the
# core that the awaited one needs: training fell from 240 to 23 cubes/s beside one busy process, and to 150 with this.
# It is read when torch loads, so it stands here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The functions of hf2vad.api, imported when they are first asked for: the command line does not wait for them."""
    if name in __all__:
        from hf2vad import api

        return getattr(api, name)
    raise AttributeError(f"module 'hf2vad' has no attribute {name!r}")
