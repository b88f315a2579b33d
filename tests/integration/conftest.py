"""Tests of one node's state: in Kitchen after its converges, or deployed, for `./invoke verify`.

HUBFLEET_SUITE       role of the node; tests of other roles are left out
HUBFLEET_ENVIRONMENT environment whose values are expected (default: local)
--hosts=docker://X   the node, or HUBFLEET_HOST=docker://X, or KITCHEN_CONTAINER_ID=X in Kitchen

`roles(...)` marks tests of some roles; `deployed` those that need a Chef server beside the node;
`kitchen` those that would disturb a class, or that Kitchen alone can answer.
"""

import os
from pathlib import Path

import pytest
import testinfra

from hubfleet.fleet.base import Role
from tests.integration.subject import Subject

HERE = Path(__file__).parent
BACKEND = "docker://"

MARKERS = (
    "roles(*roles): only for nodes of these roles",
    "deployed: only for nodes of a deployment",
    "kitchen: only for nodes of Test Kitchen",
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are not about this kind of node."""
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    if not mine:
        return
    role, (_, kitchen) = _role(), _container(config)
    left_out = [item for item in mine if not _fits(item, role, kitchen)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def node(pytestconfig: pytest.Config) -> Subject:
    """The node under test."""
    container, kitchen = _container(pytestconfig)
    host = testinfra.get_host(f"{BACKEND}{container}")
    # Everything else identifies it by its name; Kitchen gives its id.
    name = host.backend.run_local("docker inspect --format '{{.Name}}' %s", container)
    assert name.rc == 0, f"there is no container {container}"
    environment = os.environ.get("HUBFLEET_ENVIRONMENT", "local")
    return Subject(name.stdout.strip().removeprefix("/"), host, _role(), environment, kitchen)


def _role() -> Role:
    suite = os.environ.get("HUBFLEET_SUITE", "")
    if suite not in set(Role):
        raise pytest.UsageError(f"HUBFLEET_SUITE={suite!r}: set it to one of {', '.join(Role)}")
    return Role(suite)


def _container(config: pytest.Config) -> tuple[str, bool]:
    """Return the node's container and whether Kitchen made it; there is no default."""
    named = config.getoption("hosts") or os.environ.get("HUBFLEET_HOST")
    if named:
        if not named.startswith(BACKEND) or "," in named:
            raise pytest.UsageError(f"{named!r} is not one node: name it as {BACKEND}CONTAINER")
        return named.removeprefix(BACKEND), False
    if container := os.environ.get("KITCHEN_CONTAINER_ID"):
        return container, True
    raise pytest.UsageError("which node? --hosts, HUBFLEET_HOST or KITCHEN_CONTAINER_ID says it")


def _fits(item: pytest.Item, role: Role, kitchen: bool) -> bool:
    marker = item.get_closest_marker("roles")
    if marker is not None and role not in marker.args:
        return False
    return item.get_closest_marker("deployed" if kitchen else "kitchen") is None
