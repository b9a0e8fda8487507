"""Every script in any order, against a real server, beside a model of it in Python."""

import secrets
import uuid
from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger import (
    CheckpointMissing,
    EventRefused,
    Keys,
    Lease,
    LeaseLost,
    Ledger,
    Presence,
    chores,
    presence,
    reads,
    runs,
    transitions,
)
from ledger.packing import Record
from lowland.spec import Event, Status
from tests.ledger.model import MAX_ATTEMPTS, ModelLedger
from tests.ledger.playing import LOST, enroll, submit

#: Few, so that much happens to each.
MOST_JOBS = 4
WORKERS = ("w1", "w2")
#: A lease that has run out as soon as a millisecond has passed, and one that never does here.
SHORT_MS, LONG_MS = 0, 600_000
ENDINGS = st.sampled_from(["succeeded", "failed", "stopped", "lost"])


class Ledgers(RuleBasedStateMachine):
    """A real ledger and its model, driven together."""

    url = ""
    jobs = Bundle("jobs")
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.keys = Keys(f"{{s{secrets.token_hex(6)}}}:")
        self.ledger = Ledger(self.url, self.keys)
        self.server = redis.Redis.from_url(self.url, decode_responses=True)
        self.model = ModelLedger()
        self.records: dict[str, Record] = {}
        for worker in WORKERS:
            enroll(self.ledger, worker)

    def teardown(self) -> None:
        if names := list(self.server.scan_iter(self.keys.prefix + "*")):
            self.server.delete(*names)
        self.server.close()
        self.ledger.close()

    @precondition(lambda self: len(self.model.jobs) < MOST_JOBS)
    @rule(target=jobs, owner=st.sampled_from(["ada", "bob"]), priority=st.sampled_from([0, 0, 5]))
    def submit(self, owner: str, priority: int) -> str:
        job_id = submit(self.ledger, owner=owner, priority=priority, max_attempts=MAX_ATTEMPTS)
        self.server.hset(self.keys.key("job", job_id), "created_ms", 1_000 + len(self.model.jobs))
        self.server.zadd(
            self.keys.key("queue", f"any:1:0::2:{owner}"),
            {job_id: (100 - priority) * 1e13 + 1_000 + len(self.model.jobs)},
        )
        self.model.submit(job_id, owner, priority)
        return job_id

    @rule(target=leases, worker=st.sampled_from(WORKERS), runner=st.sampled_from("ab"), lasts=st.booleans())
    def claim(self, worker: str, runner: str, lasts: bool) -> Any:
        call = runs.claim(
            str(uuid.uuid4()),
            worker=worker,
            incarnation="i1",
            runner=worker + runner,
            lease_ms=LONG_MS if lasts else SHORT_MS,
            failure=LOST,
        )
        lease = self.ledger.run(call)
        assert (lease.job_id if lease else None) == self.model.claim(worker, worker + runner)
        if lease is not None:
            self.model.jobs[lease.job_id].current.expires = not lasts
            assert self.ledger.run(call) == lease
        return lease

    def is_current(self, lease: Lease) -> bool:
        job = self.model.jobs[lease.job_id]
        return job.status == Status.RUNNING and lease.token == len(job.runs)

    @rule(lease=leases, lasts=st.booleans())
    def begin(self, lease: Lease | None, lasts: bool) -> None:
        self.as_holder(
            lease, lambda held: runs.begin(held, lease_ms=LONG_MS if lasts else SHORT_MS), lasts, begins=True
        )

    @rule(lease=leases, lasts=st.booleans())
    def renew(self, lease: Lease | None, lasts: bool) -> None:
        self.as_holder(lease, lambda held: runs.renew(held, lease_ms=LONG_MS if lasts else SHORT_MS), lasts)

    @rule(lease=leases, accuracy=st.sampled_from([0.25, 0.5]), checkpoint=st.booleans(), late=st.booleans())
    def report(self, lease: Lease | None, accuracy: float, checkpoint: bool, late: bool) -> None:
        if lease is None:
            return
        run = self.model.jobs[lease.job_id].runs[lease.token - 1]
        sequence = run.sequence + (0 if late else 1)
        written = runs.Checkpoint(token=lease.token, name="a.pt", size_bytes=1, sha256="0" * 64, step=1)
        fields = {"accuracy": repr(accuracy)}
        if checkpoint:
            fields["checkpoints"] = runs.write_checkpoints([written])
        is_current = self.is_current(lease)
        self.as_holder(lease, lambda held: runs.report(held, sequence, lease_ms=LONG_MS, fields=fields), lasts=True)
        if is_current and not late:
            run.sequence = sequence
            self.model.jobs[lease.job_id].accuracy = accuracy
            self.model.jobs[lease.job_id].has_checkpoint |= checkpoint

    def as_holder(self, lease: Lease | None, call: Any, lasts: bool, *, begins: bool = False) -> None:
        """What only the holder of the lease may do; it learns of wishes."""
        if lease is None:
            return
        if not self.is_current(lease):
            with pytest.raises(LeaseLost):
                self.ledger.run(call(lease))
            return
        model = self.model.jobs[lease.job_id]
        assert self.ledger.run(call(lease)) == model.requested
        model.current.expires = not lasts
        model.current.begun |= begins

    @rule(lease=leases, ending=ENDINGS)
    def settle(self, lease: Lease | None, ending: runs.Ending) -> None:
        if lease is None:
            return
        call = runs.settle(lease, ending, failure=LOST if ending in {"failed", "lost"} else None)
        if self.is_current(lease):
            self.model.settle(lease.job_id, ending)
            status = self.ledger.run(call)
            assert status == self.model.jobs[lease.job_id].status
            assert self.ledger.run(call) == status
        else:  # a repetition, or a stale worker: either way nothing changes
            with suppress(LeaseLost):
                assert self.ledger.run(call) == self.model.jobs[lease.job_id].status

    @rule(target=leases, worker=st.sampled_from(WORKERS), ending=ENDINGS)
    def run(self, worker: str, ending: runs.Ending) -> Any:
        """The usual way of a run, in one step: single rules meet each other rarely."""
        lease = self.claim(worker, "a", True)
        self.begin(lease, True)
        self.report(lease, 0.5, True, False)
        self.settle(lease, ending)
        return lease

    @rule(lease=consumes(leases))
    def vacate(self, lease: Lease | None) -> None:
        """As a runner does that has lost its lease."""
        if lease is not None and not self.is_current(lease):
            self.ledger.run(runs.vacate(lease))
            self.model.jobs[lease.job_id].runs[lease.token - 1].holds_slot = False

    @rule(job_id=jobs, event=st.sampled_from([Event.PAUSE, Event.RESUME, Event.CANCEL]))
    def ask(self, job_id: str, event: transitions.Asked) -> None:
        call = transitions.ask(job_id, event)
        if self.model.ask(job_id, event):
            self.ledger.run(call)
            self.ledger.run(call)
        else:
            for _ in range(2):
                with pytest.raises(EventRefused):
                    self.ledger.run(call)

    @rule(job_id=jobs, from_checkpoint=st.booleans())
    def retry(self, job_id: str, from_checkpoint: bool) -> None:
        expected = self.model.retry(job_id, from_checkpoint=from_checkpoint)
        try:
            call = transitions.retry(job_id, from_checkpoint=from_checkpoint)
            self.ledger.run(call)
            self.ledger.run(call)
        except EventRefused:
            assert expected == "refused"
        except CheckpointMissing:
            assert expected == "no checkpoint"
        else:
            assert expected == "done"

    @rule()
    def expire(self) -> None:
        until_ms = self.now_ms() + 1
        while self.now_ms() < until_ms:
            pass
        self.model.expire()
        self.ledger.run(runs.expire(failure=LOST, lease_ms=0))

    def now_ms(self) -> int:
        seconds, microseconds = self.server.time()
        return seconds * 1000 + microseconds // 1000

    @rule(worker=st.sampled_from(WORKERS), living=st.booleans())
    def beat(self, worker: str, living: bool) -> None:
        names = (worker + "a", worker + "b") if living else ()
        self.ledger.run(presence.heartbeat(Presence(worker=worker, incarnation="i1", runners=names), failure=LOST))
        if not living:
            self.model.runner_died(worker)

    @rule()
    def archive(self) -> None:
        """What a keeper does with finished jobs, but for the writing."""
        for chore in self.ledger.run(chores.take("archive", uuid.uuid4().hex, most=100, kept_ms=60_000)):
            record = self.ledger.run(chores.read_record(chore.member))
            assert self.model.jobs[chore.member].status.terminal
            if "packed" not in record.fields:
                assert self.ledger.run(chores.pack_job(record))
            self.ledger.run(chores.tick_off(chore))

    @invariant()
    def every_job_is_as_in_the_model(self) -> None:
        for real in self.ledger.run(reads.list_jobs(limit=200)).jobs:
            model = self.model.jobs[real.id]
            assert (real.status, real.requested, real.accuracy) == (model.status, model.requested, model.accuracy)
            assert self.server.hget(self.keys.key("job", real.id), "spent") == str(model.spent)
            assert (real.error is not None) == model.error
            assert [one.outcome for one in real.attempts] == [one.outcome for one in model.runs]
            assert (real.queue is not None) == (model.status == Status.QUEUED)
            assert (real.finished_at is not None) == model.status.terminal

    @invariant()
    def every_index_agrees_with_the_jobs(self) -> None:
        by_status = {status: {i for i, one in self.model.jobs.items() if one.status == status} for status in Status}
        for status, ids in by_status.items():
            assert set(self.server.zrange(self.keys.key("jobs_by_status", status), 0, -1)) == ids
        queued = [
            one
            for name in self.server.smembers(self.keys.key("queues"))
            for one in self.server.zrange(self.keys.key("queue", str(name)), 0, -1)
        ]
        assert sorted(queued) == sorted(by_status[Status.QUEUED])
        assert set(self.server.zrange(self.keys.key("leases"), 0, -1)) == by_status[Status.RUNNING]
        for field in ("owner:ada", "owner:bob", "dataset:digits", "variant:sam"):
            ids = self.server.zrange(self.keys.key("jobs_by", *field.split(":")), 0, -1)
            is_owned = field.startswith("owner:")
            assert set(ids) == {
                job_id
                for job_id in self.model.jobs
                if not is_owned or self.server.hget(self.keys.key("job", job_id), "owner") == field[6:]
            }
        finished = {job_id for job_id, one in self.model.jobs.items() if one.status.terminal}
        assert set(self.server.zrange(self.keys.key("finished"), 0, -1)) == finished
        for owner in ("ada", "bob"):
            unfinished = {i for i, one in self.model.jobs.items() if one.owner == owner and not one.status.terminal}
            assert self.server.smembers(self.keys.key("unfinished", owner)) == unfinished
        running = {owner: self.model.running_of(owner) for owner in ("ada", "bob")}
        counted = self.server.hgetall(self.keys.key("running"))
        assert counted == {owner: str(count) for owner, count in running.items() if count}

    @invariant()
    def every_slot_is_held_by_whom_the_model_says(self) -> None:
        for worker in WORKERS:
            held = self.model.holder_of(worker)
            real = self.server.hget(self.keys.key("slots", worker), "cpu:0")
            assert (real.split()[0] if real else None) == (held[0] if held else None)


@pytest.mark.timeout(300)
def test_the_ledger_does_what_its_model_does(redis_url: str) -> None:
    machine = type("LedgersHere", (Ledgers,), {"url": redis_url})
    options = settings(
        max_examples=300,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=True,
    )
    run_state_machine_as_test(machine, settings=options)
