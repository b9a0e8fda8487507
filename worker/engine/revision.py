"""Which revision of the sources is running, read from the checkout itself: no git has to be installed."""

from functools import cache
from pathlib import Path
from typing import Final

_CHECKOUT: Final = Path(__file__).resolve().parent.parent.parent


@cache
def git_revision(checkout: Path = _CHECKOUT) -> str | None:
    """The commit that is checked out, 40 hex digits; None where the sources are no checkout, as in an image.

    None too where it cannot be read. Read once: what a process runs is what it has loaded. What was changed since the
    commit does not show.
    """
    try:
        return _head(checkout)
    except OSError:  # `.git` may be somebody else's
        return None


def _head(checkout: Path) -> str | None:
    git = checkout / ".git"
    if git.is_file():  # a worktree: the file says where its folder is
        git = checkout / git.read_text().removeprefix("gitdir:").strip()
    head = git / "HEAD"
    if not head.is_file():
        return None
    revision = head.read_text().strip()
    if not revision.startswith("ref:"):
        return revision
    name = revision.removeprefix("ref:").strip()
    common = git / (git / "commondir").read_text().strip() if (git / "commondir").is_file() else git
    if (common / name).is_file():
        return (common / name).read_text().strip()
    packed = common / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)
