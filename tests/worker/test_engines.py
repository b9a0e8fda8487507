"""How engines are started: what they inherit, and that they die with their runner."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lowland.spec import JobSpec
from tests.waiting import until
from tests.worker.engines import read
from worker.engines import Work, program_engine

#: A runner that forks an engine whose work is replaced by a look at itself.
RUNNER = """
import json, os, signal, sys, time
import worker.engine
from lowland.spec import JobSpec
from pathlib import Path
from worker.engines import Work, fork_engine

def look(spec, *, out, reports, resume, keep_all, weights):
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)]
    (out / "seen").write_text(json.dumps({
        "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
        "leads_session": os.getsid(0) == os.getpid(),
        "default_handlers": handlers == [signal.SIG_DFL, signal.SIG_DFL],
        "mask": [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "environment": os.environ.get("LOWLAND_THREADS"),
    }))
    print("printed by the engine", flush=True)
    os.write(reports, b"hello\\n")
    if spec.name == "stays":
        (out / "pid").write_text(str(os.getpid()))
        time.sleep(600)
    return 7

worker.engine.run = look
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
inherited = os.open(os.devnull, os.O_RDONLY)
out = Path(sys.argv[1])
spec = JobSpec.parse({"dataset": "digits", "name": sys.argv[2]})
engine = fork_engine(Work(spec=spec, folder=out, environment={"LOWLAND_THREADS": "3"}))
said = os.read(engine.reports, 100)
if sys.argv[2] == "stays":
    time.sleep(600)
pid, status = os.waitpid(engine.pid, 0)
print(json.dumps([said.decode(), os.waitstatus_to_exitcode(status), os.read(engine.reports, 1).decode()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="engines are forked on Linux only")
def test_a_forked_engine_inherits_nothing_but_its_log_and_its_pipe(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(tmp_path), "ends"], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == '["hello\\n", 7, ""]'
    assert read(tmp_path / "engine.log") == "printed by the engine\n"
    assert read(tmp_path / "seen") == (
        '{"fds": [0, 1, 2, 3], "leads_session": true, "default_handlers": true, "mask": [], "environment": "3"}'
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_an_engine_dies_with_its_runner(tmp_path: Path) -> None:
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, str(tmp_path), "stays"])
    engine = psutil.Process(int(until(lambda: read(tmp_path / "pid"), "the engine runs")))

    os.kill(runner.pid, signal.SIGKILL)
    killed_at = time.monotonic()
    runner.wait(10)
    until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE, "the engine is gone", seconds=5)

    assert time.monotonic() - killed_at < 2


def test_the_log_of_an_engine_opens_with_whose_it_is(tmp_path: Path) -> None:
    start = program_engine(lambda work, report_fd: [sys.executable, "-c", "print('printed by the engine')"])
    spec = JobSpec.parse({"dataset": "digits"})

    engine = start(Work(spec=spec, folder=tmp_path, heading="job_id=j1 attempt=2 token=3 request_id=r1"))
    os.waitpid(engine.pid, 0)
    os.close(engine.reports)

    assert read(tmp_path / "engine.log") == "job_id=j1 attempt=2 token=3 request_id=r1\nprinted by the engine\n"
