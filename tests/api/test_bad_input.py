"""Input that means harm, or is beyond measure: each is answered by a problem that says what is wrong, and at once.

Byte for byte on a socket, as no client would send it. What is merely wrong is in test_submitting.py, ids of requests
are in test_request_ids.py.
"""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import pytest

from ledger import Keys, Ledger, transitions
from lowland.spec import JobSpec
from tests.api.servers import api_server

#: Far more than any of them takes; what a pathological input takes without a bound is more by far.
AT_ONCE_S: Final = 2.0
SOME_JOB: Final = "01a20eac-4e6a-74fe-bc88-99ef8f3dca2e"
ARTIFACTS: Final = f"/jobs/{SOME_JOB}/artifacts"
DEEP: Final = 10_000
JSON: Final = ["Content-Type: application/json"]
DIGITS: Final = json.dumps({"dataset": "digits"}).encode()
BODY_LIMIT: Final = 1024 * 1024
#: Nearly as long as a body may be.
HUGE: Final = 900_000


def spec(**fields: Any) -> bytes:
    """A job's, of which only these fields may be wrong."""
    return json.dumps({"dataset": "digits", **fields}).encode()


def literal(field: str, text: str) -> bytes:
    """A job's, with a field written as no JSON library would."""
    return f'{{"dataset": "digits", {field}: {text}}}'.encode()


def members(count: int) -> bytes:
    """An object of fields that no job has."""
    return json.dumps({f"{i:x}": 0 for i in range(count)}, separators=(",", ":")).encode()


def typed(content_type: str) -> bytes:
    return request("POST", "/jobs", f"Content-Type: {content_type}", body=DIGITS)


def function(expression: str) -> bytes:
    return json.dumps({"function": expression, "start": [1]}).encode()


def posted(body: bytes, *headers: str) -> bytes:
    return request("POST", "/jobs", *JSON, *headers, body=body)


def request(method: str, target: str, *headers: str, body: bytes | None = None) -> bytes:
    length = [f"Content-Length: {len(body)}"] if body is not None else []
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers, *length]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return request("POST", "/jobs", *JSON, "Transfer-Encoding: chunked") + framed


