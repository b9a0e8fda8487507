"""An example of each kind of problem, made of the error itself as the server makes it."""

from collections.abc import Callable
from typing import Any, Final

from pydantic import Field
from starlette.requests import ClientDisconnect

from api import errors
from api.cross_site import CSRF_HEADER, TOKEN_NEEDED
from api.examples import JOB_ID, REQUEST_ID, WORKER
from api.parameters import Parameters
from api.problems import KINDS, problem_of
from api.settings import ApiSettings
from ledger import (
    CheckpointMissing,
    DeletionRefused,
    EventRefused,
    IdempotencyKeyReused,
    JobGone,
    JobNotFound,
    LedgerUnavailable,
    LedgerUnusable,
    QuotaReached,
    WorkerNotFound,
)
from ledger.keys import check_schema
from lowland.errors import SpecInvalid
from lowland.spec import Event, JobSpec, Status
from lowland.spec.access import Scope
from lowland.spec.strict_json import JsonMalformed, parse_json

_JOB: Final = f"/jobs/{JOB_ID}"
_ARTIFACT: Final = "model.safetensors"
_SIZE_BYTES: Final = 378_312


class _Limited(Parameters):
    limit: int = Field(50, ge=1)


def problem_examples() -> dict[str, Any]:
    """By the slug of the kind, for the document's components."""
    return {
        KINDS[type(error)].slug: {
            "summary": KINDS[type(error)].title,
            "value": problem_of(error, path=path, request_id=REQUEST_ID).model_dump(mode="json", exclude_unset=True),
        }
        for error, path in _samples()
    }


def _samples() -> list[tuple[Exception, str]]:
    """One error of each kind, and the path that was asked for when it came up."""
    settings = ApiSettings.model_fields
    spec = {"dataset": "digits", "sam": {"variant": "sam", "rho": -0.1}}
    malformed = _raised(JsonMalformed, lambda: parse_json(b'{"dataset": ', what="the body"))
    return [
        (_raised(SpecInvalid, lambda: JobSpec.parse(spec)), "/jobs"),
        (errors.KeyMissing(), "/jobs"),
        (errors.KeyRefused("API key", "is not known, or not any more"), "/jobs"),
        (errors.ScopeMissing(Scope.SUBMIT, [Scope.READ]), "/jobs"),
        (errors.CrossSiteRefused(f"{CSRF_HEADER} is missing", TOKEN_NEEDED), "/jobs"),
        (errors.RateLimited("600/minute", 12), "/jobs"),
        (errors.TooManyStreams(settings["streams_per_key"].default), f"{_JOB}/events"),
        (QuotaReached("ada", 100), "/jobs"),
        (_raised(errors.ParametersInvalid, lambda: _Limited.model_validate({"limit": "0"})), "/jobs"),
        (errors.BodyMalformed(str(malformed)), "/jobs"),
        (ClientDisconnect(), "/jobs"),
        (errors.BodyTooLarge(settings["max_body_bytes"].default), "/jobs"),
        (errors.ContentTypeUnsupported("text/plain"), "/jobs"),
        (errors.NothingHere("/job"), "/job"),
        (errors.MethodNotAllowed("PUT", "/jobs", ["GET", "POST"]), "/jobs"),
        (JobNotFound(JOB_ID), _JOB),
        (errors.ArtifactNotFound(JOB_ID, "model.pt"), f"{_JOB}/artifacts/model.pt"),
        (errors.ArtifactLost(JOB_ID, _ARTIFACT), f"{_JOB}/artifacts/{_ARTIFACT}"),
        (errors.HistoryLost(JOB_ID), f"{_JOB}/metrics"),
        (errors.LogMissing(JOB_ID, "it has had no attempt 2"), f"{_JOB}/logs"),
        (errors.RangeUnsatisfiable(f"bytes={_SIZE_BYTES}-", _SIZE_BYTES), f"{_JOB}/artifacts/{_ARTIFACT}"),
        (IdempotencyKeyReused("nightly-17", JOB_ID), "/jobs"),
        (JobGone(JOB_ID), "/jobs"),
        (EventRefused(JOB_ID, Event.PAUSE, Status.SUCCEEDED), f"{_JOB}/pause"),
        (DeletionRefused(JOB_ID, Status.RUNNING), _JOB),
        (CheckpointMissing(JOB_ID), f"{_JOB}/retry"),
        (WorkerNotFound(WORKER), f"/workers/{WORKER}/drain"),
        (LedgerUnavailable("Redis does not answer: Timeout connecting to server"), "/jobs"),
        (_raised(LedgerUnusable, lambda: check_schema("3")), "/jobs"),
        (Exception(), "/jobs"),
    ]


def _raised(kind: type[Exception], call: Callable[[], object]) -> Exception:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")
