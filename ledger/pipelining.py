"""Scripts that are run together: what is asked for in one turn of the event loop goes to the server in one pipeline.

The way to the server is most of what a call costs the API, and where many requests come at once it is gone only once.
Whoever comes alone is sent alone, without waiting.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from typing import Any, Final

import redis.asyncio
from redis.exceptions import NoScriptError


@dataclass(frozen=True, slots=True)
class _Asked:
    script: str
    keys: Sequence[str]
    args: Sequence[bytes | int]
    answer: "asyncio.Future[Any]"


class Pipeliner:
    """Runs scripts for one event loop.

    Args:
        client: has the connections.
        scripts: the text of each by its name. Running one again must have no further effect.
    """

    def __init__(self, client: "redis.asyncio.Redis", scripts: Mapping[str, str]) -> None:
        self._client: Final = client
        self._scripts: Final = scripts
        self._digests: Final = {name: sha1(text.encode()).hexdigest() for name, text in scripts.items()}
        self._turn: list[_Asked] = []
        self._sending: Final = set[asyncio.Task[Sequence[object]]]()

    async def run(self, script: str, *, keys: Sequence[str], args: Sequence[bytes | int]) -> Any:
        """The answer of a script.

        Raises:
            RedisError: the server did not answer, or answered this script with an error.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(script, keys, args, loop.create_future())
        if not self._turn:
            loop.call_soon(self._send)
        self._turn.append(asked)
        return await asked.answer

    def _send(self) -> None:
        turn, self._turn = self._turn, []
        task = asyncio.get_running_loop().create_task(self._answers(turn))
        self._sending.add(task)  # the loop does not keep it alive
        task.add_done_callback(partial(self._deliver, turn))

    async def _answers(self, turn: Sequence[_Asked]) -> Sequence[object]:
        answers = await self._execute(turn)
        if unknown := {asked.script for asked, answer in zip(turn, answers, strict=True) if _is_unknown(answer)}:
            for name in unknown:  # to a server that has just started
                await self._client.script_load(self._scripts[name])
            answers = await self._execute(turn)
        return answers

    async def _execute(self, turn: Sequence[_Asked]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for asked in turn:
            pipeline.evalsha(self._digests[asked.script], len(asked.keys), *asked.keys, *asked.args)  # pyright: ignore[reportArgumentType]  bytes and numbers are written too
        return await pipeline.execute(raise_on_error=False)

    def _deliver(self, turn: Sequence[_Asked], task: "asyncio.Task[Sequence[object]]") -> None:
        self._sending.discard(task)
        if task.cancelled():
            for asked in turn:
                asked.answer.cancel()
            return
        failure = task.exception()
        answers = [failure] * len(turn) if failure else task.result()
        for asked, answer in zip(turn, answers, strict=True):
            if asked.answer.done():
                continue  # whoever asked has gone
            if isinstance(answer, BaseException):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)


def _is_unknown(answer: object) -> bool:
    return isinstance(answer, NoScriptError)
