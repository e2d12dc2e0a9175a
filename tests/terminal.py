"""A command in a terminal of its own: what appears there, and when."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Shown:
    """What a command showed in a terminal."""

    returncode: int
    first_s: float
    """Seconds to the first character."""
    longest_blank_s: float
    """Seconds without anything new, at most, between the start and the end."""
    text: str
    """All that was written, without control sequences."""
    lines: list[str]
    """Lines that are left on the screen at the end."""


def in_terminal(
    command: list[str], *, cwd: Path, env: dict[str, str], timeout: float, columns: int = 120, ctrl_c_after: str = ""
) -> Shown:
    """Run `command` in a pseudo-terminal to its end; ctrl_c_after: text after which it gets Ctrl-C. Raises
    TimeoutError."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    start = last = time.monotonic()
    env = {**env, "TERM": "xterm"}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=env) as process:
        os.close(slave)
        written, first, blank = bytearray(), 0.0, 0.0
        try:
            while True:
                if time.monotonic() - start > timeout:
                    process.kill()
                    raise TimeoutError(f"{command}: not after {timeout} s; shown: {written[-2000:]!r}")
                if not select.select([master], [], [], 0.5)[0]:
                    continue
                try:
                    read = os.read(master, 65536)
                except OSError:  # the other end is closed
                    break
                if not read:
                    break
                now = time.monotonic()
                first = first or now - start
                blank, last = max(blank, now - last), now
                written += read
                if ctrl_c_after and ctrl_c_after.encode() in written:
                    process.send_signal(signal.SIGINT)
                    ctrl_c_after = ""
        finally:
            os.close(master)
    shown = written.decode(errors="replace")
    return Shown(process.returncode, first, max(blank, time.monotonic() - last), CONTROL.sub("", shown), left(shown))


def left(shown: str) -> list[str]:
    """The lines that are on the screen after `shown` was written to it: what was erased is not."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", shown):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            column = 0
        elif match := re.fullmatch(r"\x1b\[(\d*)([AK])", token):
            if match[2] == "A":
                row = max(0, row - int(match[1] or 1))
            else:
                lines[row] = "" if match[1] == "2" else lines[row][:column]
        elif not token.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in lines if line.strip()]
