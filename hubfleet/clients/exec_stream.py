"""All that a program in a container prints, as the engine sends it.

docker-py's own `exec_start` reads the socket behind http.client's buffer: what the engine sends in
one packet with its header is lost, which on a busy machine was one output in ten, without an error.
Asked without an upgrade of the connection, the engine sends the same bytes as an ordinary body.
"""

from typing import Any

STDOUT, STDERR = 1, 2
_HEADER = 8
"""Bytes before each piece: the stream, three zeros, and the length, big-endian (Engine API,
"Stream format")."""


def start(api: Any, exec_id: str) -> tuple[bytes, bytes]:
    """Start a prepared exec, wait for its end, and return its output and its errors.

    It may be silent for as long as it likes. Raises what the SDK raises.
    """
    answer = api._post_json(
        api._url("/exec/{0}/start", exec_id),
        data={"Tty": False, "Detach": False},
        stream=True,
        timeout=None,
    )
    try:
        api._raise_for_status(answer)
        return split(answer.content)
    finally:
        answer.close()


def split(body: bytes) -> tuple[bytes, bytes]:
    """Return output and errors of a multiplexed stream; a piece that was cut off counts. Pure."""
    parts = {STDOUT: bytearray(), STDERR: bytearray()}
    at = 0
    while at + _HEADER <= len(body):
        size = int.from_bytes(body[at + 4 : at + _HEADER], "big")
        piece = body[at + _HEADER : at + _HEADER + size]
        parts.get(body[at], parts[STDOUT]).extend(piece)
        at += _HEADER + size
    return bytes(parts[STDOUT]), bytes(parts[STDERR])
