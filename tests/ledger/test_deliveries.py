"""How it stands with what a job's owner is told, as the ledger keeps it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from ledger import Call, JobNotFound, Keys, Ledger, chores, deliveries, transitions
from ledger.chores import Chore, Sent
from lowland.spec import Event, Status
from lowland.spec.resource import DeliveryList
from tests.ledger.archiving import archive, run_once
from tests.ledger.playing import claimed, settle, submit
from tests.waiting import until

URL = "https://example.org/hook"
BOTH = {"url": URL, "events": ["started", "finished"]}
GONE = Sent(answered=410, error="it answered 410", is_gone=True)


def told(ledger: Ledger, job_id: str, *, owner: str = "") -> DeliveryList:
    return ledger.run(deliveries.list_deliveries(job_id, owner=owner))


def take(ledger: Ledger, taker: str = "t1", *, most: int = 1) -> list[Chore]:
    return ledger.run(chores.take("webhook", taker, most=most, kept_ms=60_000))


def ended(ledger: Ledger, *, owner: str = "ada", **webhook: object) -> str:
    """A job that has run, with all it has to tell still waiting; gives its id."""
    job_id = submit(ledger, owner=owner, webhook={**BOTH, **webhook})
    lease = claimed(ledger)
    next_millisecond(ledger)
    settle(ledger, lease, "failed")
    return job_id


def next_millisecond(ledger: Ledger) -> None:
    """Wait for it: what happens in the same one has no order."""
    until_ms = now_ms(ledger) + 1
    until(lambda: now_ms(ledger) >= until_ms, "the clock goes on", poll_s=0.0002)


def now_ms(ledger: Ledger) -> int:
    seconds, microseconds = ledger._client.time()
    return seconds * 1000 + microseconds // 1000


def live_again(ledger: Ledger, job_id: str) -> None:
    next_millisecond(ledger)
    ledger.run(transitions.retry(job_id, from_checkpoint=False))
    ledger.run(transitions.ask(job_id, Event.CANCEL))


def waiting(redis_url: str, keys: Keys) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return int(str(client.zcard(keys.key("chores", "webhook"))))


def given_up(redis_url: str, keys: Keys) -> int:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        return int(str(client.hget(keys.key("counters"), "chore:webhook:given_up") or 0))


def has_entries(redis_url: str, keys: Keys, job_id: str) -> bool:
    with redis.Redis.from_url(redis_url) as client:
        return client.exists(keys.key("deliveries", job_id)) == 1


def test_a_message_waits_from_the_moment_it_is_made(ledger: Ledger) -> None:
    job_id = ended(ledger)

    all_of_it = told(ledger, job_id)

    finished, started = all_of_it.deliveries
    assert (all_of_it.url, all_of_it.events, all_of_it.disabled_at) == (URL, ["started", "finished"], None)
    assert (started.event, started.status) == ("started", Status.RUNNING)
    assert (finished.event, finished.status) == ("finished", Status.FAILED)
    assert finished.id == f"{job_id}.finished.{finished.created_at.timestamp() * 1000:.0f}"
    for one in (started, finished):
        assert (one.state, one.attempts, one.last_attempt_at, one.response_status) == ("pending", 0, None, None)
        assert (one.error, one.delivered_at, one.next_attempt_at) == (None, None, one.created_at)


def test_an_attempt_that_failed_is_told_with_what_came_of_it_and_when_it_is_repeated(ledger: Ledger) -> None:
    job_id = ended(ledger, events=["finished"])
    (chore,) = take(ledger)

    ledger.run(chores.put_off(chore, again_ms=60_000, sent=Sent(answered=503, error="it answered 503")))

    (one,) = told(ledger, job_id).deliveries
    assert (one.state, one.attempts, one.response_status, one.error) == ("pending", 1, 503, "it answered 503")
    assert one.last_attempt_at is not None
    assert one.next_attempt_at == one.last_attempt_at + timedelta(minutes=1)


def test_what_is_delivered_keeps_its_last_error(ledger: Ledger) -> None:
    job_id = ended(ledger, events=["finished"])
    (first,) = take(ledger)
    ledger.run(chores.put_off(first, again_ms=0, sent=Sent(answered=None, error="nobody there")))
    (second,) = take(ledger, "t2")

    ledger.run(chores.tick_off(second, sent=Sent(answered=204)))

    (one,) = told(ledger, job_id).deliveries
    assert (one.state, one.attempts, one.response_status, one.error) == ("delivered", 2, 204, "nobody there")
    assert one.delivered_at == one.last_attempt_at is not None
    assert one.next_attempt_at is None


def test_what_was_no_attempt_counts_as_none(ledger: Ledger) -> None:
    job_id = ended(ledger, events=["finished"])
    (chore,) = take(ledger)

    ledger.run(chores.put_off(chore, again_ms=60_000))

    (one,) = told(ledger, job_id).deliveries
    assert (one.attempts, one.last_attempt_at, one.error) == (0, None, None)


def test_an_error_is_one_short_line(ledger: Ledger) -> None:
    job_id = ended(ledger, events=["finished"])
    (chore,) = take(ledger)

    ledger.run(chores.put_off(chore, again_ms=0, sent=Sent(answered=None, error="a\r\nb: \x1b[31m ρ" + "c" * 500)))

    (one,) = told(ledger, job_id).deliveries
    assert one.error == ("a b: [31m ρ" + "c" * 500)[:200]


def test_a_sender_that_died_has_recorded_nothing_and_another_sends_it_again(ledger: Ledger) -> None:
    """At least once: that of the first is an attempt that nobody has counted."""
    job_id = ended(ledger, events=["finished"])
    (dying,) = ledger.run(chores.take("webhook", "it dies now", most=1, kept_ms=1))
    (one,) = told(ledger, job_id).deliveries
    assert (one.state, one.attempts) == ("pending", 0)
    [another] = until(lambda: take(ledger, "another"), "it falls due again")

    ledger.run(chores.tick_off(another, sent=Sent(answered=200)))
    ledger.run(chores.put_off(dying, again_ms=0, sent=Sent(answered=500, error="late")))  # it had only been slow

    (one,) = told(ledger, job_id).deliveries
    assert (one.state, one.attempts, one.response_status, one.error) == ("delivered", 1, 200, None)


def test_a_receiver_that_is_gone_is_told_nothing_more_of_the_job(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    job_id, other = ended(ledger), ended(ledger)
    (chore,) = take(ledger)
    assert chore.job_id == job_id

    ledger.run(chores.tick_off(chore, "given_up", sent=GONE))

    now = told(ledger, job_id)
    finished, started = now.deliveries
    assert (now.disabled_at, now.disabled_reason) == (started.last_attempt_at, "it answered 410")
    assert (started.state, started.attempts, started.response_status) == ("given_up", 1, 410)
    assert (finished.state, finished.attempts, finished.next_attempt_at) == ("given_up", 0, None)
    assert given_up(redis_url, keys) == 2
    live_again(ledger, job_id)
    assert told(ledger, job_id) == now
    assert [one.state for one in told(ledger, other).deliveries] == ["pending", "pending"]
    assert waiting(redis_url, keys) == 2


def test_one_on_its_way_when_another_was_refused_for_good_changes_nothing_any_more(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    job_id = ended(ledger)
    started, finished = take(ledger, most=2)
    ledger.run(chores.tick_off(started, "given_up", sent=GONE))
    before = told(ledger, job_id)

    ledger.run(chores.put_off(finished, again_ms=0, sent=Sent(answered=500, error="it answered 500")))

    assert told(ledger, job_id) == before
    assert waiting(redis_url, keys) == 0


def test_two_ends_in_one_millisecond_are_two_messages(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    job_id = submit(ledger, webhook=BOTH)
    ledger.run(transitions.ask(job_id, Event.CANCEL))
    with redis.Redis.from_url(redis_url) as client:
        # as if it had ended otherwise in each of the milliseconds that come
        next_ms = now_ms(ledger) + 1
        coming = [(f"finished failed {ms}", "pending 0 - - ") for ms in range(next_ms, next_ms + 5_000)]
        client.hset(keys.key("deliveries", job_id), items=[word for entry in coming for word in entry])

    ledger.run(transitions.retry(job_id, from_checkpoint=False))
    ledger.run(transitions.ask(job_id, Event.CANCEL))

    latest, *others = told(ledger, job_id).deliveries
    assert latest.status == Status.CANCELLED
    assert latest.id not in {one.id for one in others}


def test_of_many_lives_the_latest_messages_are_kept_and_those_that_wait_before_others(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    job_id = ended(ledger)
    started, finished = take(ledger, most=2)
    ledger.run(chores.put_off(started, again_ms=0, sent=Sent(answered=500, error="it answered 500")))
    ledger.run(chores.tick_off(finished, sent=Sent(answered=204)))
    for _ in range(31):
        live_again(ledger, job_id)

    now = told(ledger, job_id).deliveries
    assert len(now) == waiting(redis_url, keys) == 32
    assert (now[-1].event, now[-1].attempts) == ("started", 1)
    live_again(ledger, job_id)
    then = told(ledger, job_id).deliveries

    assert [one.event for one in then] == ["finished"] * 32
    assert then[1:] == now[:-1]
    assert waiting(redis_url, keys) == 32


def test_who_has_as_many_on_their_way_as_one_may_is_passed_by(ledger: Ledger) -> None:
    of_ada = [ended(ledger) for _ in range(2)]
    of_bob = ended(ledger, owner="bob")

    taken = ledger.run(chores.take("webhook", "t1", most=5, kept_ms=60_000, per_owner=2, owners=["ada"]))
    again = ledger.run(chores.take("webhook", "t1", most=5, kept_ms=60_000, per_owner=2, owners=["ada"]))

    assert [(chore.owner, chore.job_id) for chore in taken] == [("ada", of_ada[0]), ("bob", of_bob), ("bob", of_bob)]
    assert again == taken


def test_however_many_one_owner_has_waiting_others_have_their_turn(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    of_ada, of_bob = ended(ledger), ended(ledger, owner="bob")
    with redis.Redis.from_url(redis_url) as client:
        older = {f"{of_ada} finished failed {ms}": ms for ms in range(2_500)}
        client.zadd(keys.key("chores", "webhook"), older)

    def taken() -> list[Chore]:
        return ledger.run(chores.take("webhook", "t1", most=1, kept_ms=60_000, per_owner=2, owners=["ada", "ada"]))

    [chore] = until(taken, "bob has his turn")

    assert chore.job_id == of_bob
    assert waiting(redis_url, keys) == 2_504


def test_entries_outlast_the_packing_and_a_second_life(ledger: Ledger, tmp_path: Path) -> None:
    job_id = submit(ledger, webhook=BOTH)
    run_once(ledger)
    before = told(ledger, job_id)

    archive(ledger, tmp_path, job_id)
    assert told(ledger, job_id) == before
    live_again(ledger, job_id)

    assert told(ledger, job_id).deliveries[1:] == before.deliveries


@pytest.mark.parametrize("leave", [transitions.delete, chores.forget], ids=["deleted", "retired"])
def test_entries_go_with_their_job_and_do_not_come_back(
    ledger: Ledger, redis_url: str, keys: Keys, leave: Callable[[str], Call[object]]
) -> None:
    job_id = ended(ledger)
    assert has_entries(redis_url, keys, job_id)
    (chore,) = take(ledger)

    ledger.run(leave(job_id))
    ledger.run(chores.put_off(chore, again_ms=0, sent=Sent(answered=500, error="it answered 500")))

    assert not has_entries(redis_url, keys, job_id)
    assert (waiting(redis_url, keys), given_up(redis_url, keys)) == (0, 2)
    with pytest.raises(JobNotFound):
        told(ledger, job_id)


def test_of_a_job_that_waits_nothing_is_told_yet(ledger: Ledger) -> None:
    job_id = submit(ledger, webhook=BOTH)

    assert told(ledger, job_id).deliveries == []


def test_a_job_without_a_webhook_has_no_entries(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    job_id = submit(ledger)
    settle(ledger, claimed(ledger), "failed")

    assert told(ledger, job_id) == DeliveryList(
        url=None, events=[], disabled_at=None, disabled_reason=None, deliveries=[]
    )
    assert not has_entries(redis_url, keys, job_id)


def test_after_a_rebuild_there_are_no_entries_and_a_second_life_makes_new_ones(
    ledger: Ledger, redis_url: str, tmp_path: Path
) -> None:
    job_id = submit(ledger, webhook=BOTH)
    run_once(ledger)
    record = archive(ledger, tmp_path, job_id)

    with Ledger(redis_url, Keys("{again-" + job_id + "}:")) as again:
        again.run(chores.restore(record))
        assert (told(again, job_id).url, told(again, job_id).deliveries) == (URL, [])
        live_again(again, job_id)
        assert [one.state for one in told(again, job_id).deliveries] == ["pending"]


def test_to_another_owner_they_are_not_there(ledger: Ledger) -> None:
    job_id = ended(ledger)

    with pytest.raises(JobNotFound):
        told(ledger, job_id, owner="bob")
    assert told(ledger, job_id, owner="ada").url == URL
