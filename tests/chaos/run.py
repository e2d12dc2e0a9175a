"""The same walk twice: in quiet, and while workers, a node and drivers are killed and the store fails."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.computed import Computed, Kill, What
from tests.chaos.site import ChaosSite
from tests.fault_proxy import Faults

TASKS = ("open_video", "run_shard", "close_video")
"""What workers are killed at."""
POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done to a run."""

    every_s: tuple[float, float] = (5.0, 10.0)
    """Shortest and longest time from one killed worker to the next; a shard is computed in between, however long that
    takes on a busy machine."""
    workers: int | None = None
    """Workers that are killed, at most; None: as many as the time allows."""
    drivers_at: tuple[float, ...] = (0.25, 0.65)
    """Shares of the shards after which the driver is killed."""
    node_at: float = 0.45
    """Share of the shards after which the last node is lost."""
    faults: float = 0.1
    """Share of the requests to the store that fail."""
    seed: int = 0


@dataclass
class Ran:
    """A run, from its first driver to the end of its last."""

    seconds: float
    computed: Computed
    kills: list[Kill]
    requests: dict[str, int]
    """By what became of them."""
    record: dict[str, Any]
    """Of the last driver."""
    shown: str
    """What the last driver printed."""

    def count(self, what: What) -> int:
        """How many were killed."""
        return sum(kill.what == what for kill in self.kills)

    @property
    def explained(self) -> int:
        """Computations that the kills may have cost, at most."""
        return sum(kill.shards for kill in self.kills)


def quiet_run(site: ChaosSite, *more: object, seconds: float = 600) -> Ran:
    """Score the archive under `quiet`, undisturbed; `more`: options of the driver."""
    return _Run(site, "quiet", seconds, more).to_the_end(None, 0)


def chaos_run(site: ChaosSite, plan: Plan, shards: int, *, seconds: float = 900) -> Ran:
    """Score the archive under `chaos`, of `shards` shards, by `plan`. A killed driver is started again at once."""
    site.proxy.faults = Faults.evenly(plan.faults, seed=plan.seed)
    try:
        return _Run(site, "chaos", seconds).to_the_end(plan, shards)
    finally:
        site.proxy.faults = Faults()


@dataclass
class _Run:
    site: ChaosSite
    name: str
    limit_s: float
    more: tuple[object, ...] = ()
    kills: list[Kill] = field(default_factory=list)

    def to_the_end(self, plan: Plan | None, shards: int) -> Ran:
        before = self.site.proxy.counts.copy()
        computed = self.site.watch(self.name)
        started = time.monotonic()
        try:
            self._driver = self.site.start(self.name, *self.more)
            if plan:
                self._disturb(plan, computed, shards)
            code, shown = self._driver.end(max(1.0, started + self.limit_s - time.monotonic()))
        finally:
            self._driver.kill()
        seconds = time.monotonic() - started
        assert code == (3 if self.site.corrupt else 0), f"exit code {code}\n{shown[-5000:]}"
        requests = dict(self.site.proxy.counts - before)
        return Ran(seconds, computed, self.kills, requests, self.site.record(self.name), shown)

    def _disturb(self, plan: Plan, computed: Computed, shards: int) -> None:
        """Kill, until the driver ends by itself."""
        rng = random.Random(plan.seed)
        drivers = [share * shards for share in plan.drivers_at]
        node = plan.node_at * shards
        next_worker, then = time.monotonic(), -1
        orphans: list[tuple[Kill, set[int]]] = []
        until = time.monotonic() + self.limit_s
        while self._driver.process.poll() is None and time.monotonic() < until:
            time.sleep(POLL_S)
            orphans = [(kill, pids) for kill, pids in orphans if self._still(kill, pids)]
            if drivers and computed.shards >= drivers[0]:
                drivers.pop(0)
                running = self._running()
                orphans.append((self._note("driver", running), set(running)))
                self._driver.kill()
                self._driver = self.site.start(self.name)
            elif computed.shards >= node and self.site.nodes.nodes:
                node = float("inf")
                lost = self.site.nodes.nodes[-1]
                self._note("node", lost.workers(*TASKS))
                lost.lose()
            elif (
                self._workers_killed != plan.workers
                and time.monotonic() >= next_worker
                and computed.shards > then
                and (running := self._running())
            ):
                self._note("worker", [0])
                then = computed.shards
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(running), signal.SIGKILL)
                next_worker = time.monotonic() + rng.uniform(*plan.every_s)

    @property
    def _workers_killed(self) -> int:
        return sum(kill.what == "worker" for kill in self.kills)

    def _note(self, what: What, running: list[int]) -> Kill:
        """Of a kill that is about to happen, and may cost what runs on `running`."""
        now = time.monotonic()
        self.kills.append(Kill(what, now, now, len(running)))
        return self.kills[-1]

    def _still(self, kill: Kill, pids: set[int]) -> bool:
        """Whether workers of a dead driver still run; notes when they were last seen."""
        if pids & set(self._running()):
            kill.until = time.monotonic() + 2 * POLL_S
            return True
        return False

    def _running(self) -> list[int]:
        return [pid for node in self.site.nodes.nodes for pid in node.workers(*TASKS)]


@dataclass
class Both:
    """One archive scored twice, in quiet and through chaos."""

    site: ChaosSite
    quiet: Ran
    chaos: Ran

    def differences(self) -> list[str]:
        """Keys that only one of the runs left, or that differ in content."""
        return self.site.differences("quiet", "chaos")

    def figures(self) -> dict[str, Any]:
        """What was done to the run, and what it cost."""
        fates = sorted(self.chaos.requests.items())
        return {
            "quiet_s": round(self.quiet.seconds, 1),
            "chaos_s": round(self.chaos.seconds, 1),
            "killed": {what: self.chaos.count(what) for what in ("worker", "node", "driver")},
            "requests": sum(self.chaos.requests.values()),
            "requests_failed": {fate: number for fate, number in fates if fate not in ("passed", "delayed")},
            "requests_delayed": self.chaos.requests.get("delayed", 0),
            "shards": self.quiet.computed.shards,
            "computations": self.chaos.computed.computations,
            "explained_by_kills": self.chaos.explained,
            "unexplained": self.chaos.computed.unexplained(self.chaos.kills),
            "differences": self.differences(),
            "failures": len(self.site.failures("chaos")),
        }

    def broken(self) -> list[str]:
        """The promises that were not kept, one line each; none is hoped for."""
        figures, corrupt = self.figures(), sorted(self.site.corrupt)
        quiet, chaos = self.site.failures("quiet"), self.site.failures("chaos")
        again = figures["computations"] - figures["shards"]
        checks = {
            "the quiet run computed a shard twice": self.quiet.computed.computations != figures["shards"],
            f"outputs differ: {figures['differences']}": bool(figures["differences"]),
            f"shards computed again without a kill: {figures['unexplained']}": bool(figures["unexplained"]),
            f"{again} shards computed again, {self.chaos.explained} are explained": again > self.chaos.explained,
            "shards were not computed": len(self.chaos.computed.stored) < figures["shards"],
            f"failures of {sorted(chaos)}, corrupt are {corrupt}": sorted(chaos) != corrupt,
            f"the reasons of failures are {chaos}, in quiet {quiet}": chaos != quiet,
        }
        return [line for line, holds in checks.items() if holds]
