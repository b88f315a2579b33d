"""One fleet of each back end for the run; each test begins with an empty one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import pytest

from tests.fleet.aws import AwsBackend, aws_backend
from tests.fleet.backend import Backend
from tests.fleet.local import LocalBackend, local_backend

BACKENDS: Mapping[str, Callable[[], AbstractContextManager[Backend]]] = {
    "local": local_backend,
    "aws": aws_backend,
}
"""A back end is added here."""


@pytest.fixture(scope="session", params=BACKENDS)
def any_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Return each back end in turn."""
    with BACKENDS[request.param]() as made:
        yield made


@pytest.fixture
def backend(any_backend: Backend, request: pytest.FixtureRequest) -> Backend:
    """Return each back end in turn, emptied."""
    marker = request.node.get_closest_marker("needs")
    if marker and (missing := any_backend.lacks.intersection(marker.args)):
        pytest.skip(f"{any_backend.name} has no {', '.join(sorted(missing))} here")
    any_backend.clear()
    return any_backend


@pytest.fixture(scope="session")
def a_service() -> Iterator[LocalBackend]:
    """Return the local back end, for what it alone does."""
    with local_backend() as made:
        yield made


@pytest.fixture
def local(a_service: LocalBackend) -> LocalBackend:
    """Return the local back end, emptied."""
    a_service.clear()
    return a_service


@pytest.fixture(scope="session")
def an_account() -> Iterator[AwsBackend]:
    """Return the AWS back end, for what it alone does."""
    with aws_backend() as made:
        yield made


@pytest.fixture
def aws(an_account: AwsBackend) -> AwsBackend:
    """Return the AWS back end, emptied."""
    an_account.clear()
    return an_account
