"""Lines of a text that arrives in pieces."""


class Lines:
    """What has arrived, a line at a time. Only line feeds end one: a log may hold every other character.

    Args:
        skip_empty: whether empty lines say nothing.
    """

    def __init__(self, *, skip_empty: bool = False) -> None:
        self._skip_empty = skip_empty
        self._rest = b""

    def fed(self, chunk: bytes) -> list[str]:
        """The lines that are whole with this piece."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [line.decode(errors="replace") for line in lines if line or not self._skip_empty]

    def rest(self) -> list[str]:
        """What stands after the last line feed, if anything does."""
        return self.fed(b"\n") if self._rest else []


def all_lines(text: bytes) -> list[str]:
    """The lines of a text that is whole."""
    lines = Lines()
    return [*lines.fed(text), *lines.rest()]
