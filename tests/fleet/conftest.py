"""One fleet of each back end for the run; each test begins with an empty one."""

from collections.abc import Iterator, Mapping

import pytest

from tests.fleet.aws import AwsBackend, aws_backend
from tests.fleet.backend import Backend
from tests.fleet.local import LocalBackend, local_backend

BACKENDS: Mapping[str, str] = {"local": "a_service", "aws": "an_account"}
"""The fixture of each back end; one is added here."""


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each back end in turn, emptied."""
    made: Backend = request.getfixturevalue(BACKENDS[request.param])
    marker = request.node.get_closest_marker("needs")
    if marker and (missing := made.lacks.intersection(marker.args)):
        pytest.skip(f"{made.name} has no {', '.join(sorted(missing))} here")
    made.clear()
    return made


@pytest.fixture(scope="session")
def a_service() -> Iterator[LocalBackend]:
    """Return the local back end."""
    with local_backend() as made:
        yield made


@pytest.fixture
def local(a_service: LocalBackend) -> LocalBackend:
    """Return the local back end, emptied."""
    a_service.clear()
    return a_service


@pytest.fixture(scope="session")
def an_account() -> Iterator[AwsBackend]:
    """Return the AWS back end."""
    with aws_backend() as made:
        yield made


@pytest.fixture
def aws(an_account: AwsBackend) -> AwsBackend:
    """Return the AWS back end, emptied."""
    an_account.clear()
    return an_account
