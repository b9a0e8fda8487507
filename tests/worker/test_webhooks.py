"""Webhooks, to a real receiver on loopback."""

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

import worker.chores
import worker.webhooks
from ledger import Ledger, chores, deliveries
from ledger.chores import Told
from tests.ledger.archiving import finished, retry
from tests.ledger.playing import claimed, job, settle, submit
from tests.waiting import until
from tests.worker.keepers import doing, left, until_done, working
from tests.worker.receiving import Receiver
from worker.chores import HANDS, OWNER_HANDS, WEBHOOK_HANDS
from worker.webhooks import send

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pauses of no length; gives how many there are."""
    monkeypatch.setattr(worker.chores, "SCHEDULE_S", (0, 0, 0))
    return 3


def finished_with(ledger: Ledger, receiver: Receiver, **webhook: Any) -> str:
    return finished(ledger, epochs=1, webhook={"url": receiver.url, "secret": SECRET, **webhook})


def test_a_finished_job_is_told_with_a_signature_that_holds(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    job_id = finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    [received] = receiver.received
    told = Webhook(SECRET).verify(received.body, received.headers)
    ended = job(ledger, job_id).model_dump(mode="json")
    assert told == {"type": "job.finished", "timestamp": ended["finished_at"], "data": ended}
    assert received.path == "/hook?of=ada"
    assert received.headers["content-type"] == "application/json"
    assert SECRET not in received.body.decode()


def test_without_a_secret_there_is_no_signature(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    finished_with(ledger, receiver, secret=None)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert "webhook-signature" not in receiver.received[0].headers


def test_start_and_end_are_told_once_each(ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver) -> None:
    job_id = submit(ledger, webhook={"url": receiver.url, "events": ["started", "finished"]})

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        settle(ledger, claimed(ledger), "stopped")  # put back by a worker that shuts down
        settle(ledger, claimed(ledger), "succeeded")
        until_done(redis_url, ledger, "webhook")

    assert Counter(one.json["type"] for one in receiver.received) == {"job.started": 1, "job.finished": 1}
    assert {kind_of(one.message_id) for one in receiver.received} == {f"{job_id}.started", f"{job_id}.finished"}


def test_what_was_not_asked_for_is_not_told(ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver) -> None:
    finished_with(ledger, receiver, events=["started"])

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert [one.json["type"] for one in receiver.received] == ["job.started"]


def test_a_second_life_is_told_under_an_id_of_its_own(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    job_id = finished_with(ledger, receiver)
    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

        retry(ledger, job_id)
        settle(ledger, claimed(ledger), "succeeded")

        until(lambda: len(receiver.received) == 2, "it is told again")

    assert [kind_of(one.message_id) for one in receiver.received] == [f"{job_id}.finished"] * 2
    assert len({one.message_id for one in receiver.received}) == 2


def test_a_message_that_comes_late_tells_the_end_of_then_and_the_job_of_now(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    job_id = finished_with(ledger, receiver)
    before = job(ledger, job_id).model_dump(mode="json")
    retry(ledger, job_id)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    now = job(ledger, job_id)
    assert now.queue is not None
    [received] = receiver.received
    assert received.json == {
        "type": "job.finished",
        "timestamp": before["finished_at"],
        "data": {
            **now.model_dump(mode="json"),
            "status": "failed",
            "terminal": True,
            "finished_at": before["finished_at"],
            "queue": None,
        },
    }


@pytest.mark.usefixtures("impatient")
def test_a_message_is_sent_again_under_the_same_id_until_it_is_taken(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = lambda number: 204 if number == 2 else 500
    job_id = finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert [kind_of(one.message_id) for one in receiver.received] == [f"{job_id}.finished"] * 3
    assert len({one.message_id for one in receiver.received}) == 1
    for one in receiver.received:
        Webhook(SECRET).verify(one.body, one.headers)


def test_the_pauses_are_those_of_the_schedule(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.chores, "SCHEDULE_S", (0, 3600))
    receiver.answers = lambda number: 500
    finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until(lambda: list(left(redis_url, ledger, "webhook").values()) == [2], "it was tried twice")

    assert len(receiver.received) == 2


def test_after_the_last_pause_a_message_is_given_up(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver, impatient: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = lambda number: 500
    job_id = finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert len(receiver.received) == impatient + 1
    assert re.search(rf"webhook given up: {job_id} finished failed \d+: it answered 500", caplog.text)


def test_what_is_not_the_receiver_s_fault_takes_nothing_from_its_schedule(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver, impatient: int
) -> None:
    receiver.answers = lambda number: 500
    finished_with(ledger, receiver)
    for number in range(impatient):
        [taken] = ledger.run(chores.take("webhook", f"Redis fails it {number}", most=1, kept_ms=60_000))
        ledger.run(chores.put_off(taken, again_ms=0))

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert len(receiver.received) == impatient + 1


@pytest.mark.usefixtures("impatient")
def test_a_receiver_that_is_gone_hears_nothing_more_of_the_job(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = lambda number: 410
    job_id = submit(ledger, webhook={"url": receiver.url, "events": ["started", "finished"]})

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        lease = claimed(ledger)
        until_done(redis_url, ledger, "webhook")
        settle(ledger, lease, "failed")
        retry(ledger, job_id)
        settle(ledger, claimed(ledger), "succeeded")
        until_done(redis_url, ledger, "archive")
        until_done(redis_url, ledger, "webhook")

    told = ledger.run(deliveries.list_deliveries(job_id))
    assert [kind_of(one.message_id) for one in receiver.received] == [f"{job_id}.started"]
    assert [(one.event, one.state, one.attempts) for one in told.deliveries] == [("started", "given_up", 1)]
    assert told.disabled_reason == "it answered 410"


@pytest.mark.usefixtures("impatient")
def test_the_list_of_deliveries_says_what_the_receiver_saw(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = lambda number: 202 if number == 2 else 503
    job_id = finished_with(ledger, receiver)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    [one] = ledger.run(deliveries.list_deliveries(job_id)).deliveries
    assert receiver.counts() == {one.id: 3}
    assert (one.state, one.attempts, one.response_status, one.error) == ("delivered", 3, 202, "it answered 503")
    assert one.model_dump(mode="json")["created_at"] == receiver.received[0].json["timestamp"]


def test_what_a_keeper_sent_that_died_before_it_said_so_is_sent_again(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    job_id = finished_with(ledger, receiver)
    [taken] = ledger.run(chores.take("webhook", "it dies now", most=1, kept_ms=200))
    send(receiver.url, Told.read(taken.member).message_id, "{}", secret=None, private_allowed=True)

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    [one] = ledger.run(deliveries.list_deliveries(job_id)).deliveries
    assert receiver.counts() == {one.id: 2}
    assert (one.state, one.attempts) == ("delivered", 1)


def test_private_addresses_are_refused_by_default(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    finished_with(ledger, receiver)

    with caplog.at_level(logging.WARNING), doing(ledger, redis_url, tmp_path) as keeper:
        keeper.start_due()

    assert receiver.received == []
    assert list(left(redis_url, ledger, "webhook").values()) == [1]
    assert "127.0.0.1 leads to an address that is not public (LOWLAND_WEBHOOK_PRIVATE allows it)" in caplog.text


@pytest.mark.usefixtures("impatient")
def test_a_message_is_never_sent_by_two_keepers_at_once(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = lambda number: 204 if number == 2 else 503
    receiver.takes_s = 0.05
    ids = [finished_with(ledger, receiver) for _ in range(10)]

    with working(ledger, redis_url, tmp_path, keepers=2, webhook_private=True):
        until_done(redis_url, ledger, "webhook")

    assert sorted(receiver.counts().values()) == [3] * len(ids)
    assert {kind_of(one) for one in receiver.counts()} == {f"{job_id}.finished" for job_id in ids}
    assert receiver.most_at_once == 1


def test_one_owner_s_slow_receiver_holds_nobody_else_up(
    ledger: Ledger, redis_url: str, tmp_path: Path, receiver: Receiver, slow_receiver: Receiver
) -> None:
    for _ in range(HANDS + 1):
        finished_with(ledger, slow_receiver)
    another = finished(ledger, owner="bob", epochs=1, webhook={"url": receiver.url})

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until(lambda: receiver.received, "bob is told")
        assert len(slow_receiver.received) <= OWNER_HANDS
        slow_receiver.go_on.set()
        until_done(redis_url, ledger, "webhook")

    assert kind_of(receiver.received[0].message_id) == f"{another}.finished"
    assert len(slow_receiver.received) == HANDS + 1


def test_webhooks_leave_hands_for_other_chores(
    ledger: Ledger, redis_url: str, tmp_path: Path, slow_receiver: Receiver
) -> None:
    for number in range(HANDS + 1):
        finished(ledger, owner=f"owner {number}", epochs=1, webhook={"url": slow_receiver.url})

    with working(ledger, redis_url, tmp_path, webhook_private=True):
        until(lambda: len(slow_receiver.received) >= WEBHOOK_HANDS, "all hands that may are sending")
        until_done(redis_url, ledger, "archive")
        finished(ledger, epochs=1)
        until_done(redis_url, ledger, "archive")
        assert len(slow_receiver.received) == WEBHOOK_HANDS
        slow_receiver.go_on.set()


def kind_of(message_id: str) -> str:
    """Without the moment."""
    return message_id.rpartition(".")[0]
