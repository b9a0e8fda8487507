"""What the client repeats when the server is away, and what it never does."""

import socket
import threading
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from ledger import Keys
from lowland import Client
from lowland.errors import JobNotFound, LimitReached, RequestFailed, ServerUnavailable, SpecInvalid, WaitTimedOut
from tests.api.servers import api_server
from tests.client.conftest import Opening
from tests.client.relay import answer, relayed
from tests.conftest import free_port


def test_reading_outlasts_a_restart(
    client: Client, opening: Opening, redis_url: str, session_keys: Keys, artifact_dir: Path
) -> None:
    """Asked while nobody listens, answered by a server that starts later on the same ledger."""
    job = client.submit({"dataset": "digits"})
    port = free_port()

    with ExitStack() as running, opening(f"http://127.0.0.1:{port}", retry_s=30) as early:
        late = threading.Timer(
            0.2, lambda: running.enter_context(api_server(redis_url, session_keys, artifact_dir, port=port))
        )
        late.start()
        found = early.get(job.id)
        late.join()

    # but for why it waits: a worker of another test may have been missed meanwhile
    assert found.model_copy(update={"queue": None}) == job.model_copy(update={"queue": None})


def test_a_submit_whose_answer_was_lost_is_sent_again_and_makes_one_job(client: Client, opening: Opening) -> None:
    name = uuid.uuid4().hex

    with relayed(client.base_url, 20, 200) as relay, opening(relay.url) as cut_off:
        job = cut_off.submit({"dataset": "digits", "name": name})

    assert len(relay.lines("POST /jobs")) == 3
    assert [known.id for known in client.list() if known.spec.name == name] == [job.id]


def test_the_error_of_a_submit_has_its_key(client: Client, opening: Opening) -> None:
    """Whoever gives up after a cut can find out later, from another process too."""
    name = uuid.uuid4().hex
    spec = {"dataset": "digits", "name": name}

    with relayed(client.base_url, 20) as relay, opening(relay.url, retry_s=0) as cut_off:
        with pytest.raises(ServerUnavailable) as lost:
            cut_off.submit(spec)
        assert lost.value.idempotency_key is not None
        job = cut_off.submit(spec, idempotency_key=lost.value.idempotency_key)

    assert [known.id for known in client.list() if known.spec.name == name] == [job.id]
    with pytest.raises(SpecInvalid) as refused:
        client.submit({"dataset": "nothing"}, idempotency_key="mine")
    assert refused.value.idempotency_key == "mine"


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable", "502 Bad Gateway"])
def test_a_server_that_says_later_is_asked_later(client: Client, opening: Opening, status: str) -> None:
    job = client.submit({"dataset": "digits"})
    later = answer(status, "Retry-After: 0")

    with relayed(client.base_url, later, later) as relay, opening(relay.url) as patient:
        assert patient.get(job) == job

    assert len(relay.lines("GET /jobs/")) == 3


def test_a_refused_retry_is_sent_again(client: Client, opening: Opening) -> None:
    """Unlike a lost one, which may have been carried out."""
    job = client.cancel(client.submit({"dataset": "digits"}))

    with relayed(client.base_url, answer("429 Too Many Requests")) as relay, opening(relay.url) as patient:
        assert patient.retry(job).status == "queued"


def test_who_is_told_to_come_much_later_does_not_wait(client: Client, opening: Opening) -> None:
    limited = answer("429 Too Many Requests", "Retry-After: 3600", body=b'{"detail": "enough"}')
    away = answer("503 Service Unavailable", "Retry-After: 7200")

    with relayed(client.base_url, limited, away) as relay, opening(relay.url) as impatient:
        with pytest.raises(LimitReached, match="enough") as enough:
            impatient.get("x")
        with pytest.raises(ServerUnavailable) as busy:
            impatient.get("x")

    assert (enough.value.retry_after_s, busy.value.retry_after_s) == (3600, 7200)


