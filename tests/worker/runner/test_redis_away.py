"""Leases, and a Redis that is slow or away."""

import signal

import pytest

from ledger import Ledger, runs
from lowland.spec import Status
from tests.conftest import Valkey
from tests.ledger.playing import LOST, claim, submit
from tests.waiting import until
from tests.worker.engines import (
    ARTIFACT,
    CHECKPOINT,
    EPOCH,
    FINISHED,
    say,
)
from tests.worker.runner.playing import Play, alive, engine_pid, lease_of


def test_an_engine_is_not_called_hung_while_its_pipe_is_not_read(
    play: Play, ledger: Ledger, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.outbox.MAX_RECORDS", 2)
    submit(ledger, stall_timeout_s=1.0)
    many = "".join(say(EPOCH) for _ in range(6))
    played = play("echo $$ > $OUT/pid\nsleep 0.3\n" + many + "sleep 0.5\n" + say(FINISHED))
    thread = played.answering()
    engine_pid(played)

    valkey.process.send_signal(signal.SIGSTOP)
    try:
        thread.join(3)
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    thread.join(10)

    assert played.job().status == Status.SUCCEEDED


def test_a_runner_that_lost_its_lease_kills_its_engine_and_frees_its_device(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    played = play("echo $$ > $OUT/pid; while :; do sleep 0.01; done")
    thread = played.answering()
    pid = engine_pid(played)

    def expire() -> list[runs.Ended]:
        ledger.run(runs.renew(lease_of(played), lease_ms=0))
        return ledger.run(runs.expire(failure=LOST, lease_ms=0))

    assert until(expire, "the lease expires", poll_s=0)

    thread.join(10)
    assert not alive(pid)
    assert claim(ledger, runner="r2") is not None


def test_the_lease_is_renewed_while_an_engine_is_silent(play: Play, ledger: Ledger) -> None:
    submit(ledger)
    played = play("echo $$ > $OUT/pid; sleep 2.5\n" + say(FINISHED))
    thread = played.answering()
    engine_pid(played)

    while thread.is_alive():
        assert ledger.run(runs.expire(failure=LOST, lease_ms=0)) == []
        thread.join(0.1)

    assert played.job().status == Status.SUCCEEDED


def test_a_claim_whose_answer_is_late_is_asked_for_again_and_not_lost(
    play: Play, ledger: Ledger, valkey: Valkey
) -> None:
    submit(ledger, max_attempts=1)
    played = play(say(FINISHED))

    valkey.process.send_signal(signal.SIGSTOP)
    try:
        thread = played.answering()
        thread.join(1.5)
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    thread.join(10)

    job = played.job()
    assert (job.status, [one.outcome for one in job.attempts]) == (Status.SUCCEEDED, ["succeeded"])


def test_reports_made_while_redis_was_away_are_all_recorded(play: Play, ledger: Ledger, valkey: Valkey) -> None:
    submit(ledger)
    played = play("echo $$ > $OUT/pid\nsleep 0.3\n" + say(EPOCH, CHECKPOINT, ARTIFACT, FINISHED))
    thread = played.answering()
    engine_pid(played)

    valkey.process.send_signal(signal.SIGSTOP)
    try:
        thread.join(3)
        assert thread.is_alive()
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    thread.join(10)

    job = played.job()
    assert job.status == Status.SUCCEEDED
    assert [one.name for one in job.artifacts] == [ARTIFACT.name]
