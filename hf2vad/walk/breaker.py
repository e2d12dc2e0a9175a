"""A circuit breaker: the run ends when nearly everything fails, before it has failed on a whole archive."""

from __future__ import annotations

import math
from collections import deque

from hf2vad.cluster.policy import Cause
from hf2vad.errors import AccessDeniedError, BreakerError
from hf2vad.walk.settings import BreakerConfig


class Breaker:
    """Is told of every call that is over, and raises BreakerError when nearly all of the last ones failed."""

    def __init__(self, config: BreakerConfig) -> None:
        self._config = config
        self._machinery: deque[bool] = deque(maxlen=config.calls or 1)
        self._any: deque[bool] = deque(maxlen=config.videos or 1)
        self._all_denied: str | None = ""
        """The last reason, as long as nothing but denials is known; empty at first, none once anything else is."""
        self._blamed: deque[tuple[str, Cause]] = deque(maxlen=max(config.videos, config.calls, 1))

    @property
    def watches_machinery(self) -> bool:
        """True if dead workers and failing storage can end the run."""
        return bool(self._config.calls)

    def succeeded(self) -> None:
        """A shard was done."""
        self._all_denied = None
        self._machinery.append(False)
        self._any.append(False)

    def failed(self, video: str, cause: Cause, reason: str) -> None:
        """A call about `video` has no value. Raises BreakerError when that was one too many.

        What may lie in the video counts once for it, however many shards of it fail.
        """
        if self._all_denied is not None:
            self._all_denied = reason if cause is Cause.DENIED else None
        if cause.blames_video:
            if (video, cause) in self._blamed:
                return
            self._blamed.append((video, cause))
        self._machinery.append(cause.blames_machinery)
        self._any.append(True)
        if self._config.calls and self._is_full(self._machinery):
            raise self._error(self._machinery, "calls were lost to dead workers or failing storage", reason, "calls")
        if self._config.videos and self._is_full(self._any):
            raise self._error(self._any, "videos and shards failed", reason, "videos")

    def end(self) -> None:
        """Check the run at its end. Raises AccessDeniedError if every call was denied its video."""
        if self._all_denied:
            raise AccessDeniedError(f"no video may be read, the last one: {self._all_denied}")

    def _is_full(self, recent: deque[bool]) -> bool:
        return len(recent) == recent.maxlen and sum(recent) >= math.ceil(self._config.share * len(recent))

    @staticmethod
    def _error(recent: deque[bool], what: str, reason: str, option: str) -> BreakerError:
        return BreakerError(
            f"{sum(recent)} of the last {len(recent)} {what}, the last one with: {reason}; the run ends here, what is "
            f"done is kept: mend that and run again, or go on regardless with --breaker.{option} 0"
        )