def test_a_deletion_whose_answer_got_lost_is_no_failure(client: Client, opening: Opening) -> None:
    job = client.cancel(client.submit({"dataset": "digits"}))

    with relayed(client.base_url, 10) as relay, opening(relay.url) as cut_off:
        cut_off.delete(job)

    assert len(relay.lines("DELETE")) == 2
    with pytest.raises(JobNotFound):
        client.delete(job)


def test_a_key_of_ones_own_gives_the_same_job_from_anywhere(client: Client) -> None:
    key, spec = uuid.uuid4().hex, {"dataset": "digits"}
    job = client.submit(spec, idempotency_key=key)

    with Client(client.base_url) as other:
        assert other.submit(spec, idempotency_key=key) == job
        with pytest.raises(RequestFailed, match=job.id) as refused:
            other.submit({"dataset": "digits", "epochs": 3}, idempotency_key=key)

    assert refused.value.slug == "idempotency-key-reused"


@pytest.mark.parametrize("key", ["", "x" * 256, "grün", "a\nb", " a", "a "])
def test_a_key_that_no_header_carries_is_refused_at_once(opening: Opening, key: str) -> None:
    with (
        opening(f"http://127.0.0.1:{free_port()}", retry_s=3600) as client,
        pytest.raises(ValueError, match="255 printable"),
    ):
        client.submit({"dataset": "digits"}, idempotency_key=key)


def test_a_retry_is_sent_once(client: Client, opening: Opening) -> None:
    """Whether a lost one was carried out nobody knows: the job may have failed again since."""
    job = client.cancel(client.submit({"dataset": "digits"}))

    with relayed(client.base_url, 10) as relay, opening(relay.url) as cut_off, pytest.raises(ServerUnavailable):
        cut_off.retry(job)

    assert len(relay.lines("POST")) == 1


def test_a_server_without_redis_is_unavailable(keys: Keys, tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"

    with api_server(nowhere, keys, tmp_path) as url, Client(url, retry_s=0) as client:
        with pytest.raises(ServerUnavailable, match="Redis does not answer"):
            client.submit({"dataset": "digits"})
        with pytest.raises(ServerUnavailable, match="Redis does not answer"):
            client.get("0199f3a0-0000-7000-8000-000000000000")


def test_what_is_not_there_was_not_deleted_by_a_request_that_was_refused(client: Client, opening: Opening) -> None:
    refused = answer("429 Too Many Requests", "Retry-After: 0")

    with relayed(client.base_url, refused) as relay, opening(relay.url) as patient, pytest.raises(JobNotFound):
        patient.delete("nothing")


def test_waiting_ends_in_time_where_nobody_answers(opening: Opening) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with opening(url, timeout_s=60, retry_s=60) as client, pytest.raises(ServerUnavailable):
            client.wait("x", timeout_s=0.5)


def test_waiting_ends_in_time_where_the_server_goes_away(client: Client, opening: Opening) -> None:
    """Whoever has seen the job is told of the job."""
    job = client.submit({"dataset": "digits"})
    seen = answer("200 OK", 'ETag: "1"', body=job.model_dump_json().encode())

    with (
        relayed(client.base_url, seen, *[1] * 1000) as relay,
        opening(relay.url, retry_s=60) as cut_off,
        pytest.raises(WaitTimedOut, match="still queued"),
    ):
        cut_off.wait(job, timeout_s=0.5)


def test_a_wait_without_versions_asks_now_and_then(client: Client, opening: Opening) -> None:
    """Something on the way takes ETag out of the answers."""
    job = client.submit({"dataset": "digits"})
    seen = answer("200 OK", body=job.model_dump_json().encode())
    updates: list[str] = []

    with relayed(client.base_url, *[seen] * 100) as relay, opening(relay.url) as waiting, pytest.raises(WaitTimedOut):
        waiting.wait(job, timeout_s=1.2, on_update=lambda update: updates.append(update.status))

    assert updates == ["queued"]
    assert relay.plans_left > 90