REFUSED: Final[dict[str, tuple[bytes, int, str]]] = {
    # names of files, jobs and workers
    "dots": (request("GET", f"{ARTIFACTS}/../../../../etc/passwd"), 404, "nothing-here"),
    "dots, encoded": (request("GET", f"{ARTIFACTS}/%2e%2e"), 404, "artifact-not-found"),
    "dots and slashes, encoded": (request("GET", f"{ARTIFACTS}/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), 404, "nothing-here"),
    "dots, encoded twice": (request("GET", f"{ARTIFACTS}/%252e%252e%252fetc"), 404, "artifact-not-found"),
    "dots, overlong": (request("GET", f"{ARTIFACTS}/%c0%ae%c0%ae%c0%afetc"), 404, "artifact-not-found"),
    "backslashes": (request("GET", f"{ARTIFACTS}/..\\..\\etc\\passwd"), 404, "artifact-not-found"),
    "backslashes, encoded": (request("GET", f"{ARTIFACTS}/..%5c..%5cetc"), 404, "artifact-not-found"),
    "NUL in a file": (request("GET", f"{ARTIFACTS}/model%00.txt"), 404, "artifact-not-found"),
    "no UTF-8 in a file": (request("GET", f"{ARTIFACTS}/%ff%fe"), 404, "artifact-not-found"),
    "lines in a file": (request("GET", f"{ARTIFACTS}/a%0d%0aX-Evil:%201"), 404, "artifact-not-found"),
    "a huge file name": (request("GET", f"{ARTIFACTS}/{'a' * 50_000}"), 404, "artifact-not-found"),
    "dots in a job": (request("GET", "/jobs/..%2f..%2fetc/logs"), 404, "nothing-here"),
    "a line's end in a job": (request("GET", f"/jobs/{SOME_JOB}%0a"), 404, "job-not-found"),
    "lines in a worker": (request("POST", "/workers/a%0d%0aX-Evil:%201/drain"), 404, "worker-not-found"),
    # text that ends up in headers, keys and logs
    "lines in a name": (posted(spec(name="a\r\nX-Evil: 1")), 422, "spec-invalid"),
    "lines in a tag": (posted(spec(tags={"a\r\nX-Evil": "1"})), 422, "spec-invalid"),
    "lines in a tag's value": (posted(spec(tags={"a": "1\r\nX-Evil: 1"})), 422, "spec-invalid"),
    "lines in a webhook": (posted(spec(webhook={"url": "http://a/\r\nX-Evil: 1"})), 422, "spec-invalid"),
    "filters in a body": (request("POST", "/jobs/cancel", *JSON, body=b'{"tag": "a"}'), 422, "parameters-invalid"),
    "options in a body": (
        request("POST", f"/jobs/{SOME_JOB}/retry", *JSON, body=b"from_checkpoint=true"),
        422,
        "parameters-invalid",
    ),
    "lines in a filter": (request("GET", "/jobs?name=a%0d%0aX-Evil:%201"), 422, "parameters-invalid"),
    "lines in a cursor": (request("GET", "/jobs?cursor=a%0d%0aX-Evil:%201"), 422, "parameters-invalid"),
    "NUL in a filter": (request("GET", "/jobs?name=%00"), 422, "parameters-invalid"),
    "a key with a tab": (posted(DIGITS, "Idempotency-Key: a\tb"), 422, "parameters-invalid"),
    "a key that is no ASCII": (posted(DIGITS, "Idempotency-Key: caf\xe9"), 422, "parameters-invalid"),
    "a key too long": (posted(DIGITS, f"Idempotency-Key: {'a' * 256}"), 422, "parameters-invalid"),
    "a huge key": (posted(DIGITS, f"Idempotency-Key: {'a' * 50_000}"), 422, "parameters-invalid"),
    "half a character as an API key": (
        request("POST", "/session", *JSON, body=b'{"key": "\\ud800"}'),
        401,
        "key-refused",
    ),
    "a huge API key": (
        request("POST", "/session", *JSON, body=json.dumps({"key": "a" * HUGE}).encode()),
        401,
        "key-refused",
    ),
    # expressions
    "an import": (posted(function("__import__('os').system('id')")), 422, "spec-invalid"),
    "a tower of powers": (posted(function("9**9**9")), 422, "spec-invalid"),
    "a tower of powers beside x": (posted(function("x+9**9**9**9")), 422, "spec-invalid"),
    "an attribute": (posted(function("x.__class__.__mro__")), 422, "spec-invalid"),
    "a lambda": (posted(function("(lambda: x)()")), 422, "spec-invalid"),
    "a comprehension": (posted(function("[x for x in (1,)][0]")), 422, "spec-invalid"),
    "a long string": (posted(function("'a'*10**9")), 422, "spec-invalid"),
    "NUL in an expression": (posted(function("x\0")), 422, "spec-invalid"),
    "digits of another script": (posted(function("x*\u0663")), 422, "spec-invalid"),
    "half a character in an expression": (posted(literal('"function"', '"x\\ud800"')), 422, "spec-invalid"),
    "a long sum": (posted(function("+".join("x" * 100_000))), 422, "spec-invalid"),
    "a long number": (posted(function(f"x*{'9' * 100_000}")), 422, "spec-invalid"),
    "deep parentheses": (posted(function("(" * DEEP + "x" + ")" * DEEP)), 422, "spec-invalid"),
    "deep signs": (posted(function("-" * DEEP + "x")), 422, "spec-invalid"),
    "deep calls": (posted(function("sin(" * DEEP + "x" + ")" * DEEP)), 422, "spec-invalid"),
    "deep powers": (posted(function("**".join("x" * DEEP))), 422, "spec-invalid"),
    "deep as its length allows": (posted(function("-" * 990 + "x")), 422, "spec-invalid"),
    # numbers
    "beyond a double": (posted(literal('"label_smoothing"', "1e999")), 422, "spec-invalid"),
    "beyond a double, below": (posted(literal('"clip_norm"', "-1e999")), 422, "spec-invalid"),
    "401 digits": (posted(literal('"epochs"', f"1{'0' * 400}")), 422, "spec-invalid"),
    "100,001 digits": (posted(literal('"seed"', f"1{'0' * 100_000}")), 422, "spec-invalid"),
    "-0": (posted(literal('"epochs"', "-0")), 422, "spec-invalid"),
    "-0.0": (posted(literal('"epochs"', "-0.0")), 422, "spec-invalid"),
    "too small for a double": (posted(literal('"optimizer"', '{"lr": 1e-400}')), 422, "spec-invalid"),
    "NaN": (posted(literal('"clip_norm"', "NaN")), 400, "body-malformed"),
    "Infinity": (posted(literal('"clip_norm"', "Infinity")), 400, "body-malformed"),
    "-Infinity": (posted(literal('"clip_norm"', "-Infinity")), 400, "body-malformed"),
    "5,000 digits as a parameter": (request("GET", f"/jobs?limit={'9' * 5000}"), 422, "parameters-invalid"),
    "1e999 as a parameter": (request("GET", "/jobs?limit=1e999"), 422, "parameters-invalid"),
    "NaN as a parameter": (request("GET", "/jobs?limit=NaN"), 422, "parameters-invalid"),
    "a long position": (request("GET", f"/jobs/{SOME_JOB}/metrics?since={'9' * 5000}"), 422, "parameters-invalid"),
    "digits of another script as a point's id": (
        request("GET", f"/jobs/{SOME_JOB}/metrics?since=%D9%A3-%D9%A3"),
        422,
        "parameters-invalid",
    ),
    "digits of another script as an event's id": (
        request("GET", f"/jobs/{SOME_JOB}/events?after=%D9%A3-%D9%A3_%D9%A3-%D9%A3"),
        422,
        "parameters-invalid",
    ),
    "digits of another script as a number": (request("GET", "/jobs?limit=%D9%A3"), 422, "parameters-invalid"),
    "a long event's id": (
        request("GET", f"/jobs/{SOME_JOB}/events", f"Last-Event-ID: {'9' * 50_000}"),
        422,
        "parameters-invalid",
    ),
    # JSON
    "deep objects": (posted(b'{"a":' * DEEP + b"1" + b"}" * DEEP), 400, "body-malformed"),
    "deep lists": (posted(b"[" * DEEP + b"]" * DEEP), 400, "body-malformed"),
    "deep lists in a field": (posted(literal('"tags"', "[" * DEEP + "]" * DEEP)), 400, "body-malformed"),
    "half a character": (posted(literal('"name"', '"\\udc00"')), 422, "spec-invalid"),
    "half a character as a field": (posted(literal('"\\ud800"', "1")), 422, "spec-invalid"),
    "half a character as a tag": (posted(literal('"tags"', '{"\\ud800": "a"}')), 422, "spec-invalid"),
    "half a character as a dataset": (posted(b'{"dataset": "\\ud800"}'), 422, "spec-invalid"),
    "half a character in UTF-8": (posted(b'{"name": "\xed\xa0\x80"}'), 400, "body-malformed"),
    "overlong UTF-8": (posted(b'{"name": "\xc0\xaf"}'), 400, "body-malformed"),
    "UTF-16": (posted('{"dataset": "digits"}'.encode("utf-16")), 400, "body-malformed"),
    "a huge name": (posted(spec(name="a" * HUGE)), 422, "spec-invalid"),
    "a huge variant": (posted(spec(sam="a" * HUGE)), 422, "spec-invalid"),
    "a huge dataset": (posted(spec(dataset="a" * HUGE)), 422, "spec-invalid"),
    "a huge field": (posted(spec(**{"a" * HUGE: 1})), 422, "spec-invalid"),
    "a huge URL": (posted(spec(webhook={"url": f"http://{'/' * HUGE}\n"})), 422, "spec-invalid"),
    "100,000 fields": (posted(members(100_000)), 400, "body-malformed"),
    "as many fields as are read": (posted(members(19_999)), 422, "spec-invalid"),
    "19,000 tags": (posted(spec(tags={f"k{i}": "" for i in range(19_000)})), 422, "spec-invalid"),
    "300,000 numbers": (posted(spec(start=[0] * 300_000)), 400, "body-malformed"),
    "19,000 numbers": (posted(spec(start=[0] * 19_000)), 422, "spec-invalid"),
    "a field twice": (posted(b'{"dataset": "digits", "dataset": "mnist"}'), 400, "body-malformed"),
    "a field twice, escaped": (posted(b'{"dataset": "digits", "\\u0064ataset": "a"}'), 400, "body-malformed"),
    "a field twice, inside": (posted(literal('"sam"', '{"rho": 1, "rho": 2}')), 400, "body-malformed"),
    # bodies, types and methods
    "no type": (request("POST", "/jobs", body=DIGITS), 415, "content-type-unsupported"),
    "XML": (typed("application/xml"), 415, "content-type-unsupported"),
    "a form": (typed("multipart/form-data; boundary=x"), 415, "content-type-unsupported"),
    "UTF-7": (typed("application/json; charset=utf-7"), 415, "content-type-unsupported"),
    "a type that is no ASCII": (typed('application/json\xff; ="'), 415, "content-type-unsupported"),
    "compressed": (posted(b"\x1f\x8b\x08\0", "Content-Encoding: gzip"), 400, "body-malformed"),
    "in chunks of a byte": (chunked(b'{"dataset": "nothing"}', 1), 422, "spec-invalid"),
    "in chunks, too large": (chunked(b" " * (BODY_LIMIT + 1), 4096), 413, "body-too-large"),
    "in chunks, empty": (chunked(b"", 1), 400, "body-malformed"),
    "too large": (posted(b" " * (BODY_LIMIT + 1)), 413, "body-too-large"),
    "PUT": (request("PUT", "/jobs", *JSON, body=DIGITS), 405, "method-not-allowed"),
    "TRACE": (request("TRACE", "/jobs"), 405, "method-not-allowed"),
    "CONNECT": (request("CONNECT", "/jobs"), 405, "method-not-allowed"),
    "PROPFIND": (request("PROPFIND", "/jobs"), 405, "method-not-allowed"),
    "a star": (request("OPTIONS", "*"), 404, "nothing-here"),
    # parameters
    "5,000 unknown parameters": (
        request("GET", f"/jobs?{'&'.join(f'p{i}=1' for i in range(5000))}"),
        422,
        "parameters-invalid",
    ),
    "5,000 parameters where there are none": (
        request("GET", f"/workers?{'&'.join(f'p{i}=1' for i in range(5000))}"),
        422,
        "parameters-invalid",
    ),
    "5,000 times one": (request("GET", f"/jobs?{'&'.join(['limit=1'] * 5000)}"), 422, "parameters-invalid"),
    "5,000 tags to find": (request("GET", f"/jobs?{'&'.join(['tag=a'] * 5000)}"), 422, "parameters-invalid"),
}
#: Refused by the HTTP server, which no route, and no problem of ours, is asked about.
NO_HTTP: Final[dict[str, bytes]] = {
    "NUL in a path": request("GET", f"{ARTIFACTS}/model\0.txt"),
    "NUL in a header": posted(DIGITS, "Idempotency-Key: a\0b"),
    "CR in a header": posted(DIGITS, "Idempotency-Key: a\rX-Evil: 1"),
    "an unknown method": request("FOO", "/jobs"),
    "a method in small letters": request("get", "/jobs"),
    "a negative length": request("POST", "/jobs", *JSON, "Content-Length: -1"),
    "a huge length": request("POST", "/jobs", *JSON, f"Content-Length: {'9' * 30}"),
    "a length that is no ASCII": request("POST", "/jobs", *JSON, "Content-Length: \xb2"),
    "two lengths": request("POST", "/jobs", *JSON, "Content-Length: 2", "Content-Length: 3") + b"{}x",
    "a length and chunks": chunked(b"{}", 1).replace(b"Transfer", b"Content-Length: 2\r\nTransfer"),
    "a chunk of no size": request("POST", "/jobs", *JSON, "Transfer-Encoding: chunked") + b"zz\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for all, with a job: nothing here changes anything."""
    keys, artifacts = Keys("{tbad}:"), tmp_path_factory.mktemp("artifacts")
    with Ledger(redis_url, keys) as ledger, api_server(redis_url, keys, artifacts) as url:
        ledger.run(transitions.submit(SOME_JOB, JobSpec.parse({"dataset": "digits"}), owner="ada"))
        httpx2.get(f"{url}/jobs/{SOME_JOB}").raise_for_status()  # what is made at the first request is not measured
        yield url


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_a_problem_at_once(server: str, case: str) -> None:
    sent, status, slug = REFUSED[case]

    response, body, took_s = answer(server, sent)

    problem = json.loads(body)
    assert (response.status, problem["type"]) == (status, f"urn:lowland:problem:{slug}"), problem
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["detail"]
    assert len(body) < 10_000 + 2 * len(problem["instance"])  # what was sent is not sent back
    assert "x-evil" not in response.headers
    assert took_s < AT_ONCE_S
    assert len(httpx2.get(f"{server}/jobs").json()["jobs"]) == 1


@pytest.mark.parametrize("case", NO_HTTP)
def test_what_is_no_http_is_refused_at_once(server: str, case: str) -> None:
    response, _, took_s = answer(server, NO_HTTP[case])

    assert response.status == 400
    assert "x-evil" not in response.headers
    assert took_s < AT_ONCE_S
    assert len(httpx2.get(f"{server}/jobs").json()["jobs"]) == 1


def answer(server: str, sent: bytes) -> tuple[http.client.HTTPResponse, bytes, float]:
    """The answer, its body, and how long it took, in seconds."""
    address = urlsplit(server)
    began = time.perf_counter()
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=30) as line:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough, and answered
            line.sendall(sent)
        response = http.client.HTTPResponse(line)
        response.begin()
        body = response.read()
    return response, body, time.perf_counter() - began
