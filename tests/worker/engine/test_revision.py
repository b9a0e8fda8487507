"""The revision that is running, read from any kind of checkout."""

import errno
import os
from pathlib import Path

import pytest

from worker.engine.revision import git_revision

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


def _write(path: Path, contents: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(contents)


def test_it_is_that_of_the_branch_checked_out(tmp_path: Path) -> None:
    _write(tmp_path / ".git" / "HEAD", "ref: refs/heads/some/branch\n")
    _write(tmp_path / ".git" / "refs" / "heads" / "some" / "branch", f"{COMMIT}\n")
    _write(tmp_path / ".git" / "refs" / "heads" / "main", f"{OTHER}\n")

    assert git_revision(tmp_path) == COMMIT


def test_a_branch_may_be_packed(tmp_path: Path) -> None:
    """As after a clone, or when git has tidied up; lines of peeled tags stand between."""
    _write(tmp_path / ".git" / "HEAD", "ref: refs/heads/main\n")
    _write(
        tmp_path / ".git" / "packed-refs",
        f"# pack-refs with: peeled fully-peeled sorted\n{OTHER} refs/heads/a/refs/heads/main\n"
        f"{COMMIT} refs/heads/main\n{OTHER} refs/tags/v1\n^{OTHER}\n",
    )

    assert git_revision(tmp_path) == COMMIT


def test_a_branch_moved_since_it_was_packed_is_where_it_is_now(tmp_path: Path) -> None:
    _write(tmp_path / ".git" / "HEAD", "ref: refs/heads/main\n")
    _write(tmp_path / ".git" / "packed-refs", f"{OTHER} refs/heads/main\n")
    _write(tmp_path / ".git" / "refs" / "heads" / "main", f"{COMMIT}\n")

    assert git_revision(tmp_path) == COMMIT


def test_a_commit_may_be_checked_out_without_a_branch(tmp_path: Path) -> None:
    _write(tmp_path / ".git" / "HEAD", f"{COMMIT}\n")

    assert git_revision(tmp_path) == COMMIT


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_a_worktree_has_a_head_of_its_own_and_the_branches_of_all(tmp_path: Path, absolute: bool, packed: bool) -> None:
    main, tree = tmp_path / "main" / ".git", tmp_path / "tree"
    own = main / "worktrees" / "tree"
    _write(tree / ".git", f"gitdir: {own if absolute else '../main/.git/worktrees/tree'}\n")
    _write(own / "HEAD", "ref: refs/heads/feature\n")
    _write(own / "commondir", "../..\n")
    _write(main / "HEAD", "ref: refs/heads/main\n")
    _write(main / "refs" / "heads" / "main", f"{OTHER}\n")
    if packed:
        _write(main / "packed-refs", f"{COMMIT} refs/heads/feature\n")
    else:
        _write(main / "refs" / "heads" / "feature", f"{COMMIT}\n")

    assert git_revision(tree) == COMMIT


@pytest.mark.parametrize("head", [None, "ref: refs/heads/main\n"], ids=["no checkout", "before the first commit"])
def test_without_a_commit_there_is_none(tmp_path: Path, head: str | None) -> None:
    if head is not None:
        _write(tmp_path / ".git" / "HEAD", head)

    assert git_revision(tmp_path) is None


def test_there_is_none_where_it_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The superuser may read everything: the refusal is the operating system's, played."""
    _write(tmp_path / ".git" / "HEAD", f"{COMMIT}\n")

    def refused(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refused)

    assert git_revision(tmp_path) is None
