"""Which machine a job fits, what is kept free for it, and what it says while it waits."""

from collections.abc import Sequence
from typing import Any

import pytest
import redis

from ledger import Keys, Lease, Ledger, Machine, presence, reads, transitions
from lowland.spec import Event, Status
from lowland.spec.resource import QueuePlace
from tests.ledger.playing import beat, claim, claimed, enroll, job, machine, settle, submit


def gpus(*devices: str, memory_gb: float = 0.0, **said: Any) -> Machine:
    """A machine with these GPUs, or parts of them."""
    return machine(*devices, classes=("any", "cuda"), memory_gb=memory_gb, **said)


def reason(ledger: Ledger, job_id: str) -> str:
    place = job(ledger, job_id).queue
    assert place is not None
    return place.reason


@pytest.mark.parametrize(
    ("wanted", "offers", "fits"),
    [
        ({"gpu_memory_gb": 40}, gpus("cuda:0", memory_gb=80), True),
        ({"gpu_memory_gb": 80}, gpus("cuda:0", memory_gb=79.9), False),
        ({"gpu_memory_gb": 1}, machine("cpu:0"), False),
        ({"gpu_memory_gb": 40, "world_size": 2}, gpus("cuda:0", "cuda:1", memory_gb=40), True),
        ({"labels": ["fast"]}, machine(labels=["fast", "zone/b"]), True),
        ({"labels": ["fast", "zone/b"]}, machine(labels=["fast", "zone/b"]), True),
        ({"labels": ["fast", "zone/c"]}, machine(labels=["fast", "zone/b"]), False),
        ({"labels": ["fast"]}, machine(labels=["faster"]), False),
        ({"world_size": 2}, gpus("cuda:0.0", "cuda:0.1"), False),
        ({"world_size": 2}, gpus("cuda:0.0", "cuda:0.1", "cuda:1.0", "cuda:1.1"), True),
        ({}, machine(versions=[2, 3]), True),
        ({}, machine(versions=[3, 4]), False),
    ],
)
def test_a_job_is_claimed_only_where_it_fits(
    ledger: Ledger, wanted: dict[str, Any], offers: Machine, fits: bool
) -> None:
    submit(ledger, resources=wanted)

    assert (claim(ledger, offers=offers) is not None) == fits


@pytest.mark.parametrize(
    ("wanted", "offers", "said"),
    [
        ({"device": "cuda"}, machine(), "no live worker offers device cuda"),
        ({}, machine(versions=[3]), "no live worker reads version 2 of the job spec"),
        ({"labels": ["fast", "b"]}, machine(labels=["b"]), "needs a worker labelled fast and b; no live one is"),
        ({"world_size": 4}, machine("cpu:0", "cpu:1"), "needs 4 devices; the largest live worker has 2"),
        (
            {"world_size": 2, "device": "cuda", "gpu_memory_gb": 40},
            gpus("cuda:0", memory_gb=80),
            "needs 2 GPUs with 40 GB; the largest live worker has 1",
        ),
        ({}, machine(), "next for a free device"),
    ],
)
def test_a_waiting_job_says_what_is_in_its_way(
    ledger: Ledger, wanted: dict[str, Any], offers: Machine, said: str
) -> None:
    enroll(ledger, offers=offers)

    assert reason(ledger, submit(ledger, resources=wanted)) == said


def test_a_waiting_job_says_how_many_are_before_it(ledger: Ledger) -> None:
    enroll(ledger)
    submit(ledger)
    last = submit(ledger)
    assert job(ledger, last).queue == QueuePlace(position=2, reason="1 job ahead")

    submit(ledger, priority=1)
    submit(ledger, priority=2)

    assert job(ledger, last).queue == QueuePlace(position=4, reason="2 jobs of higher priority")


def test_jobs_that_nobody_could_run_are_not_counted_as_ahead(ledger: Ledger) -> None:
    enroll(ledger, offers=machine("cpu:0", "cpu:1"))
    for wanted in ({"labels": ["nowhere"]}, {"gpu_memory_gb": 8}, {"world_size": 3}):
        submit(ledger, resources=wanted)

    assert reason(ledger, submit(ledger)) == "next for a free device"
    claimed(ledger)
    assert reason(ledger, submit(ledger, resources={"world_size": 2})) == (
        "needs 2 devices at once; the most that are free on one worker now is 1"
    )


