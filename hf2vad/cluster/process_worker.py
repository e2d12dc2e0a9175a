"""A worker of ProcessCluster: makes the calls that come over a pipe, one after another. Not for the command line."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from hf2vad.arrow import without_pandas

Message = tuple[bool, bytes]
"""A flag that asks to make the call, and the call: a pickled function with its arguments. Both ends are processes of
one job."""


class Worker:
    """Receives calls in a thread, so that it ends at once when the driver has ended."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._busy = False

    def serve(self) -> None:
        """Make calls until the driver closes the pipe; SIGINT interrupts the one that is being made."""
        signal.signal(signal.SIGINT, self._interrupt)
        threading.Thread(target=self._receive, name="receive", daemon=True).start()
        without_pandas()
        while True:
            run, message = self._messages.get()
            if run:
                self._connection.send(self._made(message))
            else:
                pickle.loads(message)  # imports what the call needs

    def _made(self, message: bytes) -> tuple[BaseException | None, Any]:
        self._busy = True
        try:
            function, args = pickle.loads(message)
            return None, function(*args)
        except (Exception, KeyboardInterrupt) as error:
            return _portable(error), None
        finally:
            self._busy = False

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._busy:
            raise KeyboardInterrupt

    def _receive(self) -> None:
        try:
            while True:
                self._messages.put(self._connection.recv())
        except (EOFError, OSError):
            os._exit(0)  # outputs appear whole or not at all, so nothing is left half


def _portable(error: BaseException) -> BaseException:
    """`error`, or what says the same where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    Worker(Connection(int(sys.argv[1]))).serve()
