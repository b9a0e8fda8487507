"""How it stands with what a job's owner is told: one entry per message, the latest 32, as long as the job is known.

    {event} {status} {ms}  ->  {state} {attempts} {last attempt, ms} {status it was answered with} {last error}
    disabled               ->  {ms} {reason}, once the receiver has said that it is gone

A message is called as its chore is, without the job's id; when it is tried again, the chore says. `-` stands where
there is nothing. The scripts that make a chore and tick it off write its entry too; the job's record has none of it.
"""

from typing import cast

from ledger.calls import Answer, Call
from ledger.chores import Told
from ledger.documents import optional_time, shown_fields, time_of
from ledger.errors import JobNotFound
from lowland.spec import JobSpec, Status
from lowland.spec.resource import Delivery, DeliveryList, DeliveryState


def list_deliveries(job_id: str, *, owner: str = "") -> Call[DeliveryList]:
    """What a job's owner was told, and is to be told; the latest first.

    Args:
        job_id: which.
        owner: whose the job must be; empty for anybody's.

    Raises:
        JobNotFound: no job of theirs has this id.
    """

    def read(answer: Answer) -> DeliveryList:
        if answer[0] == "no_such_job":
            raise JobNotFound(job_id)
        flat, packed, disabled, messages = cast(
            "tuple[list[str], str, str, list[tuple[str, str, str]]]", tuple(answer[1:])
        )
        webhook = JobSpec.stored(shown_fields((flat, packed, ()))["spec"]).webhook
        disabled_ms, _, reason = disabled.partition(" ")
        found = [_delivery(job_id, *message) for message in messages]
        return DeliveryList(
            url=webhook.url if webhook else None,
            events=list(webhook.events) if webhook else [],
            disabled_at=optional_time(disabled_ms),
            disabled_reason=reason or None,
            deliveries=sorted(found, key=lambda one: one.created_at, reverse=True),
        )

    return Call("deliveries", (job_id, owner), read)


def _delivery(job_id: str, message: str, entry: str, due_ms: str) -> Delivery:
    told = Told.read(f"{job_id} {message}")
    state, attempts, last_ms, answered, error = entry.split(" ", 4)
    last_at = None if last_ms == "-" else time_of(last_ms)
    return Delivery(
        id=told.message_id,
        event=told.name,
        status=Status(told.status),
        created_at=told.at,
        state=cast("DeliveryState", state),
        attempts=int(attempts),
        last_attempt_at=last_at,
        response_status=None if answered == "-" else int(answered),
        error=error or None,
        next_attempt_at=optional_time(due_ms),
        delivered_at=last_at if state == "delivered" else None,
    )
