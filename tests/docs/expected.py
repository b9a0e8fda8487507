"""Whether what was printed is what stands in a page.

`…` stands for anything; after the first eight digits of an id, for whatever follows those of some id. Ids, keys, times
and long fractions differ from run to run: each stands for whatever has its form, and an id or key, once it has stood
for one, for that one from there on.
"""

import re
from typing import Final

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: What the server makes up, by what it looks like.
_MADE_UP: Final = (
    _UUID,
    r"\bkey_[0-9a-f]{12}\b",
    r"\blowland_[\w-]{42,43}",
    r"\bwhsec_[\w+/=]{44}",
    r"\b[0-9a-f]{8}@[\w.-]+",
)
_EXAMPLE: Final = re.compile("|".join(_MADE_UP))
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+\d\d:?\d\d)"
_FRACTION: Final = r"-?\d+\.\d{6,}(?:e[+-]?\d+)?"
#: `jq` writes these with or without the fraction, by its version; an accuracy may be a little less on other machines.
_WHOLE: Final = r"\b\d+\.0\b"
#: A number that varies may be a short one this time.
_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_TOKEN: Final = re.compile(
    rf"(?P<cut>\b[0-9a-f]{{8}}-…)|(?P<any>…)|(?P<example>{_EXAMPLE.pattern})"
    rf"|(?P<time>{_TIME})|(?P<fraction>{_FRACTION})|(?P<whole>{_WHOLE})"
)


#: How the groups of fractions are called.
_GROUP: Final = "fraction_%d"
#: How many times a number may be what the page says, or the other way round: speeds differ most.
_ALIKE: Final = 8.0


def _are_alike(expected: float, printed: str) -> bool:
    number = float(printed)
    return expected / _ALIKE <= number <= expected * _ALIKE if expected >= 0 else number <= 0


class Examples:
    """What the ids and keys of a page stand for, as far as that is known."""

    def __init__(self, job: str | None = None) -> None:
        """With the job that ids stand for of which the page does not show where they come from."""
        self._job = job
        self._known: dict[str, str] = {}

    @property
    def jobs(self) -> list[str]:
        """Ids that the page's own commands have been answered with."""
        return [real for real in self._known.values() if re.fullmatch(_UUID, real)]

    def put_into(self, text: str) -> str:
        """The text with what its ids and keys stand for."""
        return _EXAMPLE.sub(lambda match: self._real(match[0]), text)

    def match(self, expected: str, printed: str) -> bool:
        """Whether what was printed is what is expected; where it is, learn from it what ids and keys stand for."""
        groups: dict[str, str] = {}
        fractions: list[float] = []
        match = re.fullmatch(self._pattern(expected.rstrip(), groups, fractions), printed.rstrip(), re.DOTALL)
        if not match or not all(_are_alike(number, match[_GROUP % at]) for at, number in enumerate(fractions)):
            return False
        self._known |= {example: match[group] for example, group in groups.items()}
        return True

    def _pattern(self, expected: str, groups: dict[str, str], fractions: list[float]) -> str:
        parts, end = list[str](), 0
        for token in _TOKEN.finditer(expected):
            parts += [re.escape(expected[end : token.start()]), self._part(token, groups, fractions)]
            end = token.end()
        return "".join([*parts, re.escape(expected[end:])])

    def _part(self, token: re.Match[str], groups: dict[str, str], fractions: list[float]) -> str:
        match token.lastgroup:
            case "cut":
                return r"[0-9a-f]{8}-.*"
            case "any":
                return ".*"
            case "time":
                return _TIME
            case "fraction" | "whole":
                fractions.append(float(token[0]))
                return f"(?P<{_GROUP % (len(fractions) - 1)}>{_NUMBER})"
            case _:
                return self._example(token[0], groups)

    def _example(self, example: str, groups: dict[str, str]) -> str:
        if example in self._known:
            return re.escape(self._known[example])
        if example in groups:
            return f"(?P={groups[example]})"
        groups[example] = f"made_up_{len(groups)}"
        form = next(form for form in _MADE_UP if re.fullmatch(form, example))
        return f"(?P<{groups[example]}>{form})"

    def _real(self, example: str) -> str:
        if example in self._known:
            return self._known[example]
        return self._job if self._job and re.fullmatch(_UUID, example) else example