def test_an_owner_at_quota_waits_and_others_do_not(ledger: Ledger) -> None:
    two = machine("cpu:0", "cpu:1", "cpu:2", running_per_owner=1)
    enroll(ledger, offers=two, runners=("r1", "r2", "r3"))
    running, waiting, other = submit(ledger), submit(ledger), submit(ledger, owner="bob")

    leases = [claimed(ledger, runner="r1"), claimed(ledger, runner="r2")]

    assert [lease.job_id for lease in leases] == [running, other]
    assert claim(ledger, runner="r3") is None
    assert reason(ledger, waiting) == "owner at quota"
    settle(ledger, leases[0], "succeeded")
    assert claimed(ledger, runner="r3").job_id == waiting


def test_a_draining_worker_gets_nothing_and_is_not_counted_on(ledger: Ledger) -> None:
    enroll(ledger)
    job_id = submit(ledger)

    ledger.run(presence.drain("w1"))

    assert claim(ledger) is None
    assert reason(ledger, job_id) == "no live worker offers any device"
    enroll(ledger, incarnation="i1")
    assert claim(ledger) is None  # the same start of the worker, which the ledger had not forgotten


def test_slots_of_one_gpu_are_spread_over_the_gpus(ledger: Ledger) -> None:
    offers = gpus("cuda:0.0", "cuda:0.1", "cuda:1.0", "cuda:1.1")
    for _ in range(4):
        submit(ledger)

    taken = [claimed(ledger, runner=f"r{i}", offers=offers).device for i in range(4)]

    assert taken == ["cuda:0.0", "cuda:1.0", "cuda:0.1", "cuda:1.1"]


