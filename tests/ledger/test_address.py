"""What a URL of Redis may be, and what is said of one that is not."""

import os
import subprocess
import sys
from typing import Any

import pytest
import redis.asyncio

from ledger import LedgerSettings
from ledger.address import Address
from tests.stack.house import ROOT

CA = __file__  # any file that can be read


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("redis://", {"host": "127.0.0.1", "port": 6379, "db": 0}, "127.0.0.1:6379"),
        ("redis://:s%40cret@there:1/5", {"host": "there", "port": 1, "db": 5, "password": "s@cret"}, "there:1"),
        ("redis://ada:x@[::1]:1", {"host": "::1", "port": 1, "db": 0, "username": "ada", "password": "x"}, "::1:1"),
        ("unix:///run/a%20b?db=2", {"path": "/run/a b", "db": 2}, "/run/a b"),
        ("unix://ada:x@/run/r", {"path": "/run/r", "db": 0, "username": "ada", "password": "x"}, "/run/r"),
        (
            f"rediss://there?ssl_ca_certs={CA}&ssl_check_hostname=false",
            {"host": "there", "port": 6379, "db": 0, "ssl_ca_certs": CA, "ssl_check_hostname": False},
            "there:6379",
        ),
    ],
)
def test_a_server_is_reached_as_the_url_says(url: str, options: dict[str, Any], said: str) -> None:
    address = Address.read(url)

    made = address.blocking_pool().connection_kwargs
    also = address.async_pool().connection_kwargs
    assert {name: made.get(name) for name in options} == {name: also.get(name) for name in options} == options
    assert str(address) == said


def test_sentinels_are_asked_as_the_url_says() -> None:
    url = f"rediss+sentinel://ada:x@one,two:1/4?service=main&sentinel_password=y&ssl_ca_certs={CA}"

    address = Address.read(url)

    assert str(address) == "main of the Sentinels one:26379, two:1"
    assert address.sentinels == (("one", 26379), ("two", 1))
    assert address.sentinel_options == {"password": "y", "ssl": True, "ssl_ca_certs": CA}
    pool = address.blocking_pool(socket_timeout=3)
    assert (pool.connection_kwargs["username"], pool.connection_kwargs["db"]) == ("ada", 4)
    assert issubclass(pool.connection_class, redis.SSLConnection)
    assert issubclass(address.async_pool().connection_class, redis.asyncio.SSLConnection)
    broker = address.broker(socket_timeout=3)
    assert broker.url == "sentinel://ada:x@one:26379/4;sentinel://ada:x@two:1/4"
    assert broker.tls == {"ssl_cert_reqs": "required", "ssl_ca_certs": CA}
    assert (broker.options["socket_timeout"], broker.options["master_name"]) == (3, "main")
    to_sentinels = broker.options["sentinel_kwargs"]
    assert to_sentinels.pop("retry").get_retries() == 0
    assert to_sentinels == {"socket_timeout": 3, **address.sentinel_options}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:6379", "the scheme is not one of redis, rediss, unix, redis+sentinel, rediss+sentinel"),
        ("redis://:secret@there:port/0", "a host or its port, from 1 to 65535, cannot be read"),
        ("redis://:secret@there:70000/0", "a host or its port, from 1 to 65535, cannot be read"),
        ("redis://:secret@there/first", "the database is no number"),
        ("redis://:sec/ret@there/0", "user, password and parameters are to be percent-encoded"),
        ("redis://:secret@there:0/0", "a host or its port, from 1 to 65535, cannot be read"),
        ("redis://:secret@there/0?ssl_ca_certs=/ca.pem", "parameter 1 is none of those of redis, which are db"),
        ("rediss://:secret@there/0?ssl_ca_certs=/no/ca.pem", "`ssl_ca_certs`: the file cannot be read"),
        ("rediss://:secret@there/0?ssl_cert_reqs=maybe", "`ssl_cert_reqs`: is not one of required, optional, none"),
        ("unix://:secret@there", "a socket's path starts with / and stands behind unix://"),
        ("redis+sentinel://:secret@there/0", "the parameter `service` is missing"),
        ("redis+sentinel://there/0?sentinel_password=secret", "the parameter `service` is missing"),
        ("redis:/lowland:secret@there:6379/0", "// is missing behind redis:"),
        ("unix:/lowland:secret@/run/r", "// is missing behind unix:"),
        ("unix:///lowland:secret@/run/r", "user, password and parameters are to be percent-encoded"),
        ("lowland:secret@there", "the scheme is not one of"),
        (":secret@there/0", "the scheme is not one of"),
        ("secret", "the scheme is not one of"),
        ("redis://there/0?PASSWORD=secret", "parameter 1 is none of those of redis, which are db"),
        ("redis+sentinel://there/0?service=main&sentinel_password=ab&secret", "parameter 3 is none of those of"),
        ("redis+sentinel://there/0?sentinel_password=ab&secret=1&service=main", "parameter 2 is none of those of"),
        ("redis://:sec\nret@there/0", "a line break or another control character is to be percent-encoded"),
        ("redis://:secret\u2100@there/0", "user, password or host cannot be read"),
        ("redis://ada:secret@[secret]/0", "user, password or host cannot be read"),
    ],
)
def test_another_url_is_refused_without_its_secrets(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match="give redis://HOST:PORT/DATABASE") as refused:
        Address.read(url)

    assert str(refused.value).startswith(reason)
    assert not [word for word in ("secret", "sec/", "sec\n", "ret@") if word in str(refused.value)]


def test_a_plus_is_a_plus() -> None:
    url = "redis+sentinel://there/0?service=a+b&sentinel_username=x%20y&sentinel_password=y+%2B"

    address = Address.read(url)

    assert (address.service, address.sentinel_options) == ("a+b", {"username": "x y", "password": "y++"})


def test_a_process_with_another_url_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOWLAND_REDIS_URL", "http://:secret@there")

    with pytest.raises(SystemExit) as ended:
        LedgerSettings.of_process()

    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert said.startswith("lowland: LOWLAND_REDIS_URL: ")
    assert "the scheme is not one of redis" in said
    assert "secret" not in said


@pytest.mark.parametrize("url", ["redis:/lowland:secret@there/0", "redis://:sec\nret@there/0", "redis://there/?secret"])
def test_a_health_check_with_another_url_does_not_show_it(url: str) -> None:
    command = [sys.executable, "-m", "worker.alive", "keeper"]

    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "LOWLAND_REDIS_URL": url}, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith("lowland: LOWLAND_REDIS_URL: ")
    assert not [word for word in ("secret", "sec", "ret@") if word in ended.stdout + ended.stderr]


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWLAND_REDIS_URL", "")

    assert LedgerSettings().redis_url == "redis://127.0.0.1:6379/0"


def test_the_secrets_are_in_no_representation() -> None:
    address = Address.read("redis+sentinel://ada:secret@there/0?service=main&sentinel_password=secret")

    assert "secret" not in f"{address} {address!r} {address.broker()!r}"
