"""What would become of a job. Nothing is stored."""

from collections.abc import Sequence
from typing import Final

from ledger import AsyncLedger, Wanted, reads
from ledger.finding import found_by
from lowland.spec import JobSpec, Status
from lowland.spec.estimate import estimate
from lowland.spec.forecast import seconds_from
from lowland.spec.resource import Cost, DryRun, Job
from lowland.spec.warnings import unusual

#: Finished jobs that are asked how long they took.
_ASKED: Final = 20


async def try_out(spec: JobSpec, ledger: AsyncLedger, *, owner: str, sees: str) -> DryRun:
    """The spec as it would be stored, what is unusual about it, what it would take, and how it would wait."""
    return DryRun(
        spec=spec.without_secret(),
        warnings=unusual(spec),
        estimate=await _cost(spec, ledger, sees),
        queue=await ledger.run(reads.place(spec, owner=owner)),
    )


async def _cost(spec: JobSpec, ledger: AsyncLedger, sees: str) -> Cost:
    found = found_by(spec)
    like_it = Wanted(
        status=Status.SUCCEEDED,
        owner=sees or None,
        dataset=found.get("dataset"),
        variant=found["variant"],
        model=found.get("model"),
    )
    finished = (await ledger.run(reads.list_jobs(limit=_ASKED, wanted=like_it))).jobs
    return cost(spec, finished)


def cost(spec: JobSpec, finished: Sequence[Job]) -> Cost:
    """What a job is likely to take, judged by jobs of its kind that have succeeded."""
    seconds, told = seconds_from(spec, finished)
    what = "variant" if spec.dataset is None else "dataset, model and variant"
    source = (
        f"the median of {told} finished {'job' if told == 1 else 'jobs'} like this one, wherever they ran"
        if told
        else f"none of the latest {len(finished)} jobs of this {what} that succeeded is like this one"
        if finished
        else f"no job of this {what} has succeeded yet"
    )
    return Cost(seconds=seconds, seconds_from=source, **estimate(spec).model_dump())
