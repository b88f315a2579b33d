"""One server for the run."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfleet.clients.chef_process import running, start_embedded
from tests.chef_api.target import Target, external, new_keys

MEMORY = Path("/dev/shm")
"""The server syncs every write; where the data does not matter, no disk need wait."""


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """Return a directory that ends with the run, in memory where there is some."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def target(scratch: Path) -> Iterator[Target]:
    """Return the server that the environment names, or an embedded one that ends with the run."""
    keys = scratch / "keys"
    keys.mkdir()
    if found := external(keys):
        yield found
        return
    public = new_keys(keys)
    with running(start_embedded(scratch / "server", public)) as server:
        # Over plain HTTP no CA is asked; the file must only be there.
        yield Target(server.url, public["operator"], keys)


@pytest.fixture(scope="session")
def loosened(scratch: Path) -> Iterator[Target]:
    """Return a server of ours that leaves out the control that a request names."""
    keys = scratch / "loosened-keys" if os.environ.get("HUBFLEET_CHEF_URL") else scratch / "keys"
    keys.mkdir(exist_ok=True)
    public = new_keys(keys)
    program = Path(__file__).parent / "loosened.rb"
    with running(start_embedded(scratch / "loosened", public, program=[str(program)])) as server:
        yield Target(server.url, public["operator"], keys)
