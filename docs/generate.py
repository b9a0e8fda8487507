"""Write the reference pages from the code they describe: `python docs/generate.py`. A test fails when one is stale.

The API's document is not written where that takes something from those who use it, unless that is what is meant:
`--incompatible`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from api import ApiSettings, create_app  # noqa: E402  the rooms lie beside docs, not in site-packages
from api.metrics import METRICS  # noqa: E402
from docs.api_page import api_page  # noqa: E402
from docs.cli_page import cli_page  # noqa: E402
from docs.client_page import client_page  # noqa: E402
from docs.compatibility import incompatibilities  # noqa: E402
from docs.errors_page import errors_page  # noqa: E402
from ledger import LedgerSettings  # noqa: E402
from lowland.spec import JobSpec  # noqa: E402
from lowland.spec.base import wire_fields  # noqa: E402
from lowland.spec.pending import PENDING  # noqa: E402
from lowland.spec.recipes import RECIPES  # noqa: E402
from lowland.spec.show import shown  # noqa: E402
from lowland.spec.states import FULFILLED, TRANSITIONS, Status  # noqa: E402
from lowland.spec.unions import models_in, tagged_union  # noqa: E402
from worker.engine.settings import EngineSettings  # noqa: E402
from worker.settings import KeeperSettings, WorkerSettings  # noqa: E402

_BOUNDS: Final[Mapping[type, tuple[str, str]]] = {
    Ge: (">=", "ge"),
    Gt: (">", "gt"),
    Le: ("<=", "le"),
    Lt: ("<", "lt"),
}


def job_spec_page() -> str:
    """Every field of a job."""
    lines = [
        "# The job spec",
        "",
        "Written by `docs/generate.py` from `lowland/spec/`. What `POST /jobs` takes; `GET /jobs/{id}` returns it with",
        "every default filled in, and it can be posted again. An object with a `name` or a `variant` may be given as",
        "that string.",
        "",
        *_table(JobSpec),
    ]
    for name, info in JobSpec.model_fields.items():
        union = tagged_union(info)
        models = list(union.members.values() if union else models_in(info.annotation))
        for model in models:
            title = f"{name}: {model.model_fields[union.tag].default}" if union else name
            lines += _section(title, model, skip=union.tag if union else "")
        for path, model in _objects_in(name, models).items():
            lines += _section(path, model)
    lines += [
        "",
        "## What suits each dataset",
        "",
        "Taken before the general defaults, for what a job does not say.",
        "",
        "| dataset | recipe |",
        "|---|---|",
        *(f"| `{name}` | `{_plain(recipe)}` |" for name, recipe in RECIPES.items()),
        "",
        "## Not supported yet",
        "",
        "These fields are checked and, with another value than these, refused.",
        "",
        "| field | works |",
        "|---|---|",
        *(f"| `{row.field}` | {', '.join(f'`{shown(value)}`' for value in row.works)} |" for row in PENDING),
    ]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Every variable of the environment."""
    lines = [
        "# Settings",
        "",
        "Written by `docs/generate.py` from the settings of each process. `lowland serve` sets those that tie its",
        "processes together and passes the others on; `LOWLAND_GRACE_S` is 5 there, if you do not set it.",
    ]
    shared = set(LedgerSettings.model_fields)
    rows: list[tuple[str, type[BaseModel], set[str]]] = [
        ("Every process of the server", LedgerSettings, set()),
        ("API (`uvicorn api.main:app`)", ApiSettings, shared),
        ("Keeper (`python -m worker.keeper`)", KeeperSettings, shared),
        ("Worker (`celery -A worker.app worker`)", WorkerSettings, shared),
        ("Engine (inherits the worker's environment)", EngineSettings, set()),
    ]
    for title, model, known in rows:
        lines += ["", f"## {title}", "", "| variable | default | meaning |", "|---|---|---|"]
        for name, info in model.model_fields.items():
            if name not in known:
                lines.append(f"| `{_variable(name, info)}` | {_default(info)} | {_text(info)} |")
    return "\n".join(lines) + "\n"


def states_page() -> str:
    """The table of states and events, drawn."""
    lines = [
        "# The states of a job",
        "",
        "Written by `docs/generate.py` from `lowland/spec/states.py`, which the ledger's scripts are made from too.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"  [*] --> {Status.QUEUED}: submit",
        *(f"  {source} --> {to}: {event}" for event, row in TRANSITIONS.items() for source, to in row.items()),
        *(f"  {status} --> [*]" for status in Status if status.terminal),
        "```",
        "",
        "| event | from | to | asked again |",
        "|---|---|---|---|",
    ]
    for event, row in TRANSITIONS.items():
        sources = ", ".join(f"`{status}`" for status in row)
        again = ", ".join(f"`{status}`" for status in Status if status in FULFILLED.get(event, ()))
        lines.append(f"| {event} | {sources} | `{next(iter(row.values()))}` | {again} |")
    return "\n".join(lines) + "\n" + _ABOUT_STATES


