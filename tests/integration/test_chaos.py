"""A walk through killed workers, a lost node, a killed driver and a store that fails; `make chaos` is its long form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.run import Both, Plan, chaos_run, quiet_run
from tests.chaos.site import chaos_site
from tests.seaweed import SeaweedServer
from tests.site import run_job, wait_until

pytestmark = pytest.mark.timeout(900)
"""A whole run on two nodes that is disturbed all the time: a busy machine takes its time."""

PLAN = Plan(every_s=(2.0, 4.0), workers=4, drivers_at=(0.25,), node_at=0.5)


@pytest.fixture(scope="module")
def both(s3: SeaweedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("chaos") / "archive"
    with chaos_site(s3, folder, bucket="chaos", nodes=2, videos=14, corrupt=4, frames=16, network=False) as made:
        quiet = quiet_run(made, "--ray.address", "none", seconds=300)
        chaos = chaos_run(made, PLAN, quiet.computed.shards, seconds=500)
        found = Both(made, quiet, chaos)
        print(found.figures())
        yield found


def test_everything_that_the_plan_names_was_killed_and_failed(both: Both) -> None:
    assert both.chaos.count("worker") >= 2
    assert both.chaos.count("driver") == len(PLAN.drivers_at)
    assert both.chaos.count("node") == 1
    failed = sum(number for fate, number in both.chaos.requests.items() if fate not in ("passed", "delayed"))
    assert failed > 0.05 * sum(both.chaos.requests.values())


def test_chaos_leaves_the_same_bytes_as_one_process_in_quiet(both: Both) -> None:
    quiet = both.site.outputs("quiet")
    assert sum("/frames/" in key for key in quiet) >= 10
    assert both.differences() == []


def test_no_shard_is_computed_more_often_than_the_kills_explain(both: Both) -> None:
    assert both.quiet.computed.computations == both.quiet.computed.shards
    computed = both.chaos.computed
    assert computed.unexplained(both.chaos.kills) == []
    assert len(computed.stored) == both.quiet.computed.shards
    assert computed.computations <= both.quiet.computed.shards + both.chaos.explained


def test_failures_are_the_corrupt_videos_and_no_others(both: Both) -> None:
    failures = both.site.failures("chaos")
    assert sorted(failures) == sorted(both.site.corrupt)
    assert failures == both.site.failures("quiet")


def test_a_driver_whose_cluster_is_lost_says_so_and_the_next_run_goes_on(both: Both) -> None:
    site = both.site
    computed = site.watch("lost")
    driver = site.start("lost")
    try:
        wait_until(lambda: computed.shards >= 6, seconds=90, what="six shards")
        site.nodes.lose_all()
        code, shown = driver.end(90)
    finally:
        driver.kill()
    assert code == 2, shown
    assert shown.strip().splitlines()[-1].startswith("error: ")
    run_job("score_archive", *site.arguments("lost"), "--ray.address", "none", expect=3)
    assert computed.shards + site.record("lost")["shards"] == both.quiet.computed.shards
    assert site.differences("quiet", "lost") == []
