"""An engine that says more than anybody can take in: the runner's memory stays bounded, and its deadlines are kept."""

import signal

import psutil
import pytest

from ledger import Ledger
from lowland.spec import Status
from lowland.spec.reports import write_report
from tests.conftest import Valkey
from tests.ledger.playing import submit
from tests.waiting import until
from tests.worker.engines import EPOCH
from tests.worker.runner.playing import Play, alive, engine_pid

#: Says the same report for ever; the shell makes gigabytes of it a minute where somebody reads them.
FLOOD = f"echo $$ > $OUT/pid; exec yes '{write_report(EPOCH).decode().strip()}' >&$REPORTS"
#: What a thousand records that wait may take, and much else of this process.
ROOM_BYTES = 100_000_000


@pytest.mark.parametrize("redis", ["there", "standing still"])
def test_an_engine_that_floods_its_runner_is_stopped_in_time_and_takes_no_memory(
    play: Play, ledger: Ledger, valkey: Valkey, redis: str
) -> None:
    submit(ledger, timeout_s=4.0)
    played = play(FLOOD)
    before = psutil.Process().memory_info().rss
    thread = played.answering()
    pid = engine_pid(played)
    most: list[int] = []

    if redis != "there":
        valkey.process.send_signal(signal.SIGSTOP)
    try:

        def has_stopped() -> bool:
            most.append(psutil.Process().memory_info().rss)
            return not alive(pid)

        until(has_stopped, "the time-out is seen", seconds=30)
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    thread.join(60)

    assert max(most) - before < ROOM_BYTES
    job = played.job()
    assert (job.status, [run.outcome for run in job.attempts]) == (Status.FAILED, ["failed"])
    assert job.error is not None
    assert job.error.type == "timeout"
