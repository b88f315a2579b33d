"""Requests that are no requests: half ones, slow ones, too large ones, and lies about a length."""

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.chef_api.raw import Raw
from tests.chef_api.target import Target

CUT_S = 5
"""Seconds after which the server ends a request that does not go on."""

LATE_S = 4
"""Seconds more that a loaded machine may take."""

MAX_BODY = 10 * 1024 * 1024


@pytest.fixture
def raw(target: Target) -> Iterator[Raw]:
    """Return the server of the run."""
    raw = Raw(target)
    yield raw
    raw.close()


def opened(target: Target, content: bytes) -> socket.socket:
    """Connect, and send what may be less than a request."""
    url = urlsplit(target.url)
    connection = socket.create_connection((url.hostname or "", url.port or 0), timeout=CUT_S)
    connection.sendall(content)
    return connection


def answered(connection: socket.socket, seconds: float) -> bytes | None:
    """Return all that comes before the server closes; None where it does not within a time."""
    connection.settimeout(max(seconds, 0.05))
    found = b""
    try:
        while part := connection.recv(4096):
            found += part
    except TimeoutError:
        return None
    except ConnectionResetError:
        pass
    finally:
        connection.close()
    return found


HALVES = (
    b"",
    b"GET /organizations/hubfleet/nod",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Ops-Sign: vers",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
)


def test_half_requests_are_cut_off_and_hold_nobody_up(
    target: Target, loosened: Target, raw: Raw
) -> None:
    begun = time.monotonic()
    halves = [opened(target, half) for half in HALVES for _ in range(8)]
    kept = [opened(loosened, half) for half in HALVES]
    assert raw.ask("operator", "GET", "clients").status == 200
    assert time.monotonic() - begun < CUT_S
    answers = [answered(one, begun + CUT_S + LATE_S - time.monotonic()) for one in halves]
    assert None not in answers
    assert all(answer == b"" or answer.startswith(b"HTTP/1.1 408") for answer in answers if answer)
    # Without the limit they would still be there.
    assert [answered(one, 0) for one in kept] == [None] * len(HALVES)


def test_a_body_over_the_limit_is_refused_as_it_begins(target: Target, loosened: Target) -> None:
    lines = ("POST / HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {MAX_BODY + 1}")
    head = "\r\n".join(lines) + "\r\n\r\n"
    connections = [opened(server, head.encode()) for server in (target, loosened)]
    time.sleep(0.2)
    for connection in connections:
        connection.sendall(b"{")
    answer = answered(connections[0], LATE_S)
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 413")
    assert answered(connections[1], 0) is None


@pytest.mark.parametrize(
    "lie",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"Content-Length: -5\r\n\r\nhello",
        b"Content-Length: five\r\n\r\nhello",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_body_of_two_lengths_is_no_request(target: Target, lie: bytes) -> None:
    head = b"POST /organizations/hubfleet/nodes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = answered(opened(target, head + lie), LATE_S)
    assert answer is not None
    assert answer.split(b" ", 2)[1] in (b"400", b"501")


def test_a_body_longer_than_it_says_is_not_taken(target: Target, raw: Raw) -> None:
    body = '{"name":"hubfleet-test-long"}'
    headers = raw.headers("operator", "POST", "nodes", body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {raw.path('nodes')} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 10\r\n\r\n"
    answer = answered(opened(target, (head + body).encode()), LATE_S)
    assert answer is not None
    statuses = [line.split(b" ")[1] for line in answer.split(b"\r\n") if line[:5] == b"HTTP/"]
    # What is left over is no request either; puma may end the connection without a word.
    assert statuses in ([b"401"], [b"401", b"400"])
    assert raw.ask("operator", "GET", "nodes/hubfleet-test-long").status == 404
