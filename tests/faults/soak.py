"""The faults at full size, one after the other: `python -m tests.faults.soak [WORDS...]` prints a Markdown table.

Words choose the faults whose name or description has one of them. The exit status is 1 where one was not withstood.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults import test_cancelling as cancelling
from tests.faults import test_engines as engines
from tests.faults import test_killings as killings
from tests.faults import test_redis_deaths as redis_deaths
from tests.faults import test_store as store
from tests.faults.fleet import fleet_in


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the table."""

    name: str
    done: str
    test: Callable[..., None]
    size: dict[str, Any] = field(default_factory=dict[str, Any])


FAULTS: Final = [
    Fault(
        "engines and runners die",
        "1,000 jobs; 25 SIGKILLs at random engines and runners",
        killings.test_no_job_is_lost_or_done_twice_while_engines_and_runners_are_killed,
        {"jobs": 1000, "kills": 25},
    ),
    Fault(
        "Redis dies",
        "SIGKILL five times, under POSTs of two clients",
        redis_deaths.test_a_job_that_was_accepted_survives_a_redis_that_is_killed_again_and_again,
        {"kills": 5, "posts": 300},
    ),
    Fault(
        "Redis dies under a cancellation",
        "SIGKILL ten times, while 10,000 of 20,000 jobs are cancelled",
        cancelling.test_a_cancellation_of_many_is_asked_for_again_while_redis_is_killed_and_does_each_once,
        {"jobs": 10_000, "kills": 10},
    ),
    Fault(
        "a runner stands still",
        "SIGSTOP past its lease, then SIGCONT; two workers",
        redis_deaths.test_a_runner_that_stood_still_past_its_lease_finds_its_writes_refused_and_its_engine_ended,
    ),
    Fault(
        "a poison job",
        "its engine dies in each of 10 attempts",
        killings.test_a_job_whose_engine_is_killed_each_time_fails_after_exactly_max_attempts_with_the_reason,
        {"attempts": 10},
    ),
    Fault(
        "Redis is away",
        "60 s during training, with a lease of 20 s",
        redis_deaths.test_a_redis_that_is_away_for_longer_than_a_lease_leaves_a_complete_curve,
        {"away_s": 60.0, "lease_s": 20.0},
    ),
    Fault(
        "a worker is stopped",
        "SIGTERM mid-epoch",
        killings.test_a_worker_that_is_told_to_stop_mid_epoch_puts_its_job_back_and_the_weights_are_as_if_it_had_not,
    ),
    Fault(
        "a worker is stopped with all it has started",
        "SIGTERM to its process group and to its engines",
        killings.test_a_stop_that_reaches_worker_runners_and_engines_all_at_once_cuts_no_engine_off,
    ),
    Fault(
        "a runner dies while a checkpoint is written",
        "SIGKILL six times, each while the file is half there",
        killings.test_a_runner_killed_while_a_checkpoint_is_written_leaves_the_one_before_to_go_on_from,
        {"kills": 6},
    ),
    Fault(
        "the bells are forgotten",
        "every key of Celery deleted ten times, with 200 jobs queued",
        redis_deaths.test_bells_that_are_all_forgotten_are_rung_again,
        {"jobs": 200, "times": 10},
    ),
    Fault(
        "a keeper and a worker die",
        "SIGKILL to one of two each, with 100 jobs queued",
        killings.test_with_two_keepers_and_two_workers_one_of_each_suffices,
        {"jobs": 100},
    ),
    Fault(
        "Redis stands still",
        "SIGSTOP for 20 s, with a lease of 10 s",
        redis_deaths.test_a_redis_that_stands_still_stops_no_deadline_and_no_training_and_costs_no_lease,
        {"frozen_s": 20.0},
    ),
    Fault(
        "the store is full",
        "a file system without room",
        store.test_a_job_on_a_full_store_fails_after_its_attempts_and_leaves_no_half_file,
    ),
    Fault(
        "the store cannot be written",
        "mounted read-only, then read-write",
        store.test_a_job_on_a_store_that_cannot_be_written_waits_with_the_reason_and_is_trained_once_it_can,
    ),
    Fault(
        "two stores",
        "a second worker with an artifact folder of its own",
        store.test_a_worker_with_a_store_of_its_own_is_refused_and_the_other_goes_on,
    ),
    Fault(
        "an engine hangs, talks rubbish, floods",
        "SIGSTOP; a line that is no report; reports for 30 s as fast as they are read while Redis stands still",
        engines.test_an_engine_that_hangs_talks_rubbish_or_floods_is_ended_with_the_reason_and_the_next_job_runs,
        {"flood_s": 30.0},
    ),
    Fault(
        "the ledger is lost",
        "every file of Redis deleted, with 200 jobs finished; `lowland rebuild`",
        store.test_a_ledger_that_is_lost_is_brought_back_from_the_store,
        {"jobs": 200},
    ),
]


def main(words: list[str]) -> int:
    """Run the chosen faults; gives the exit status."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    withstood = True
    print("| fault | what was done | what was found | seconds |", "|---|---|---|---:|", sep="\n", flush=True)
    for fault in FAULTS:
        if not words or any(word in f"{fault.name} {fault.done}" for word in words):
            began_at = time.monotonic()
            found, stands = _found(fault)
            withstood = withstood and stands
            print(f"| {fault.name} | {fault.done} | {found} | {time.monotonic() - began_at:.0f} |", flush=True)
    return 0 if withstood else 1


def _found(fault: Fault) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory(prefix="lowland-soak-", ignore_cleanup_errors=True) as folder:
        try:
            with fleet_in(Path(folder)) as fleet:
                fault.test(fleet, **fault.size)
        except pytest.skip.Exception as skipped:
            return f"skipped: {skipped}", True
        except (AssertionError, TimeoutError) as error:
            return f"**not withstood**: {' '.join(str(error).split())[:500]}", False
        return fleet.found, True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
