"""Calls of a load test: sent as they are, timed, their answers looked at.

Nothing is computed between two calls: what signs, plans and counts does so before and after.
"""

import hashlib
import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

TIMEOUT_S = 60
"""Seconds for one part of an answer; whoever waits longer has failed."""


@dataclass(frozen=True)
class Call:
    """One request with all its headers, and what its answer has to be.

    `kind` names calls of one sort, such as `GET nodes`; `checksum` is the MD5 sum that the answer's
    content must have, "" for any.
    """

    kind: str
    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    body: bytes = b""
    checksum: str = ""


@dataclass(frozen=True)
class Sample:
    """How a call went; `problem` is "" where its answer was as expected."""

    kind: str
    seconds: float
    problem: str


class Sender:
    """One client's connection to a server, kept open from call to call where it is told to.

    chef-client keeps a connection for the downloads of a thread, and opens one for any other call.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def send(self, call: Call, *, keep: bool = False) -> Sample:
        """Send a call and read its whole answer; the time includes connecting."""
        headers = dict(call.headers) if keep else {**call.headers, "Connection": "close"}
        started = time.perf_counter()
        try:
            self._connection.request(call.method, call.path, call.body or None, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Sample(
                call.kind, time.perf_counter() - started, f"{type(error).__name__}: {error}"
            )
        seconds = time.perf_counter() - started
        if not keep:
            self._connection.close()
        return Sample(call.kind, seconds, _problem(call, answer.status, content))


def _problem(call: Call, status: int, content: bytes) -> str:
    if status != call.status:
        return f"status {status} instead of {call.status}: {content[:200]!r}"
    if call.checksum and hashlib.md5(content, usedforsecurity=False).hexdigest() != call.checksum:
        return "the content is not that of its checksum"
    return ""
