"""A client may send a call again when a reply was lost. The state is that of one execution, and so is the answer."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from ledger import (
    Call,
    Idempotency,
    Keys,
    Lease,
    Ledger,
    Presence,
    Wanted,
    access,
    chores,
    deliveries,
    measures,
    presence,
    reads,
    rebuilding,
    runs,
    transitions,
)
from ledger.chores import Chore, Sent
from ledger.history import Position, get_history
from ledger.packing import Record
from ledger.scripts import script_names
from lowland.spec import Event, JobSpec
from lowland.spec.access import Scope
from tests.ledger.playing import LOST, STORE, claimed, enroll, machine, submit

SPEC = JobSpec.parse({"dataset": "digits"})
KEY = Idempotency(key="k1", fingerprint="f1")


def running(ledger: Ledger) -> Lease:
    submit(ledger)
    return claimed(ledger, worker="w1", runner="r1")


def lapsed(ledger: Ledger) -> Lease:
    submit(ledger)
    return claimed(ledger, lease_ms=0)


def failed(ledger: Ledger) -> str:
    lease = running(ledger)
    ledger.run(runs.settle(lease, "failed", failure=LOST))
    return lease.job_id


def taken(ledger: Ledger) -> Chore:
    failed(ledger)
    (chore,) = ledger.run(chores.take("archive", "t1", most=1, kept_ms=60_000))
    return chore


def telling(ledger: Ledger) -> Chore:
    """A message in somebody's hands, while another one waits."""
    submit(ledger, webhook={"url": "https://example.org/", "events": ["started", "finished"]})
    ledger.run(runs.settle(claimed(ledger), "failed", failure=LOST))
    (chore,) = ledger.run(chores.take("webhook", "t1", most=1, kept_ms=60_000))
    return chore


def forgotten(ledger: Ledger) -> Record:
    record = ledger.run(chores.read_record(failed(ledger)))
    ledger.run(chores.forget(record.fields["id"]))
    return record


def key_made(ledger: Ledger) -> str:
    return ledger.run(create_key()).id


def create_key() -> Call[Any]:
    return access.create_key("lowland_k", owner="ada", scopes=[Scope.READ], expires_in_ms=60_000, quota=3)


AUDITED = access.audit(owner="ada", key_id="key_1", action="submit_job", subject="job-1", status=201)


def report(lease: Lease, sequence: int = 1) -> Call[Any]:
    return runs.report(lease, sequence, lease_ms=60_000, fields={"accuracy": "0.5"}, point='{"epoch": 1}')


def after(_: object, call: Call[Any]) -> Call[Any]:
    """The call, once what it needs is there."""
    return call


W1 = Presence(worker="w1", incarnation="i1", runners=())

