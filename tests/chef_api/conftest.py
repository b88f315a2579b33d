"""One server for the run."""

from collections.abc import Iterator

import pytest

from hubfleet.clients.chef_process import running, start_embedded
from tests.chef_api.target import Target, external, new_keys


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return the server that the environment names, or an embedded one that ends with the run."""
    directory = tmp_path_factory.mktemp("chef")
    keys = directory / "keys"
    keys.mkdir()
    if found := external(keys):
        yield found
        return
    public = new_keys(keys)
    with running(start_embedded(directory / "server", public)) as server:
        # Over plain HTTP no CA is asked; the file must only be there.
        yield Target(server.url, public["operator"], keys)
