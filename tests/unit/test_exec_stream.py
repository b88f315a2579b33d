"""What a program in a container prints arrives whole, however the engine packs it."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import APIError

from hubfleet.clients.exec_stream import split, start


def piece(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


PRINTED = piece(1, b"one ") + piece(2, b"warning") + piece(1, b"two")
RAW = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
GONE = b'HTTP/1.1 404 Not Found\r\nContent-Length: 16\r\n\r\n{"message":"no"}'


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """An engine that sends what it is given, all at once, to whatever it is asked."""
    path, answers = tmp_path / "e.sock", [b""]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answers[0])

        threading.Thread(target=serve, daemon=True).start()
        yield f"unix://{path}", answers
        listener.shutdown(socket.SHUT_RDWR)


def test_an_output_in_the_packet_of_its_header_is_not_lost(engine: tuple[str, list[bytes]]) -> None:
    url, answers = engine
    answers[0] = RAW + PRINTED
    assert start(docker.APIClient(url, version="1.41"), "x") == (b"one two", b"warning")
    answers[0] = RAW
    assert start(docker.APIClient(url, version="1.41"), "x") == (b"", b"")


def test_a_refusal_is_the_sdk_s_error(engine: tuple[str, list[bytes]]) -> None:
    url, answers = engine
    answers[0] = GONE
    with pytest.raises(APIError):
        start(docker.APIClient(url, version="1.41"), "x")


def test_pieces_are_put_together_by_their_stream() -> None:
    assert split(PRINTED) == (b"one two", b"warning")
    assert split(PRINTED[:-2]) == (b"one t", b"warning")
    assert split(PRINTED + b"\x01\x00") == (b"one two", b"warning")
    assert split(b"") == (b"", b"")
