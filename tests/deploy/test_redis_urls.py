"""Each way to Redis, used by API, keeper and worker at once: a job gets through, and nobody is refused."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import anyio
import httpx2
import pytest
import redis

from api.limiting import Rates
from ledger import AsyncLedger, Keys, Ledger, LedgerSettings, LedgerUnavailable, reads
from ledger.address import Address
from tests.api.servers import api_server
from tests.deploy.redises import TLS, Sentinels, elsewhere, tls_before, valkey
from tests.faults.fleet import TINY, Fleet
from tests.stack.house import ROOT
from tests.waiting import until
from worker.bells import bell_app, ring

PAGE: Final = ROOT / "docs/how-to/connect-to-redis.md"
#: Has in it what a URL gives a meaning to.
PASSWORD: Final = "p@ss/w:rd?#&%"
#: With a limit, so that requests are counted in Redis too.
LIMIT: Final = "100/second"


@contextmanager
def working(folder: Path, url: str) -> Iterator[tuple[Fleet, httpx2.Client]]:
    """A keeper, a worker and an API on that Redis; gives them and a client."""
    parts = folder / "parts"
    parts.mkdir()
    with elsewhere(parts, url) as fleet:
        fleet.start_keeper()
        fleet.start_worker()
        with (
            api_server(url, Keys(), fleet.artifacts, LOWLAND_RATE_LIMIT=LIMIT) as api,
            httpx2.Client(base_url=api, timeout=60) as http,
        ):
            yield fleet, http


def assert_jobs_run(fleet: Fleet, http: httpx2.Client) -> None:
    """A job is sent, heard of as it goes on, finished, and put into the store."""
    job_id = until(lambda: _submitted(http), "a job is taken", seconds=60, poll_s=0.2)
    assert job_id

    with http.stream("GET", f"/jobs/{job_id}/events") as events:
        assert "event: end" in list(events.iter_lines())
    assert http.get(f"/jobs/{job_id}").json()["status"] == "succeeded"
    assert fleet.record(job_id)


def test_by_tls_with_an_authority_and_a_certificate_of_ones_own(tmp_path: Path) -> None:
    files = f"ssl_ca_certs={TLS}/ca.pem&ssl_certfile={TLS}/client.pem&ssl_keyfile={TLS}/client.key"
    with valkey(tmp_path) as port, tls_before(port) as tls:
        url = f"rediss://127.0.0.1:{tls}/0?{files}"

        with working(tmp_path, url) as (fleet, http):
            assert_jobs_run(fleet, http)


def test_a_server_whose_certificate_nobody_vouches_for_is_refused_by_all(tmp_path: Path, keys: Keys) -> None:
    ours = f"ssl_certfile={TLS}/client.pem&ssl_keyfile={TLS}/client.key"
    with valkey(tmp_path) as port, tls_before(port) as tls:
        url = f"rediss://127.0.0.1:{tls}/0?{ours}"
        settings = LedgerSettings(redis_url=url, redis_prefix=keys.prefix)

        with Ledger(url, keys) as ledger, pytest.raises(LedgerUnavailable, match="certificate verify failed"):
            ledger.run(reads.overview())
        with pytest.raises(LedgerUnavailable, match="certificate verify failed"):
            ring(bell_app(settings), "any", 1)
        with pytest.raises(LedgerUnavailable, match="certificate verify failed"):
            anyio.run(_count, Rates(url, keys))


def test_by_a_socket(tmp_path: Path) -> None:
    socket = tmp_path / "ünder"
    with valkey(tmp_path, f"--unixsocket {socket}") as port, redis.Redis(port=port) as admin:
        admin.config_set("requirepass", PASSWORD)
        with working(tmp_path, f"unix://:{quote(PASSWORD, safe='')}@{quote(str(socket))}?db=3") as (fleet, http):
            assert_jobs_run(fleet, http)

        with redis.Redis(unix_socket_path=str(socket), db=3, password=PASSWORD) as client:
            assert client.dbsize() > 0


def test_as_a_user_that_may_do_no_more_than_the_page_says(tmp_path: Path) -> None:
    with valkey(tmp_path) as port, redis.Redis(port=port, decode_responses=True) as admin:
        rules = acl_rules()
        admin.execute_command("ACL", "SETUSER", "lowland", *(rules | {"on": "on", ">SECRET": f">{PASSWORD}"}).values())
        url = f"redis://lowland:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0"

        with working(tmp_path, url) as (fleet, http):
            assert_jobs_run(fleet, http)
            assert [http.get(path).status_code for path in ("/jobs", "/workers", "/metrics", "/readyz")] == [200] * 4
            logs = [part.log for part in fleet.parts]

        assert admin.execute_command("ACL", "LOG") == []
        assert not [log for log in logs if PASSWORD in log or quote(PASSWORD, safe="") in log]


def test_the_page_grants_every_command_of_the_scripts() -> None:
    text = "".join(path.read_text() for path in (ROOT / "ledger/lua").glob("*.lua"))
    used = {f"+{command.lower()}" for command in re.findall(r"redis\.call\(\s*'([A-Z]+)'", text)}

    assert used <= acl_rules().keys()


@pytest.mark.timeout(300)
def test_a_master_that_dies_or_is_demoted_is_followed_by_the_one_that_the_sentinels_name(tmp_path: Path) -> None:
    with Sentinels(tmp_path) as sentinels, working(tmp_path, sentinels.url) as (fleet, http):
        assert_jobs_run(fleet, http)
        anyio.run(_hear, sentinels.url)

        sentinels.kill_first_sentinel()
        old = sentinels.kill_master()

        assert_jobs_run(fleet, http)
        anyio.run(_hear, sentinels.url)
        sentinels.start_server(old)
        until(lambda: sentinels.role(old) == "slave", "the old master obeys the new one", seconds=60)
        assert_jobs_run(fleet, http)

        sentinels.demote_master()

        assert_jobs_run(fleet, http)
        anyio.run(_hear, sentinels.url)
        assert [part.process.poll() for part in fleet.parts] == [None, None]


def test_a_server_that_refuses_for_a_while_ends_nobody(tmp_path: Path) -> None:
    """One whose replicas are away, that is demoted while clients wait for an answer, or that obeys a master it lost."""
    with (
        valkey(tmp_path) as port,
        redis.Redis(port=port) as admin,
        working(tmp_path, f"redis://127.0.0.1:{port}/0") as (fleet, http),
    ):
        assert_jobs_run(fleet, http)
        keeper, worker = fleet.parts
        refused = 0

        for stale, refuse, accept in (
            ("yes", "CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
            ("yes", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
            ("no", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ):
            admin.config_set("replica-serve-stale-data", stale)
            kept = keeper.log.count("ledger away")
            admin.execute_command(refuse)
            # it waits before it connects again, rather than connect without end
            until(lambda before=refused: worker.log.count("Trying again in ") > before, "the worker is refused")
            until(lambda before=kept: keeper.log.count("ledger away") > before, "the keeper is refused")
            assert http.post("/jobs", json=TINY).status_code == 503
            refused = worker.log.count("Trying again in ")
            admin.execute_command(accept)
            assert_jobs_run(fleet, http)

        assert [part.process.poll() for part in fleet.parts] == [None, None]


def acl_rules() -> dict[str, str]:
    """The words of the rule on the page, behind the user's name."""
    found = re.search(r"```acl\nuser lowland (.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return {word: word for word in found[1].split()}


async def _hear(url: str) -> None:
    """Be woken by what somebody else sends."""
    ledger = AsyncLedger(url)
    try:
        async with ledger.changes.heard():
            with ledger.changes.of("job-1") as woken:
                await asyncio.wait_for(woken.wait(), 10)  # as soon as it listens
                woken.clear()
                with redis.Redis.from_pool(Address.read(url).blocking_pool()) as client:
                    client.publish(Keys().key("changes"), "job-1")
                await asyncio.wait_for(woken.wait(), 1)
    finally:
        await ledger.close()


async def _count(rates: Rates) -> None:
    try:
        await rates.count("ada", "1/second")
    finally:
        await rates.close()


def _submitted(http: httpx2.Client) -> str | None:
    answer = http.post("/jobs", json=TINY)
    assert answer.status_code in {201, 503}, answer.text
    return answer.json()["id"] if answer.status_code == 201 else None