_ABOUT_STATES: Final = """
*Asked again*: the states in which the event is no mistake and changes nothing. In any other state it is refused (409),
and the answer names those that allow it.

`pause` and `cancel` of a running job are wishes: the job shows them as `requested` and stays `running` until its engine
has written a checkpoint and stopped, or was killed after the grace time. `resume` takes the wish to pause back; a wish
to cancel stands.

`put_back` is a worker's: it was told to stop, or could start no engine. A run that was lost (its engine crashed, hung
or was killed, its worker or machine died) is put back while attempts are left, and fails the job otherwise.

An attempt is spent when an engine was started and has not stopped by request. `retry` gives as many attempts as the job
had at first, and starts over, or with `?from_checkpoint=true` goes on from the latest checkpoint.
"""


def metrics_page() -> str:
    """Every metric of GET /metrics."""
    lines = [
        "# Metrics",
        "",
        "Written by `docs/generate.py` from `api/metrics.py`. What `GET /metrics` answers, in Prometheus's text form;",
        "how to scrape it, and what to watch, is in [monitoring](../how-to/monitoring.md).",
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n" + _ABOUT_METRICS


_ABOUT_METRICS: Final = """
Counters and the histogram of claims are kept in Redis, raised by the scripts that do what is counted: they outlive
every process, are the same on each API process, and go back to 0 only where the ledger is lost. `lowland_http_*` are
counted by each API process for itself, since it started.
"""


OPENAPI: Final = "docs/reference/openapi.json"


def openapi_page() -> str:
    """The document that `GET /openapi.json` answers."""
    return json.dumps(create_app(ApiSettings()).openapi(), indent=1, ensure_ascii=False) + "\n"


def taken_away() -> list[str]:
    """What the API no longer allows or promises, that it did by the document as it is written down."""
    written = ROOT / OPENAPI
    return incompatibilities(json.loads(written.read_text()), json.loads(openapi_page())) if written.exists() else []


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/reference/job-spec.md": job_spec_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/states.md": states_page,
    "docs/reference/metrics.md": metrics_page,
    "docs/reference/api.md": lambda: api_page(json.loads(openapi_page())),
    "docs/reference/errors.md": errors_page,
    "docs/reference/client.md": client_page,
    "docs/reference/cli.md": cli_page,
    OPENAPI: openapi_page,
}


def _objects_in(field: str, models: Iterable[type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """What some models take as objects, by the dotted name of the field that takes it."""
    return {
        f"{field}.{name}": inner
        for model in models
        for name, info in wire_fields(model).items()
        for inner in models_in(info.annotation)
    }


def _section(title: str, model: type[BaseModel], *, skip: str = "") -> Iterator[str]:
    yield from ["", f"## `{title}`", "", cleandoc(str(model.__doc__)), ""]
    yield from _table(model, skip=skip)


def _table(model: type[BaseModel], *, skip: str = "") -> Iterator[str]:
    if set(model.model_fields) == {skip}:
        yield "No options."
        return
    yield "| field | takes | default | meaning |"
    yield "|---|---|---|---|"
    for name, info in wire_fields(model).items():
        if name != skip:
            yield f"| `{name}` | {_takes(info)} | {_default(info)} | {_text(info)} |"


def _takes(info: FieldInfo) -> str:
    if union := tagged_union(info):
        return ", ".join(f"`{name}`" for name in union.members)
    return _within(_kind(info.annotation), info.metadata)


def _within(kind: str, marks: Iterable[Any]) -> str:
    bounds = [f"{sign} {getattr(mark, field)}" for mark in marks for sign, field in _bound_of(mark)]
    return f"{kind} {', '.join(bounds)}" if bounds else kind


def _bound_of(mark: object) -> Iterator[tuple[str, str]]:
    if type(mark) in _BOUNDS:
        yield _BOUNDS[type(mark)]


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marks = [
            part
            for mark in annotation.__metadata__
            for part in (mark.metadata if isinstance(mark, FieldInfo) else [mark])
        ]
        return _within(_kind(annotation.__origin__), marks)
    if origin in {Union, UnionType}:
        return " or ".join(_kind(part) for part in arguments)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in {list, tuple}:
        return "list"
    if origin is dict:
        return "object"
    names: dict[Any, str] = {
        int: "integer",
        float: "number",
        str: "string",
        bool: "true, false",
        type(None): "null",
        Path: "folder",
    }
    return names.get(annotation, "object")


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default_factory is not None:
        return f"`{_home(info.default_factory())}`"  # pyright: ignore[reportCallIssue]  ours take no argument
    if isinstance(info.default, BaseModel):
        union = tagged_union(info)
        said = getattr(info.default, union.tag) if union else shown(info.default.model_dump(exclude_defaults=True))
        return f"`{said}`"
    return f"`{_home(info.default)}`" if isinstance(info.default, Path) else f"`{shown(info.default)}`"


def _home(path: Any) -> str:
    return str(path).replace(str(Path.home()), "~")


def _text(info: FieldInfo) -> str:
    return " ".join((info.description or "").split()).replace("|", "\\|")


def _variable(name: str, info: FieldInfo) -> str:
    return str(info.validation_alias) if info.validation_alias else f"LOWLAND_{name.upper()}"


def _plain(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {shown(value)}" for name, value in recipe.items())


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incompatible", action="store_true", help="take away what the API has allowed or promised")
    if not parser.parse_args().incompatible and (changes := taken_away()):
        listed = "\n".join(f"incompatible: {change}" for change in changes)
        sys.exit(f"{listed}\nnothing was written; where this is meant, say so in CHANGELOG.md and give --incompatible")
    for page, make in PAGES.items():
        (ROOT / page).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    _main()