def test_small_jobs_go_around_a_large_one_until_it_has_waited_long(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    four = machine("cpu:0", "cpu:1", "cpu:2", "cpu:3", reserve_after_ms=60_000)
    small = submit(ledger)
    first = claimed(ledger, runner="r0", offers=four)
    large = submit(ledger, resources={"world_size": 4})
    around = submit(ledger)

    third = claimed(ledger, runner="r1")
    assert (first.job_id, third.job_id) == (small, around)
    let_it_wait(redis_url, keys, large)
    late, urgent = submit(ledger), submit(ledger, priority=1)

    second = claimed(ledger, runner="r2")
    assert second.job_id == urgent
    assert claim(ledger, runner="r3") is None
    assert reason(ledger, large) == "needs 4 devices; w1 keeps free for it what gets free"
    for runner, lease in (("r0", first), ("r2", second)):
        settle(ledger, lease, "succeeded")
        assert claim(ledger, runner=runner) is None
    settle(ledger, third, "succeeded")
    lease = claimed(ledger, runner="r3")
    assert (lease.job_id, lease.device) == (large, "cpu:0,cpu:1,cpu:2,cpu:3")
    settle(ledger, lease, "succeeded")
    assert claimed(ledger, runner="r3").job_id == late


def let_it_wait(redis_url: str, keys: Keys, job_id: str) -> None:
    """Put a queued job's beginnings an hour back."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        hour_ms = 3_600_000
        for name in ("created_ms", "queued_ms"):
            client.hincrby(keys.key("job", job_id), name, -hour_ms)
        name = client.hget(keys.key("job", job_id), "queue")
        client.zincrby(keys.key("queue", str(name)), -hour_ms, job_id)


def two_half_busy(ledger: Ledger) -> None:
    """Two machines of two slots, each with a job on one of them."""
    for worker in ("w1", "w2"):
        enroll(ledger, worker, offers=machine("cpu:0", "cpu:1", reserve_after_ms=60_000))
        submit(ledger)
        claimed(ledger, worker=worker, runner=worker + "a")


def test_a_machine_that_turns_to_another_job_leaves_the_first_to_others(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    two_half_busy(ledger)
    first = submit(ledger, resources={"world_size": 2})
    let_it_wait(redis_url, keys, first)
    assert claim(ledger, worker="w1", runner="w1b") is None
    urgent = submit(ledger, resources={"world_size": 2}, priority=1, owner="bob")
    let_it_wait(redis_url, keys, urgent)
    small = submit(ledger)

    assert claim(ledger, worker="w1", runner="w1b") is None
    assert claim(ledger, worker="w2", runner="w2b") is None

    assert reason(ledger, urgent).startswith("needs 2 devices; w1 keeps")
    assert reason(ledger, first).startswith("needs 2 devices; w2 keeps")
    assert reason(ledger, small) == "1 job of higher priority"


def test_one_machine_keeps_free_for_one_job_and_another_for_the_next(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    two_half_busy(ledger)
    large = submit(ledger, resources={"world_size": 2})
    let_it_wait(redis_url, keys, large)
    small = submit(ledger)

    assert claim(ledger, worker="w1", runner="w1b") is None
    assert claimed(ledger, worker="w2", runner="w2b").job_id == small

    ledger.run(presence.drain("w1"))
    submit(ledger)
    assert claim(ledger, worker="w2", runner="w2c") is None
    assert reason(ledger, large).startswith("needs 2 devices")


def test_smaller_gpus_are_not_kept_free_for_a_job_they_are_too_small_for(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    offers = gpus("cuda:0", "cuda:1", memory_gb=80, reserve_after_ms=60_000)
    mixed = Machine(
        classes=offers.classes,
        slots=[*offers.slots, *gpus("cuda:2", memory_gb=16).slots],
        reserve_after_ms=60_000,
    )
    submit(ledger, resources={"gpu_memory_gb": 80})
    claimed(ledger, runner="r0", offers=mixed)
    large = submit(ledger, resources={"gpu_memory_gb": 80, "world_size": 2})
    let_it_wait(redis_url, keys, large)
    small = submit(ledger)

    lease = claimed(ledger, runner="r1")

    assert (lease.job_id, lease.device) == (small, "cuda:2")


def test_no_slot_is_idle_while_a_job_that_fits_it_waits_and_a_large_one_is_not_starved(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    """Machines of 4, 2 and 2 devices, and a mixed queue of two owners, until all is done."""
    sizes = {"w4": 4, "w2a": 2, "w2b": 2}
    for worker, size in sizes.items():
        offers = machine(*(f"cpu:{i}" for i in range(size)), reserve_after_ms=60_000)
        enroll(ledger, worker, offers=offers)
    widths = {}
    for number, width in enumerate([1, 1, 2, 1, 4, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1]):
        widths[submit(ledger, owner="ab"[number % 2], resources={"world_size": width})] = width
    aged = [job_id for job_id, width in widths.items() if width == 4]
    for job_id in aged:
        let_it_wait(redis_url, keys, job_id)
    running: list[Lease] = []
    order: list[str] = []
    turn = 0

    def used(worker: str) -> int:
        return sum(lease.device.count(",") + 1 for lease in running if lease.worker == worker)

    while len(order) < len(widths) or running:
        for worker in sizes:
            while lease := claim(ledger, worker=worker, runner=f"{worker}-{len(order)}"):
                running.append(lease)
                order.append(lease.job_id)
            beat(ledger, worker, runners=tuple(f"{worker}-{i}" for i in range(99)))
        waiting = [job_id for job_id in widths if job_id not in order]
        kept = any(width == 4 and job_id in waiting for job_id, width in widths.items())
        for worker, size in sizes.items():
            fitting = [job_id for job_id in waiting if widths[job_id] <= size - used(worker)]
            assert not fitting or (kept and worker == "w4"), (worker, fitting)
        assert running, "something runs while something waits"
        settle(ledger, running.pop(turn % len(running)), "succeeded")
        turn += 1

    assert sorted(order) == sorted(widths)
    assert max(order.index(job_id) for job_id in aged) < 12


def test_what_was_put_back_waits_anew_before_devices_are_kept_free(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    offers: Sequence[str] = ("cpu:0", "cpu:1")
    large = submit(ledger, resources={"world_size": 2})
    let_it_wait(redis_url, keys, large)
    lease = claimed(ledger, runner="r0", offers=machine(*offers, reserve_after_ms=60_000))
    submit(ledger, priority=1)
    settle(ledger, lease, "stopped")
    claimed(ledger, runner="r0")
    small = submit(ledger)

    assert claimed(ledger, runner="r1").job_id == small
    ledger.run(transitions.ask(large, Event.CANCEL))
    assert job(ledger, large).status == Status.CANCELLED


def test_a_page_of_queued_jobs_is_shown_in_a_bounded_time_whoever_waits_and_whatever_for(
    ledger: Ledger, keys: Keys, redis_url: str
) -> None:
    """Many owners cost nothing; beside many different needs, a place says how far back a job is at least."""
    enroll(ledger, offers=gpus("cuda:0", memory_gb=80))
    for number in range(50):
        submit(ledger, owner=f"owner-{number}")
    exact = job(ledger, submit(ledger)).queue
    for number in range(500):
        submit(ledger, resources={"gpu_memory_gb": 1 + number / 100})
    with redis.Redis.from_url(redis_url) as bare:
        before = counted(bare)
        page = ledger.run(reads.list_jobs(limit=200))
        counts = counted(bare) - before

    assert exact is not None
    assert exact.position == 51
    places = [shown.queue.position for shown in page.jobs if shown.queue]
    assert len(places) == 200
    assert places[0] == 551  # the newest, for which there was time to look
    assert all(1 <= place <= 551 for place in places)
    assert counts < 10_000  # 200 jobs beside 501 needs, each looked at twice, would be 200,000


def counted(bare: "redis.Redis") -> int:
    """How often a part of a sorted set was counted."""
    return int(bare.info("commandstats").get("cmdstat_zcount", {"calls": 0})["calls"])
