"""Who comes to a class drill, what they ask for, and the light server that most of them get."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hubfleet.bench.class_drill import crowd, mixed
from hubfleet.bench.class_people import LightPupil, Pupil
from hubfleet.errors import UsageError
from hubfleet.hub.service import LIGHT, command
from hubfleet.settings import ROOT, load

CLASS, LOCAL = load("class"), load("local")


@pytest.mark.parametrize(
    ("students", "real", "come"),
    [(None, None, (12, 108)), (20, None, (12, 8)), (5, None, (5, 0)), (30, 10, (10, 20))],
)
def test_with_light_servers_most_have_one(
    students: int | None, real: int | None, come: tuple[int, int]
) -> None:
    assert crowd(CLASS, students, real) == come


def test_without_light_servers_all_have_notebooks() -> None:
    assert crowd(LOCAL, None, None) == (12, 0)
    assert crowd(LOCAL, 16, None) == (16, 0)
    with pytest.raises(UsageError, match="no light servers"):
        crowd(LOCAL, 16, 12)


def test_who_cannot_have_a_seat_does_not_come() -> None:
    with pytest.raises(UsageError, match="17 students do not fit into 4 workers of 4 seats"):
        crowd(LOCAL, 17, None)


@pytest.mark.parametrize(("real", "light"), [(12, 108), (1, 2), (3, 0), (0, 2)])
def test_those_with_notebooks_come_between_the_others(real: int, light: int) -> None:
    kinds = mixed(real, light)
    assert (kinds.count(Pupil), kinds.count(LightPupil)) == (real, light)
    if real and light:
        gap = len(kinds) // real + 1
        assert all(Pupil in kinds[at : at + gap] for at in range(0, len(kinds) - gap, gap))


def test_a_light_server_is_there_for_the_asking_where_the_settings_have_it() -> None:
    usual = ["jupyterhub-singleuser"]
    asked = LightPupil.options
    assert command(asked, usual, CLASS) == LIGHT
    assert command(asked, usual, LOCAL) == usual
    assert command({}, usual, CLASS) == usual
    assert command({"kind": "sh -c id"}, usual, CLASS) == usual


@pytest.fixture
def told() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Yield a hub's address for activity, and what it was told."""
    heard: list[tuple[str, Any]] = []

    class Hub(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.headers["Authorization"], json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    hub = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=hub.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{hub.server_port}/hub/api/users/ann/activity", heard
    hub.shutdown()
    thread.join()
    hub.server_close()


def test_the_light_server_answers_reports_itself_and_ends_well(
    told: tuple[str, list[tuple[str, Any]]],
) -> None:
    address, heard = told
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{port}/user/ann/",
        "JUPYTERHUB_ACTIVITY_URL": address,
        "JUPYTERHUB_API_TOKEN": "a-token",
        "HUBFLEET_NODE": "i-1",
    }
    program = [sys.executable, str(ROOT / "images" / "notebook" / "light-server")]
    with subprocess.Popen(program, env={**os.environ, **env}) as server:
        first = ask(f"http://127.0.0.1:{port}/user/ann/api/status")
        assert (first["node"], len(first["light"])) == ("i-1", 16)
        assert ask(f"http://127.0.0.1:{port}/user/ann/api?x=1") == first
        with pytest.raises(OSError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/user/ben/api", timeout=5)
        deadline = time.monotonic() + 10
        while not heard and time.monotonic() < deadline:
            time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        assert server.wait(5) == 0
    token, body = heard[0]
    assert token == "token a-token"
    assert body["servers"][""]["last_activity"] == body["last_activity"]


def ask(url: str) -> Any:
    """Return an answer, once there is one."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
