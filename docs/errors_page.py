"""The page of errors: every kind of problem, every class the client raises, and every error that ends a job."""

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

import worker.engine.program  # noqa: F401  every room of the engine is imported by it, and every error with its room
from api.problem_examples import problem_examples
from api.problems import KINDS, TYPE_PREFIX
from lowland import errors
from lowland.client.answers import Answer, failure
from worker.engine.errors import UNNAMED, EngineError, RankFailed

T = TypeVar("T")

#: What to do about a problem, by its slug.
REMEDIES: Final[Mapping[str, str]] = {
    "spec-invalid": "Put right what `errors` names; the [job spec](job-spec.md) has every field.",
    "key-missing": "Send `Authorization: Bearer KEY`.",
    "key-refused": "Ask for a new key: it was revoked, has expired, or is of another server.",
    "scope-missing": "Use a key with the scope that `detail` names.",
    "cross-site-refused": "Send `X-CSRF-Token` with the cookie; have the server know the page's origin.",
    "rate-limited": "Ask again after `Retry-After` seconds.",
    "too-many-streams": "End a connection that follows a job, or ask again after `Retry-After` seconds.",
    "quota-reached": "Wait for a job to end, or cancel one.",
    "parameters-invalid": "Put right what `errors` names.",
    "body-malformed": "Send one JSON document in UTF-8; `detail` says where it breaks.",
    "body-incomplete": "Send it again.",
    "body-too-large": "Send less; `LOWLAND_MAX_BODY_BYTES` is the server's bound.",
    "content-type-unsupported": "Send `Content-Type: application/json`.",
    "nothing-here": "Look the path up [here](api.md).",
    "method-not-allowed": "Use a method of `Allow`.",
    "job-not-found": "Check the id; a job that was deleted, or is another owner's, is not found either.",
    "artifact-not-found": "`GET /jobs/{id}/artifacts` lists what there is.",
    "artifact-lost": "Check that API and workers share `LOWLAND_ARTIFACT_DIR`; else bring the file back from a backup.",
    "history-lost": "The same.",
    "log-missing": "The same, or ask for an attempt that there was.",
    "range-unsatisfiable": "`Content-Range` has the size.",
    "idempotency-key-reused": "Take a new key for another job, or send the same bytes.",
    "job-gone": "Take a new key, if the job is to be made again.",
    "event-refused": "`allowed_from` has the states that would do.",
    "deletion-refused": "Cancel the job, or wait for its end.",
    "checkpoint-missing": "Retry from the start.",
    "worker-not-found": "`GET /workers` lists those that there are.",
    "ledger-unavailable": "Ask again after `Retry-After` seconds; who runs the server looks after Redis.",
    "ledger-unusable": "Who runs the server does what `detail` says: most often, a ledger of another version.",
    "internal-error": "Report it with the `request_id`.",
}

#: Errors of a job that do not come from its engine: when, and whether another attempt is made while some are left.
OUTSIDE: Final[Mapping[str, tuple[str, bool]]] = {
    "engine-died": ("The engine was killed, or ended without a word; often the machine had no memory left.", True),
    "engine-stalled": ("It reported nothing for `stall_timeout_s` and was killed.", True),
    "engine-garbage": ("It printed what is no report.", True),
    "engine-not-started": (
        "The operating system would not start it; the job waits again, and no attempt is spent.",
        True,
    ),
    "runner-died": ("The process that watched over it was killed.", True),
    "runner-broke": ("The process that watched over it went on without it.", True),
    "lease-expired": ("Its worker was not heard of for `LOWLAND_LEASE_S`: the machine died, or was cut off.", True),
    "timeout": ("The attempt took longer than `timeout_s`.", False),
    "spec-unreadable": ("The worker is of another version than the API, and does not know what the spec says.", False),
    "weights-missing": ("The job that `model.init_from` names is gone, or has left no weights.", False),
}


def errors_page() -> str:
    """Every error there is, by who meets it."""
    return "\n".join([*_HEAD.splitlines(), *_problems(), "", *_CLASSES.splitlines(), *_classes(), "", *_jobs()]) + "\n"


_HEAD: Final = f"""\
# Errors

Written by `docs/generate.py` from `api/problems.py`, `lowland/errors.py` and `worker/engine/errors.py`.

## Problems

What the API answers where it refuses, by the end of its `type`, which begins with `{TYPE_PREFIX}` (RFC 9457).
`title` is as below, `detail` says what happened this time. *Client* is what the Python client raises, from
`lowland.errors`.
"""


def _problems() -> Iterator[str]:
    examples = problem_examples()
    for cls, kind in KINDS.items():
        example = examples[kind.slug]["value"]
        raised = type(failure("", Answer(status=kind.status, headers={}, body=json.dumps(example).encode()))).__name__
        yield from ["", f"### {kind.slug}", "", f'{kind.status}, "{kind.title}". Client: `{raised}`.', ""]
        yield f"{_when(cls)} For example: *{example['detail']}*."
        yield from ["", REMEDIES[kind.slug]]


def _when(cls: type[Exception]) -> str:
    if cls.__module__.startswith(("api.", "ledger.", "lowland.")):
        return _first_sentence(cls)
    return (
        "The connection ended before the body did." if cls is not Exception else "Something unforeseen; it is logged."
    )


_CLASSES: Final = """\
## What the client raises

All from `lowland.errors`; all are a `LowlandError`.

| class | when | has |
|---|---|---|"""


def _classes() -> Iterator[str]:
    for cls in _below(errors.LowlandError):
        if cls.__module__ == errors.__name__:
            held = [name for name in inspect.signature(cls).parameters if name not in {"args", "kwargs"}]
            yield f"| `{cls.__name__}` | {_first_sentence(cls)} | {', '.join(f'`{name}`' for name in held)} |"


def _jobs() -> Iterator[str]:
    yield from _JOBS.splitlines()
    rows = {
        cls.type: (cls.title, _first_sentence(cls), not cls.permanent) for cls in _below(EngineError) if _is_told(cls)
    }
    for name, (title, when, again) in sorted(rows.items()):
        yield f"| `{name}` | {title} | {when} | {_yes(again)} |"
    yield f"| `{UNNAMED}` | The engine failed | Whatever has no name of its own; `detail` has what was raised. | yes |"
    yield from ["", *_OUTSIDE.splitlines()]
    for name, (when, again) in OUTSIDE.items():
        yield f"| `{name}` | {when} | {_yes(again)} |"


_JOBS: Final = """\
## What ends a job

`error.type` of a job. Where another attempt is made it shows while that one waits, and fails the job only once
`max_attempts` are spent. From its engine:

| `error.type` | `error.title` | when | another attempt |
|---|---|---|---|"""
_OUTSIDE: Final = """\
From those who look after it:

| `error.type` | when | another attempt |
|---|---|---|"""


def _below(root: type[T]) -> Iterator[type[T]]:
    for cls in root.__subclasses__():
        yield cls
        yield from _below(cls)


def _is_told(cls: type[EngineError]) -> bool:
    """Whether it has a name of its own: some share one, and one tells of another process's error."""
    return "title" in vars(cls) and cls is not RankFailed


def _first_sentence(cls: type) -> str:
    text = " ".join(inspect.cleandoc(str(cls.__doc__)).split())
    return _sentence(text.partition("; `")[0].replace("|", "\\|"))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
