"""One job under one idempotency key of one owner."""

from pathlib import Path

import pytest

from ledger import Idempotency, IdempotencyKeyReused, JobGone, Ledger, chores, reads, transitions
from lowland.spec import JobSpec, Status
from lowland.spec.resource import Job
from tests.ledger.archiving import archive, finished, retry
from tests.ledger.playing import claimed, settle

SPEC = JobSpec.parse({"dataset": "digits"})
KEY = Idempotency(key="k1", fingerprint="f1")


def submit(ledger: Ledger, job_id: str, idempotency: Idempotency = KEY, *, owner: str = "ada") -> Job:
    return ledger.run(transitions.submit(job_id, SPEC, owner=owner, idempotency=idempotency))


def known(ledger: Ledger) -> list[str]:
    return sorted(job.id for job in ledger.run(reads.list_jobs(limit=9)).jobs)


def test_another_request_under_the_key_gets_the_first_one_s_job(ledger: Ledger) -> None:
    first = submit(ledger, "job-1")

    assert submit(ledger, "job-2") == first
    assert known(ledger) == ["job-1"]


def test_the_job_is_given_as_it_stands_once_it_is_packed_and_once_it_is_retried(ledger: Ledger, tmp_path: Path) -> None:
    submit(ledger, "job-1")
    settle(ledger, claimed(ledger), "failed")
    archive(ledger, tmp_path, "job-1")
    packed = submit(ledger, "job-2")
    retry(ledger, "job-1")

    assert (packed.id, packed.status, packed.spec) == ("job-1", Status.FAILED, SPEC)
    assert submit(ledger, "job-2").status == Status.QUEUED


def test_each_owner_has_keys_of_his_own(ledger: Ledger) -> None:
    submit(ledger, "job-1", owner="ada")

    assert submit(ledger, "job-2", owner="emmy").id == "job-2"
    assert not ledger.run(reads.is_known(KEY, owner="eve"))


def test_something_else_under_the_key_is_refused_also_when_the_job_is_gone(ledger: Ledger) -> None:
    submit(ledger, "job-1")
    other = Idempotency(key="k1", fingerprint="f2")

    with pytest.raises(IdempotencyKeyReused, match="job-1"):
        submit(ledger, "job-2", other)
    settle(ledger, claimed(ledger), "succeeded")
    ledger.run(chores.forget("job-1"))
    with pytest.raises(IdempotencyKeyReused, match="job-1"):
        submit(ledger, "job-2", other)
    with pytest.raises(JobGone, match="job-1"):
        submit(ledger, "job-2")
    assert known(ledger) == []


def test_a_request_without_a_key_always_makes_a_job(ledger: Ledger) -> None:
    finished(ledger)
    ids = known(ledger)

    ledger.run(transitions.submit("job-2", SPEC, owner="ada"))

    assert known(ledger) == sorted([*ids, "job-2"])
