"""The keeper's duties, against a real ledger and real Celery queues."""

import redis

from ledger import Keys, Ledger, LedgerSettings
from ledger.keys import bell_queue
from lowland.spec import Status
from tests.conftest import free_port
from tests.ledger.playing import claim, claimed, job, submit
from tests.waiting import until
from worker.bells import bell_app, ring
from worker.chores import Chores
from worker.keeper import Keeper
from worker.settings import KeeperSettings


def keeper(ledger: Ledger, redis_url: str, *, lease_s: float = 60.0) -> Keeper:
    settings = KeeperSettings(redis_url=redis_url, redis_prefix=ledger.keys.prefix)
    return Keeper(ledger, bell_app(settings), Chores(ledger, settings), lease_s=lease_s)


def ringing(redis_url: str, keys: Keys) -> dict[str, int]:
    with redis.Redis.from_url(redis_url) as client:
        return {name: client.llen(keys.prefix + bell_queue(name)) for name in ("any", "cpu", "cuda")}


def test_as_many_bells_ring_as_jobs_wait_in_each_class(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    submit(ledger)
    submit(ledger)
    submit(ledger, resources={"device": "cuda"})

    keeper(ledger, redis_url).turn()

    assert ringing(redis_url, keys) == {"any": 2, "cpu": 0, "cuda": 1}


def test_two_keepers_and_many_turns_ring_no_more_than_once_for_each_job(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    submit(ledger)
    first, second = keeper(ledger, redis_url), keeper(ledger, redis_url)

    for one in (first, second, first):
        one.turn()

    assert ringing(redis_url, keys)["any"] == 1


def test_bells_that_got_lost_are_rung_again(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    submit(ledger)
    keeper(ledger, redis_url).turn()
    with redis.Redis.from_url(redis_url) as client:
        client.delete(keys.prefix + bell_queue("any"))

    keeper(ledger, redis_url).turn()

    assert ringing(redis_url, keys)["any"] == 1


def test_a_lease_is_expired_only_after_the_ledger_was_attended_for_a_whole_lease(
    ledger: Ledger, redis_url: str
) -> None:
    job_id = submit(ledger)
    claimed(ledger, lease_ms=0)
    patient = keeper(ledger, redis_url, lease_s=0.5)

    patient.turn()

    assert job(ledger, job_id).status == Status.RUNNING
    until(lambda: patient.turn() or job(ledger, job_id).status == Status.QUEUED, "the lease expires")
    assert claim(ledger, worker="w2") is not None


def test_a_keeper_outlives_an_absent_redis(redis_url: str, keys: Keys) -> None:
    with Ledger(f"redis://127.0.0.1:{free_port()}/0", keys) as away:
        keeper(away, redis_url).turn()


def test_a_bell_goes_to_its_own_class_only(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    settings = LedgerSettings(redis_url=redis_url, redis_prefix=keys.prefix)

    ring(bell_app(settings), "cpu", 3)

    assert ringing(redis_url, keys) == {"any": 0, "cpu": 3, "cuda": 0}
