"""The lease: one owner at a time, on local disk and in a real S3 server, among threads, processes and dead ones."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hf2vad.errors import LeaseError
from hf2vad.storage import list_dir
from hf2vad.walk.lease import Lease
from tests.site import wait_until

HOLD = """
import sys, time
from hf2vad.walk.lease import Lease
with Lease(sys.argv[1], seconds=float(sys.argv[2]), skew=0.0) as lease:
    print(lease.owner, flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["local", "s3"])
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "out")
    request.getfixturevalue("s3")
    return f"s3://lease/{tmp_path.name}"


def test_the_second_is_told_who_holds_it(prefix: str) -> None:
    with Lease(prefix) as first:
        with pytest.raises(LeaseError, match=first.owner), Lease(prefix):
            pass
        assert not first.lost
    with Lease(prefix) as third:
        assert not third.lost
    assert len(list(list_dir(f"{prefix}/lease"))) == 1


def test_of_many_at_once_one_gets_it(prefix: str) -> None:
    got: list[str] = []
    start, end = threading.Barrier(8), threading.Barrier(8)

    def contend() -> None:
        start.wait()
        try:
            with Lease(prefix) as lease:
                got.append(lease.owner)
                end.wait(30)
        except LeaseError:
            end.wait(30)

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_a_term_is_renewed_while_the_work_goes_on(tmp_path: Path) -> None:
    now = [1000.0]

    def until() -> float:
        (term,) = (tmp_path / "lease").glob("*.json")
        return float(json.loads(term.read_text())["until"])

    with Lease(str(tmp_path), seconds=0.4, skew=0.0, clock=lambda: now[0]) as lease:
        for _ in range(3):
            now[0] += 0.3
            wait_until(lambda: until() == now[0] + 0.4, seconds=30, what="the next term")
        assert not lease.lost
        with pytest.raises(LeaseError), Lease(str(tmp_path), skew=0.0, clock=lambda: now[0]):
            pass


@pytest.mark.slow
def test_a_killed_owner_keeps_others_out_until_its_term_ends(prefix: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, prefix, "600"], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        owner = holder.stdout.readline().strip()
        holder.kill()
    with pytest.raises(LeaseError, match=owner), Lease(prefix, skew=0.0):
        pass
    with Lease(prefix, skew=0.0, clock=lambda: time.time() + 601) as lease:
        assert lease.owner != owner


def test_an_owner_that_was_held_up_stops_when_another_has_begun(tmp_path: Path) -> None:
    now = [1000.0]
    with Lease(str(tmp_path), seconds=0.4, skew=0.0, clock=lambda: now[0]) as held_up:
        now[0] += 3.0
        assert held_up.lost
        with Lease(str(tmp_path), seconds=0.4, skew=0.0, clock=lambda: now[0]) as other:
            time.sleep(0.4)  # the first one's next renewal finds the second one's generation
            assert held_up.lost
            assert not other.lost
    with Lease(str(tmp_path), seconds=0.4, skew=0.0, clock=lambda: now[0]):
        pass


def test_clocks_may_differ(tmp_path: Path) -> None:
    with Lease(str(tmp_path), seconds=10.0, clock=lambda: 1000.0):
        with pytest.raises(LeaseError), Lease(str(tmp_path), clock=lambda: 1039.0):
            pass
        with Lease(str(tmp_path), clock=lambda: 1041.0):
            pass


def test_one_that_looked_long_ago_does_not_take_a_number_that_was_given_back(tmp_path: Path) -> None:
    class Slow(Lease):
        """Stands still between looking and taking, while two others come, one after the other."""

        def _generations(self) -> list[int]:
            found = super()._generations()
            if not found:
                with Lease(str(tmp_path)):
                    pass
                others.append(Lease(str(tmp_path)).__enter__())
            return found

    others: list[Lease] = []
    with pytest.raises(LeaseError, match="is at work there"), Slow(str(tmp_path)):
        pass
    others[0].__exit__(None, None, None)
