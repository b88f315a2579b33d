"""`deploy` killed in every stage, one after the other; the next one goes on, the last completes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from hubfleet.clients.web import get_json
from hubfleet.settings import ROOT, load
from hubfleet.state import Deployment
from hubfleet.status import fleet_of, status
from hubfleet.verify import free_ports

NAME = "invoke-killed"

MOMENTS = [
    ("preflight", 0.0),
    ("images", 0.0),
    ("identity", 0.1),
    ("chef server", 0.5),
    ("chef server", 8.0),
    ("hub", 2.0),
    ("workers", 5.0),
    ("bootstrap", 3.0),
    ("converge", 2.0),
    ("check", 0.0),
]
"""Stage, and seconds after its first line, at which the process is killed."""

STAGE = re.compile(r"^\[\d+/\d+\] (.+?) \.\.\.")


def invoke(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "CI": "1", "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A free block of ports, and no deployment before and after."""
    subprocess_result(invoke("destroy", "--name", NAME, "--yes", "--homes"))
    yield free_ports()
    code, words = subprocess_result(invoke("destroy", "--name", NAME, "--yes", "--homes"))
    assert code == 0, words
    assert not (ROOT / ".state" / NAME).exists()


def subprocess_result(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, words = process.communicate(timeout=900)
    return process.returncode, words


def run_until(process: subprocess.Popen[str], stage: str, after: float) -> bool:
    """Kill a deploy `after` seconds into a stage; False where it ended before."""
    assert process.stderr
    descriptor, text = process.stderr.fileno(), ""
    while chunk := os.read(descriptor, 4096).decode(errors="replace"):
        text += chunk
        if any((found := STAGE.match(line)) and found[1] == stage for line in text.splitlines()):
            break
    time.sleep(after)
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert STAGE.search(text), text
    return not ended


def test_a_deploy_killed_anywhere_is_completed_by_the_next(port: int) -> None:
    words = ["deploy", "--name", NAME, "--env", "local", "--port", str(port)]
    killed = [stage for stage, after in MOMENTS if run_until(invoke(*words), stage, after)]
    assert set(killed) >= {"identity", "chef server", "hub", "workers", "bootstrap", "converge"}

    code, output = subprocess_result(invoke(*words))
    assert code == 0, output
    deployment = Deployment.open(NAME)
    get_json(f"{deployment.url}/hub/health", deployment.ca_crt)
    found = status(deployment, fleet_of(deployment))
    workers = load("local").fleet.workers.min
    assert len(found["nodes"]) == 2 + workers
    ready = [member for member in found["swarm"] if member["status"] == "Ready"]
    assert len(found["swarm"]) == len(ready) == 1 + workers

    code, output = subprocess_result(invoke(*words))
    assert code == 0, output
    assert "; 0 resources updated" in output
