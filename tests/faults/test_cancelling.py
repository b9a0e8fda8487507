"""Redis is killed while thousands of jobs are cancelled; asking again cancels the rest, and nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from ledger import Keys, chores, transitions
from lowland.spec import Event, Status
from tests.api.servers import api_server
from tests.conftest import answers
from tests.faults.fleet import TINY, Fleet
from tests.ledger.playing import claimed, enroll, machine
from tests.waiting import until

#: Of each kind so many are running, and so many paused; the others wait.
FEW = 5
KEYS = Keys()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("jobs", "kills"), [(1500, 3)])
def test_a_cancellation_of_many_is_asked_for_again_while_redis_is_killed_and_does_each_once(
    fleet: Fleet, jobs: int, kills: int
) -> None:
    redis = fleet.start_redis()
    unwanted, others = _submit(fleet, jobs, "unwanted"), _submit(fleet, jobs, "wanted")
    before = {job_id: _state(fleet, job_id) for job_id in [*unwanted, *others]}
    refused: list[int] = []

    with api_server(fleet.redis_url, KEYS, fleet.artifacts) as url:
        cancelling = threading.Thread(target=_cancel, args=(fleet, url, "unwanted", refused))
        cancelling.start()
        for kill in range(kills):
            share = jobs * (kill + 1) // (kills + 1)
            until(lambda share=share: _cancelled(fleet) >= share, "jobs are cancelled", poll_s=0)
            redis.kill()
            redis = fleet.start_redis()
        cancelling.join(60)

    assert not cancelling.is_alive()
    assert len(refused) >= kills
    after = {job_id: _state(fleet, job_id) for job_id in before}
    running = [job_id for job_id in unwanted if before[job_id] == (Status.RUNNING, None)]
    assert len(running) == FEW
    assert after == before | dict.fromkeys(unwanted, (Status.CANCELLED, None)) | dict.fromkeys(
        running, (Status.RUNNING, Event.CANCEL)
    )
    _is_consistent(fleet, after)
    for job_id in before:
        events = [fields["event"] for _, fields in fleet.ledger.run(chores.read_record(job_id)).events]
        wishes = [event for event in events if event in {"cancelled", "cancel_requested"}]
        expected = [] if job_id in others else ["cancel_requested"] if job_id in running else ["cancelled"]
        assert wishes == expected
    fleet.found = f"{jobs} of {2 * jobs} jobs cancelled, each once, the others as they were; {len(refused)} answers 503"


def _submit(fleet: Fleet, jobs: int, tag: str) -> list[str]:
    """So many jobs: a few that run, a few that are paused, the others waiting."""
    ids = [fleet.submit(TINY, tags={"kind": tag}, priority=1) for _ in range(FEW)]
    enroll(fleet.ledger, tag, offers=machine(*(f"cpu:{number}" for number in range(FEW))))
    assert sorted(claimed(fleet.ledger, worker=tag, runner=f"r{n}").job_id for n in range(FEW)) == sorted(ids)
    paused = [fleet.submit(TINY, tags={"kind": tag}) for _ in range(FEW)]
    for job_id in paused:
        fleet.ledger.run(transitions.ask(job_id, Event.PAUSE))
    with ThreadPoolExecutor(8) as posting:  # they share what it costs to write to disk
        waiting = posting.map(lambda _: fleet.submit(TINY, tags={"kind": tag}), range(jobs - 2 * FEW))
        return [*ids, *paused, *waiting]


def _cancel(fleet: Fleet, url: str, tag: str, refused: list[int]) -> None:
    """Ask as a script would: page by page, and again where Redis was away."""
    asked = {"tag": f"kind:{tag}"}
    with httpx2.Client(base_url=url, timeout=30, trust_env=False) as http:
        while True:
            answer = http.post("/jobs/cancel", params=asked)
            if answer.status_code == 503:
                refused.append(answer.status_code)
                until(lambda: answers(fleet.redis_url), "Redis is back")
                continue
            answer.raise_for_status()
            if answer.json()["next"] is None:
                return
            asked["cursor"] = answer.json()["next"]


def _cancelled(fleet: Fleet) -> int:
    return int(fleet.redis.zcard(KEYS.key("jobs_by_status", Status.CANCELLED)))


def _state(fleet: Fleet, job_id: str) -> tuple[str, str | None]:
    status, requested = fleet.redis.hmget(KEYS.key("job", job_id), ["status", "requested"])
    assert status is not None
    return Status(str(status)), str(requested) if requested else None


def _is_consistent(fleet: Fleet, states: dict[str, tuple[str, str | None]]) -> None:
    """Whether indexes, queues and counts say of the jobs what their hashes say."""
    by_status = {status: _members(fleet, KEYS.key("jobs_by_status", status)) for status in Status}
    queues = fleet.redis.smembers(KEYS.key("queues"))
    queued = {job_id for queue in queues for job_id in _members(fleet, KEYS.key("queue", str(queue)))}
    unfinished = fleet.redis.smembers(KEYS.key("unfinished", "ada"))

    def that_are(*wanted: Status) -> set[str]:
        return {job_id for job_id, (status, _) in states.items() if status in wanted}

    assert by_status == {status: that_are(status) for status in Status}
    assert queued == that_are(Status.QUEUED)
    assert unfinished == that_are(Status.QUEUED, Status.RUNNING, Status.PAUSED)
    assert _members(fleet, KEYS.key("finished")) == that_are(Status.CANCELLED)
    assert _members(fleet, KEYS.key("leases")) == that_are(Status.RUNNING)
    assert fleet.redis.hgetall(KEYS.key("running")) == {"ada": str(len(that_are(Status.RUNNING)))}


def _members(fleet: Fleet, key: str) -> set[str]:
    return {str(member) for member in fleet.redis.zrange(key, 0, -1)}
