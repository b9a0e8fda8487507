"""Data-parallel processes of one run on one machine: started, joined, and ended together.

    engine = rank 0 ── os.fork ──► rank 1 .. W-1      same process group, so that a signal reaches all of them

Each rank has a device of its own. The first one reports and writes; another one's error comes to it through a pipe, and
whichever rank ends first in an error decides what is reported. No rank outlives the first.

The other way is torchrun, which starts all ranks itself: then nothing is forked here.
"""

import os
import selectors
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, NoReturn

import torch
import torch.distributed as dist

from lowland.spec.reports import EXIT_STOPPED, Broken, read_report, write_report
from worker.engine.errors import UNNAMED, RankFailed, RankLost, SpecUnusable, broken, has_name
from worker.engine.ranks import Ranks
from worker.engine.stop import Stopped
from worker.orphans import die_with

#: How long ranks wait for each other: one may be reading its data, or writing a checkpoint.
TIMEOUT: Final = timedelta(minutes=30)
#: Seconds between a rank's end and what follows from it: for its error to arrive, or for the first rank to notice.
NOTICE_S: Final = 5.0
#: Seconds in which a rank that was lost may show itself after another one has failed because of it.
CAUSE_S: Final = 0.5
#: Seconds the others are given to leave by themselves once the first rank has.
END_S: Final = 10.0


@contextmanager
def joined(
    rank: int | None, count: int, rendezvous: Path | None, *, device: Literal["auto", "cpu", "cuda"]
) -> Iterator[Ranks]:
    """Be one of several ranks for as long as the block runs.

    Args:
        rank, rendezvous: which one, and the file they meet at; None where torchrun has said both.
        count: of all ranks.
        device: what the job asks for.

    Raises:
        SpecUnusable: torchrun has started another number of processes.
    """
    # All are on this machine.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    on_gpu = device != "cpu" and torch.cuda.is_available()
    # What is decided on the host goes over gloo in either case.
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    if rendezvous is None or rank is None:
        dist.init_process_group(backend, timeout=TIMEOUT)
    else:
        store = dist.FileStore(str(rendezvous), count)  # pyright: ignore[reportPrivateImportUsage]: documented there
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT)
    if (started := dist.get_world_size()) != count:
        raise SpecUnusable(
            f"resources.world_size is {count} and torchrun has started {started} processes; "
            "give --nproc-per-node the same number"
        )
    try:
        yield Ranks(rank=dist.get_rank(), count=count)
    except Stopped:
        dist.destroy_process_group()
        raise
    # After an error nothing is taken down: that may wait for what other ranks no longer send, and the connections it
    # breaks are errors to them, which this rank's own one has to reach the first rank before. It ends with the process.
    dist.destroy_process_group()


class Crew:
    """The other ranks, as the first one knows them.

    Args:
        give_up: called from a thread with a rank's error where the first rank does not notice that it is gone: it may
            wait for it in a collective for ever. It does not return.
    """

    def __init__(self, give_up: Callable[[Broken], NoReturn]) -> None:
        self._give_up = give_up
        self._pids: dict[int, int] = {}
        self._watcher: threading.Thread | None = None
        self._failed = threading.Event()
        self._noticed = threading.Event()
        self._failure: Broken | None = None

    def start(self, ranks: Sequence[int], work: Callable[[int], None]) -> None:
        """Fork the ranks, each of which does its work and leaves, and watch them."""
        pipes = {rank: self._fork(rank, work) for rank in ranks}
        self._watcher = threading.Thread(target=self._watch, args=(pipes,), name="ranks", daemon=True)
        self._watcher.start()

    def failure(self) -> Broken | None:
        """The error of the rank that failed first, if one does before long."""
        self._failed.wait(NOTICE_S)
        return self._failure

    def end(self, *, wait_s: float) -> None:
        """Let those that still run come to their end, then end them."""
        self._noticed.set()
        if self._watcher is None:
            return
        self._watcher.join(wait_s)
        for pid in list(self._pids.values()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._watcher.join()

    def _fork(self, rank: int, work: Callable[[int], None]) -> int:
        reading, writing = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            die_with(parent)
            _serve(rank, work, writing)
        os.close(writing)
        self._pids[rank] = pid
        return reading

    def _watch(self, pipes: Mapping[int, int]) -> None:
        """See every rank off. The first to fail is the one to tell of: others fail because of it."""
        with selectors.DefaultSelector() as ends:
            for rank, pipe in pipes.items():
                ends.register(pipe, selectors.EVENT_READ, rank)
            while ends.get_map():
                failure = self._see_off_next(ends)
                if failure is None or self._failed.is_set():
                    continue
                self._failure = self._cause(failure, ends)
                self._failed.set()
                if not self._noticed.wait(NOTICE_S):
                    self._give_up(self._failure)

    def _cause(self, failure: Broken, ends: selectors.BaseSelector) -> Broken:
        """The failure itself, or what it follows from: a rank may take longer to die than others to notice it."""
        while failure.type == UNNAMED and ends.get_map() and ends.select(CAUSE_S):
            later = self._see_off_next(ends)
            if later is not None and later.type != UNNAMED:
                return later
        return failure

    def _see_off_next(self, ends: selectors.BaseSelector) -> Broken | None:
        """Wait for a rank to end; the error it ended in."""
        end, _ = ends.select()[0]
        ends.unregister(end.fd)
        rank: int = end.data
        with os.fdopen(end.fd, "rb") as file:
            line = file.read()
        _, status = os.waitpid(self._pids[rank], 0)
        del self._pids[rank]
        code = os.waitstatus_to_exitcode(status)
        if code in (0, EXIT_STOPPED):
            return None
        report = read_report(line) if line.endswith(b"\n") else None
        return report if isinstance(report, Broken) else broken(RankLost(rank, code))


def together(count: int, work: Callable[[int], None], *, give_up: Callable[[Broken], NoReturn]) -> None:
    """Do a piece of work on ranks 0 to `count` - 1, the first of which is this process.

    Raises:
        RankFailed: another rank gave up first.
        Exception: whatever the work raises here.
    """
    crew = Crew(give_up)
    crew.start(range(1, count), work)
    wait_s = 0.0
    try:
        work(0)
        wait_s = END_S
    except Stopped:
        wait_s = END_S
        raise
    except Exception as error:
        # Whoever waits for a rank that is gone learns only that: the rank's own error is the one to tell.
        if not has_name(error) and (failure := crew.failure()):
            raise RankFailed(failure) from error
        raise
    finally:
        crew.end(wait_s=wait_s)


def _serve(rank: int, work: Callable[[int], None], errors: int) -> NoReturn:
    status = 1
    try:
        work(rank)
        status = 0
    except Stopped:
        status = EXIT_STOPPED
    except BaseException as error:  # noqa: BLE001  the edge of a process
        with suppress(OSError):
            traceback.print_exc()
            os.write(errors, write_report(broken(error)))
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
