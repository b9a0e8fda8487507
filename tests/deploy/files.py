"""What the files that operators use say: images, services and units, read so that tests run what is written there."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import yaml

from tests.stack.house import ROOT

DOCKERFILE: Final = ROOT / "Dockerfile"
COMPOSE: Final = ROOT / "docker-compose.yml"
UNITS: Final = ROOT / "deploy" / "systemd"


@dataclass(kw_only=True)
class Image:
    """A stage of the Dockerfile, with what it has from those below."""

    environment: dict[str, str] = field(default_factory=dict[str, str])
    rooms: list[str] = field(default_factory=list[str])
    """Folders that are copied into /app."""
    extras: list[str] = field(default_factory=list[str])
    """Of the packages that are installed."""
    command: list[str] = field(default_factory=list[str])
    health: list[str] = field(default_factory=list[str])
    user: str = "root"


@cache
def images() -> Mapping[str, Image]:
    """Every stage by its name."""
    found: dict[str, Image] = {}
    image = Image()
    for word, rest in _instructions():
        match word:
            case "FROM":
                base, _, name = rest.partition(" AS ")
                below = found.get(base, Image())
                image = found[name] = Image(
                    environment=dict(below.environment),
                    rooms=list(below.rooms),
                    extras=list(below.extras),
                    user=below.user,
                )
            case "ENV":
                image.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            case "COPY":
                image.rooms += [name for name in rest.split()[:-1] if (ROOT / name).is_dir()]
            case "RUN":
                image.extras += re.findall(r"pip install .*'\.\[(\w+)\]'", rest)
            case "USER":
                image.user = rest
            case "CMD":
                image.command = json.loads(rest)
            case "HEALTHCHECK":
                image.health = json.loads(rest[rest.index("CMD ") + 4 :])
            case _:
                assert word in {"WORKDIR", "EXPOSE", "ARG"}, f"the tests do not know what {word} does"
    return found


def _instructions() -> Iterator[tuple[str, str]]:
    lines = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def services(**variables: str) -> dict[str, Any]:
    """The services of the compose file, with variables filled in as `docker compose` does."""
    return compose(**variables)["services"]


def compose(**variables: str) -> dict[str, Any]:
    """The whole file."""

    def value(found: re.Match[str]) -> str:
        name, kind, text = found[1], found[2], found[3]
        if variables.get(name):
            return variables[name]
        assert kind != ":?", f"{name} is missing: {text}"
        return text or ""

    def filled_in(part: Any) -> Any:
        match part:
            case dict():
                return {key: filled_in(value) for key, value in part.items()}
            case list():
                return [filled_in(one) for one in part]
            case str():
                return re.sub(r"\$\{(\w+)(?:(:\?|:-)([^}]*))?\}", value, part)
            case _:
                return part

    return filled_in(yaml.safe_load(COMPOSE.read_text()))


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of systemd: its settings in order, of which some may stand several times."""

    name: str
    settings: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """Every value of a setting."""
        return [value for key, value in self.settings if key == name]

    def one(self, name: str) -> str:
        """The value of a setting that stands once."""
        (value,) = self.all(name)
        return value

    @property
    def environment(self) -> dict[str, str]:
        """What stands in the unit itself."""
        return dict(pair.split("=", 1) for line in self.all("Environment") for pair in shlex.split(line))


def units() -> list[Unit]:
    """Every unit there is."""
    return [
        Unit(path.name, tuple((key, value) for key, _, value in _lines(path.read_text())))
        for path in sorted(UNITS.glob("*.service"))
    ]


def example_environment() -> dict[str, str]:
    """What the example of the file for all units says."""
    return {key: value for key, _, value in _lines((UNITS / "lowland.env.example").read_text())}


def _lines(text: str) -> list[tuple[str, str, str]]:
    return [line.partition("=") for line in text.splitlines() if re.match(r"\w+=", line)]
