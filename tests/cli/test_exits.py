"""Errors are one line, and each kind has its exit code."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from ledger import Keys, Ledger, access
from lowland.cli.exits import Exit
from tests.api.servers import api_server
from tests.cli.running import Shell
from tests.ledger.playing import submit


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "lowland: No such command 'nonsense'; see `lowland --help`"),
        (["ls", "--nonsense"], "lowland: No such option '--nonsense'; see `lowland ls --help`"),
        (["ls", "--limit", "0"], "lowland: Invalid value for '--limit': 0 is not in the range x>=1; see"),
        (["ls", "--url", "x"], "lowland: No such option '--url'; it stands before the command: `lowland --url URL ls`"),
        (["ls", "extra"], "lowland: Got unexpected extra argument (extra); see `lowland ls --help`"),
        (["show"], "lowland: Missing argument 'ID'; see `lowland show --help`"),
        (["--url", "there", "ls"], "lowland: --url is there; give a URL that starts with http:// or https://; see"),
        (["keys", "create"], "lowland: Missing option '--owner'; see `lowland keys create --help`"),
    ],
    ids=" ".join,
)
def test_what_was_called_wrongly_is_one_line(lowland: Shell, arguments: list[str], said: str) -> None:
    ended = lowland(*arguments)

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (Exit.UNUSABLE, "", 1)
    assert ended.stderr.startswith(said)


def test_nothing_to_do_shows_help(lowland: Shell) -> None:
    ended = lowland()

    assert (ended.returncode, ended.stdout) == (Exit.UNUSABLE, "")
    assert ended.stderr.startswith("Usage: lowland ")


@pytest.mark.parametrize("command", ["ls", "variants", "datasets", "--help"])
def test_a_reader_who_has_left_is_no_failure(lowland: Shell, ledger: Ledger, command: str) -> None:
    submit(ledger)

    ended = lowland.unread(command)

    assert (ended.returncode, ended.stderr) == (Exit.NOBODY_READS, "")


def test_a_closed_output_is_none(lowland: Shell, ledger: Ledger) -> None:
    submit(ledger)

    ended = lowland.without_output("ls")

    assert (ended.returncode, ended.stderr) == (Exit.DONE, "")


@pytest.mark.parametrize("job_id", ["", ".", ".."])
def test_what_leads_elsewhere_is_no_job(lowland: Shell, ledger: Ledger, job_id: str) -> None:
    for command in ("show", "cancel", "rm", "metrics"):
        ended = lowland(command, job_id)
        assert (ended.returncode, ended.stdout) == (Exit.NOT_FOUND, "")
        assert ended.stderr == f'lowland: "{job_id}" is no job\'s id\n'


def test_a_file_is_not_written_to_standard_output(lowland: Shell) -> None:
    assert lowland("download", "x", "weights", "-o", "-").returncode == Exit.UNUSABLE


def test_json_in_the_wrong_place_is_not_passed_over(lowland: Shell) -> None:
    said = lowland("workers", "--json", "drain", "box")

    assert (said.returncode, said.stdout) == (Exit.UNUSABLE, "")
    assert "--json stands behind drain" in said.stderr


def test_a_filter_that_is_empty_is_not_passed_over(lowland: Shell) -> None:
    assert lowland("ls", "--status", "").returncode == Exit.UNUSABLE


def test_a_variable_that_cannot_be_used_is_named(lowland: Shell) -> None:
    assert "LOWLAND_URL is there;" in lowland("ls", LOWLAND_URL="there").stderr
    wrong_key = lowland("ls", LOWLAND_API_KEY="a key")
    assert (wrong_key.returncode, len(wrong_key.stderr.splitlines())) == (Exit.UNUSABLE, 1)
    assert "LOWLAND_API_KEY holds what cannot be sent" in wrong_key.stderr
    assert "a key" not in wrong_key.stderr


@pytest.mark.parametrize("arguments", [["ls"], ["watch", "x", "--timeout", "1"], ["download", "x"]], ids=" ".join)
def test_a_server_that_is_not_there(arguments: list[str]) -> None:
    """`watch` waits longer for one that may come back, but no longer than it is told to."""
    ended = Shell(url="http://127.0.0.1:1")(*arguments)

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (Exit.UNAVAILABLE, "", 1)
    assert ended.stderr.startswith("lowland: the Lowland server at http://127.0.0.1:1 is not available: ")


@pytest.fixture
def stranger() -> Iterator[str]:
    """Something else that answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<h1>It works!</h1>\x1b[2J")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_something_else_that_answers(stranger: str) -> None:
    ended = Shell(url=stranger)("ls")

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (Exit.FAILED, "", 1)
    assert "does not answer as a Lowland server does" in ended.stderr


@pytest.fixture
def guarded(redis_url: str, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shell, str]]:
    """A server that wants a key, and one that reads only, for one unfinished job."""
    with Ledger(redis_url, keys) as ledger:
        secret = access.new_secret()
        ledger.run(
            access.create_key(
                secret,
                owner="ada",
                scopes=access.read_scopes(["read"]),
                name="",
                expires_in_ms=None,
                rate_limit=None,
                quota=None,
            )
        )
        submit(ledger, owner="ada")
        store = tmp_path_factory.mktemp("guarded")
        with api_server(redis_url, keys, store, LOWLAND_RATE_LIMIT="3/hour") as url:
            yield Shell(url=url), secret


def test_keys_are_asked_for_by_codes_of_their_own(guarded: tuple[Shell, str]) -> None:
    lowland, secret = guarded

    without, wrong = lowland("ls"), lowland("ls", LOWLAND_API_KEY="lowland_wrong")
    too_little = lowland("submit", "dataset=digits", LOWLAND_API_KEY=secret)
    allowed = [lowland("ls", LOWLAND_API_KEY=secret) for _ in range(4)]

    for refused in (without, wrong, too_little):
        assert (refused.returncode, len(refused.stderr.splitlines())) == (Exit.NOT_ALLOWED, 1), refused.stderr
    assert {ended.returncode for ended in allowed} == {Exit.DONE, Exit.LIMITED}
    assert secret not in "".join(ended.stdout + ended.stderr for ended in (without, wrong, too_little, *allowed))
