"""What a worker keeps from call to call."""

from __future__ import annotations

import weakref

import pytest

from hf2vad.cluster.warm import Warm


class Network:
    def __init__(self, name: str) -> None:
        self.name = name


def test_it_is_made_once_and_again_for_other_arguments() -> None:
    @Warm
    def network(name: str, *, batch: int) -> Network:
        """What it is made of."""
        return Network(f"{name}-{batch}")

    first = network("a", batch=1)
    assert network("a", batch=1) is first
    assert network.loads == 1
    assert network("a", batch=2).name == "a-2"
    assert network("a", batch=1) is not first
    network.forget()
    assert network("a", batch=1) is not first
    assert (network.loads, network.__doc__, network.__name__) == (4, "What it is made of.", "network")


def test_what_was_kept_is_gone_before_the_next_is_made() -> None:
    alive: list[bool] = []

    @Warm
    def network(name: str) -> Network:
        alive.append(before is not None and before() is not None)
        return Network(name)

    before: weakref.ref[Network] | None = None
    before = weakref.ref(network("a"))
    network("b")
    assert alive == [False, False]


def test_after_a_failure_nothing_is_kept() -> None:
    @Warm
    def network(name: str) -> Network:
        if name == "broken" and not network.loads > 1:
            raise ValueError(name)
        return Network(name)

    network("a")
    with pytest.raises(ValueError, match="broken"):
        network("broken")
    assert network("a").name == "a"
    assert network.loads == 2
    assert network("broken").name == "broken"
