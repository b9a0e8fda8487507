"""Where the server is, what is shown to it, and what both clients make of HTTP: everything but the waiting for it."""

import math
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self, TypedDict, TypeVar
from urllib.parse import urlsplit

import httpx2

import lowland
from lowland.client.answers import Answer, failure
from lowland.client.calls import Call
from lowland.errors import AnswerUnreadable, ServerUnavailable
from lowland.spec.show import escaped

T = TypeVar("T")

#: Where a client finds what it is not given.
URL_VARIABLE: Final = "LOWLAND_URL"
KEY_VARIABLE: Final = "LOWLAND_API_KEY"
DEFAULT_URL: Final = "http://127.0.0.1:8000"

#: A successful answer's status, or that nothing has changed.
_FINE: Final = frozenset({*range(200, 300), 304})


class Request(TypedDict):
    """How httpx2 is asked for it."""

    method: str
    url: str
    params: dict[str, Any]
    content: bytes | None
    headers: dict[str, str]
    timeout: httpx2.Timeout


class Options(TypedDict):
    """How httpx2's clients are made."""

    base_url: str
    headers: dict[str, str]
    trust_env: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A server, and how to speak with it."""

    url: str
    """Without a slash at its end."""
    api_key: str
    """Empty: none is shown."""
    timeout_s: float
    """How long the server may be silent: for connecting, sending and receiving each."""

    @classmethod
    def to(cls, base_url: str | None, *, api_key: str | None, timeout_s: float) -> Self:
        """With what is not given taken from the environment.

        Raises:
            ValueError: the URL or the key cannot be used.
        """
        url = os.environ.get(URL_VARIABLE) or DEFAULT_URL if base_url is None else base_url
        if not _is_usable(url):
            name = "base_url" if base_url is not None else URL_VARIABLE
            raise ValueError(f"{name} is {escaped(url)}; give a URL that starts with http:// or https://")
        key = (os.environ.get(KEY_VARIABLE, "") if api_key is None else api_key).strip()
        if not re.fullmatch(r"[\x21-\x7e]*", key):
            raise ValueError("api_key holds what cannot be sent; give it as `lowland keys create` printed it")
        return cls(url=url.rstrip("/"), api_key=key, timeout_s=timeout_s)

    def options(self) -> Options:
        """For a client of httpx2."""
        shown = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return Options(
            base_url=self.url,
            headers={"User-Agent": f"lowland/{lowland.__version__}", **shown},
            # a proxy in the environment is for other machines than this one
            trust_env=not _is_this_machine(self.url),
        )

    def request(self, call: Call[Any]) -> Request:
        """A call as httpx2 is asked for it."""
        read_s = min(self.timeout_s + call.silence_s, call.longest_s)
        typed = {} if call.body is None else {"Content-Type": "application/json"}
        return Request(
            method=call.method,
            url=call.path,
            params=dict(call.parameters),
            content=call.body,
            headers={**typed, **call.headers},
            timeout=httpx2.Timeout(min(self.timeout_s, call.longest_s), read=None if math.isinf(read_s) else read_s),
        )

    def result(self, call: Call[T], response: httpx2.Response) -> T:
        """What was asked for, once the whole body is there.

        Raises:
            LowlandError: it is a failure, or nothing that can be read.
        """
        answer = self.check(response)
        try:
            return call.read(answer)
        except ValueError as error:
            raise AnswerUnreadable(self.url, str(error)) from error

    def check(self, response: httpx2.Response) -> Answer:
        """The answer, once the whole body is there.

        Raises:
            LowlandError: it is a failure.
        """
        answer = Answer(status=response.status_code, headers=response.headers, body=response.content)
        if answer.status not in _FINE:
            raise failure(self.url, answer)
        return answer

    @contextmanager
    def translated(self) -> Generator[None]:
        """Errors of the way to the server are ours."""
        try:
            yield
        except httpx2.TransportError as error:
            raise ServerUnavailable(self.url, str(error) or type(error).__name__) from error
        except httpx2.DecodingError as error:
            raise AnswerUnreadable(self.url, str(error)) from error


def succeeded(response: httpx2.Response) -> bool:
    """Whether its body is what was asked for; else it is to be read, and checked."""
    return response.status_code in _FINE


def _is_usable(url: str) -> bool:
    try:
        return bool(re.match(r"https?://[^/?#]", url, re.IGNORECASE) and httpx2.URL(url).host)
    except httpx2.InvalidURL:
        return False


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"
