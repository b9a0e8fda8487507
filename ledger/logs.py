"""The log of a process of the server: a line per event on standard error, JSON or for people, in one form whoever logs.

    logging.getLogger(...) ──► ProcessorFormatter ──► {"timestamp", "level", "logger", "process", "event", ...}
    about(job_id=..., ...) ──► contextvars ────────────┘

It lies here because API, worker, keeper and stack all know this room and its settings already, and `lowland`, which
people install, is to need no structlog. Whatever looks like a secret is struck out of every value, tracebacks too.
"""

import json
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from ledger.settings import LedgerSettings

#: Names fields for every line that is logged within: `with about(job_id=..., token=...):`.
about = bound_contextvars

#: What our own calls may give as `extra=`; other people's stays out.
EXTRA: Final = frozenset({"method", "route", "status", "seconds"})

#: Webhook secrets, API keys, passwords in URLs, and what an Authorization header holds.
_SECRET: Final = re.compile(
    r"whsec_[A-Za-z0-9+/=_-]+|lowland_[A-Za-z0-9_-]{32,}"
    r"|(?<=://)[^/@\s'\"]*:[^/@\s'\"]*(?=@)|\b(?i:bearer|basic) +[A-Za-z0-9._~+/=-]{8,}"
)
_STRUCK_OUT: Final = "***"
#: Made once: it is what a line costs most.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=repr)


def configure(settings: LedgerSettings, *, process: str) -> None:
    """Have everything that this process logs go to standard error in one form. Calling it again changes nothing.

    Args:
        settings: say which form, and from which level on.
        process: what it is called in each line: api, keeper, worker.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings, process=process, on_terminal=sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    logging.captureWarnings(True)
    # looked up for each line, and no line says them (Python's logging HOWTO, "Optimization")
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def formatter(settings: LedgerSettings, *, process: str, on_terminal: bool) -> logging.Formatter:
    """Turns a record of `logging` into a line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=EXTRA),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _named(process),
        _without_secrets,
    ]
    form = settings.log_format or ("console" if on_terminal else "json")
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(form, on_terminal)],
    )


def begin_request(request_id: str) -> None:
    """From now on what this task logs names the request."""
    clear_contextvars()
    bind_contextvars(request_id=request_id)


def without_secrets(text: str) -> str:
    """The text with what looks like a secret struck out."""
    return _SECRET.sub(_STRUCK_OUT, text)


def _renderers(form: str, on_terminal: bool) -> Sequence[Processor]:
    if form == "json":
        return [structlog.processors.JSONRenderer(_to_json)]
    # a traceback with the values of variables would show secrets
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=on_terminal, exception_formatter=plain, pad_event_to=0)]


def _to_json(event: EventDict, **_: Any) -> str:
    return _ENCODER.encode(event)


def _named(process: str) -> Processor:
    def add(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add


def _without_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    said = {name: value for name, value in event.items() if isinstance(value, str)}
    if _SECRET.search("\n".join(said.values())):  # hardly ever
        event.update((name, without_secrets(value)) for name, value in said.items())
    return event