CALLS: dict[str, Callable[[Ledger], Call[Any]]] = {
    "submit": lambda ledger: transitions.submit("job-1", SPEC, owner="ada"),
    "submit, with a key": lambda ledger: transitions.submit("job-1", SPEC, owner="ada", idempotency=KEY),
    "ask": lambda ledger: transitions.ask(submit(ledger), Event.PAUSE),
    "retry": lambda ledger: transitions.retry(failed(ledger), from_checkpoint=False),
    "delete": lambda ledger: transitions.delete(failed(ledger)),
    "cancel_all": lambda ledger: after((running(ledger), submit(ledger)), transitions.cancel_all(Wanted(), most=5)),
    "claim": lambda ledger: after(
        (submit(ledger), enroll(ledger, offers=machine("cpu:0", "cpu:1"))),
        runs.claim("c1", worker="w1", incarnation="i1", runner="r1", lease_ms=60_000, failure=LOST),
    ),
    "begin": lambda ledger: runs.begin(running(ledger), lease_ms=60_000),
    "renew": lambda ledger: runs.renew(running(ledger), lease_ms=60_000),
    "report": lambda ledger: report(running(ledger)),
    "settle": lambda ledger: runs.settle(running(ledger), "lost", failure=LOST),
    "vacate": lambda ledger: runs.vacate(running(ledger)),
    "expire": lambda ledger: after(lapsed(ledger), runs.expire(failure=LOST, lease_ms=0)),
    "enroll": lambda ledger: after(running(ledger), presence.enroll(W1, machine(), store=STORE, failure=LOST)),
    "heartbeat": lambda ledger: after(running(ledger), presence.heartbeat(W1, failure=LOST)),
    "drain": lambda ledger: after(running(ledger), presence.drain("w1")),
    "leave": lambda ledger: after(enroll(ledger), presence.leave(W1, failure=LOST)),
    "attended": lambda ledger: after(ledger.run(runs.expire(failure=LOST, lease_ms=0)), presence.is_attended()),
    "workers": lambda ledger: after(running(ledger), presence.list_workers()),
    "get": lambda ledger: reads.get_job(submit(ledger)),
    "known": lambda ledger: reads.is_known(KEY, owner="ada"),
    "history": lambda ledger: get_history(running(ledger).job_id, Position(), most=5),
    "list": lambda ledger: after(submit(ledger), reads.list_jobs(limit=5)),
    "place": lambda ledger: after(submit(ledger), reads.place(SPEC, owner="ada")),
    "overview": lambda ledger: reads.overview(),
    "backlog": lambda ledger: after(submit(ledger), reads.backlog()),
    "take": lambda ledger: after(failed(ledger), chores.take("archive", "t1", most=1, kept_ms=60_000)),
    "tick_off": lambda ledger: chores.tick_off(taken(ledger)),
    "tick_off, tried again": lambda ledger: chores.put_off(taken(ledger), again_ms=60_000),
    "tick_off, delivered": lambda ledger: chores.tick_off(telling(ledger), sent=Sent(answered=204)),
    "tick_off, not delivered": lambda ledger: chores.put_off(
        telling(ledger), again_ms=0, sent=Sent(answered=None, error="nobody there")
    ),
    "tick_off, the receiver is gone": lambda ledger: chores.tick_off(
        telling(ledger), "given_up", sent=Sent(answered=410, error="it answered 410", is_gone=True)
    ),
    "deliveries": lambda ledger: deliveries.list_deliveries(telling(ledger).job_id),
    "measures": lambda ledger: after(failed(ledger), measures.measures()),
    "record": lambda ledger: chores.read_record(failed(ledger)),
    "pack": lambda ledger: chores.pack_job(ledger.run(chores.read_record(failed(ledger)))),
    "adopt": lambda ledger: rebuilding.adopt(STORE),
    "restore": lambda ledger: chores.restore(forgotten(ledger)),
    "create_key": lambda ledger: create_key(),
    "list_keys": lambda ledger: after(key_made(ledger), access.list_keys()),
    "revoke_key": lambda ledger: access.revoke_key(key_made(ledger)),
    "recognize": lambda ledger: after(key_made(ledger), access.recognize(key=access.digest_of("lowland_k"))),
    "open_session": lambda ledger: access.open_session("s1", key="k1"),
    "close_session": lambda ledger: after(ledger.run(access.open_session("s1", key="k1")), access.close_session("s1")),
    "audit": lambda ledger: AUDITED,
    "read_audit": lambda ledger: after(ledger.run(AUDITED), access.read_audit(limit=5)),
    "outdated": lambda ledger: after(failed(ledger), chores.mark_outdated(kept_ms=0)),
    "forget": lambda ledger: chores.forget(failed(ledger)),
}

#: Calls whose answer says what this very execution ended; the state is the same all the same.
ONCE = {"expire", "enroll", "heartbeat", "restore"}


def dump(url: str, keys: Keys) -> dict[str, object]:
    """Everything under the prefix that time does not change by itself."""
    with redis.Redis.from_url(url, decode_responses=True, encoding_errors="surrogateescape") as client:
        found: dict[str, object] = {}
        for key in client.scan_iter(keys.prefix + "*"):
            name = key.removeprefix(keys.prefix)
            match client.type(key):
                case "hash":
                    found[name] = {k: v for k, v in client.hgetall(key).items() if not str(k).endswith("_ms")}
                case "zset":
                    found[name] = client.zrange(key, 0, -1)
                case "set":
                    found[name] = client.smembers(key)
                case "list":
                    found[name] = client.llen(key)
                case "stream":
                    found[name] = client.xlen(key)
                case _:
                    found[name] = client.get(key)
        return found


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_runs_four_times_leaves_the_state_of_one(
    ledger: Ledger, redis_url: str, keys: Keys, name: str
) -> None:
    call = CALLS[name](ledger)
    first = ledger.run(call)
    once = dump(redis_url, keys)

    again = [ledger.run(call) for _ in range(3)]

    assert dump(redis_url, keys) == once
    if name not in ONCE:
        assert again == [first] * 3


def test_every_script_is_tried() -> None:
    assert {name.split(",")[0] for name in CALLS} == set(script_names())


def test_reports_out_of_order_change_nothing(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    lease = running(ledger)
    ledger.run(report(lease, 1))
    ledger.run(report(lease, 2))
    before = dump(redis_url, keys)

    ledger.run(report(lease, 1))

    assert dump(redis_url, keys) == before
