"""What stands in a page: its headings, links and fenced blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it begins, what language it names, its text, and the text block right after it, if any."""

    page: Path
    line: int
    language: str
    text: str
    output: str | None

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


_FENCE: Final = re.compile(r"^```([\w-]*)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
_OUTPUT: Final = re.compile(r"\n*```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page that people read: a new one is among them by being there."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """How a page is called: its path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str | None = None) -> Iterator[Block]:
    """The page's blocks in a language, or all of them, in order."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        if language in {None, fence[1]}:
            output = _OUTPUT.match(text, fence.end())
            line = text.count("\n", 0, fence.start()) + 2
            yield Block(page, line, fence[1], fence[2], output[1] if output else None)


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def headings(page: Path) -> list[str]:
    """The page's headings with their marks, `## Options`."""
    return re.findall(r"^#+ .+$", prose(page), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What a link to the page may have after its `#`, as GitHub makes them from headings."""
    texts = (heading.lstrip("# ").lower().replace("`", "") for heading in headings(page))
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}


def links(page: Path) -> list[str]:
    """Where the page's links and pictures lead inside of the repository, as they are written."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in targets if not re.match(r"\w+:", target)]
