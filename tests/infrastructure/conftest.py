"""The stack in a copy, so that nothing of a test stays in the checkout; OpenTofu and moto."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from hubfleet.state import ROOT
from tests.infrastructure.tools import NONE, Tofu, find_tofu

MOTO_START_S = 60.0
"""Seconds until the server answers; 3 on an idle machine."""


@pytest.fixture(scope="session")
def tofu() -> Tofu:
    found = find_tofu()
    if found is None:
        pytest.skip(NONE)
    return found


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of terraform/ beside copies of what it reads."""
    return copy_to(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="session")
def stack(tofu: Tofu, copy: Path) -> Path:
    """Return a copy of terraform/ whose providers are installed."""
    done = tofu.run(copy, "init", "-backend=false", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy


def copy_to(folder: Path) -> Path:
    for name in ("terraform", "environments", "roles"):
        unwanted = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars")
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    return folder / "terraform"


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start moto's server, and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    program = Path(sys.executable).with_name("moto_server")
    with log.open("w") as sink:
        argv = [str(program), "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(argv, stdout=sink, stderr=sink)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/moto-api/", log)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + MOTO_START_S
    while True:
        try:
            requests.get(url, timeout=5).raise_for_status()
        except requests.RequestException:
            if time.monotonic() > deadline:
                pytest.fail(f"moto did not start: {log.read_text()}")
            time.sleep(0.2)
        else:
            return
