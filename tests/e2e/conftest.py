"""End-to-end tests: students at the deployment that HUBFLEET_DEPLOYMENT names."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from hubfleet.bringup import Health, health
from hubfleet.clients.hub import Student
from hubfleet.controller.steady import DIRECTORY, FROZEN
from hubfleet.fleet.base import Fleet, Instance, Role
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment
from hubfleet.status import fleet_of
from hubfleet.students import student


@dataclass
class Lab:
    """A deployment under test."""

    deployment: Deployment
    settings: Settings
    fleet: Fleet

    def machines(self, role: Role) -> list[Instance]:
        """Return the machines of a role that have come up; the controller may just add a worker."""
        found = [machine for machine in self.fleet.list() if machine.role == role]
        return [machine for machine in found if health(self.fleet, machine) is Health.OK]

    @property
    def hub(self) -> Instance:
        """The hub node."""
        return self.machines(Role.HUB)[0]

    def on(self, machine: Instance, *argv: str, timeout: float = 120) -> str:
        """Run a program on a machine; it must succeed."""
        done = self.fleet.run(machine.id, list(argv), timeout)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    @asynccontextmanager
    async def students(self, *names: str) -> AsyncIterator[list[Student]]:
        """Students with running servers, which are stopped afterwards."""
        async with AsyncExitStack() as stack:
            found = [await stack.enter_async_context(student(self.deployment, n)) for n in names]
            for each in found:
                await (await each.login()).start()
            try:
                yield found
            finally:
                await asyncio.gather(*(each.stop() for each in found), return_exceptions=True)


LOST_CONNECTION = "Exception ignored in. <(socket.socket|function _SelectorTransport)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bear connections that nobody could close in good order: their machine was killed."""
    ignored = f"ignore:{LOST_CONNECTION}:pytest.PytestUnraisableExceptionWarning"
    for item in items:
        item.add_marker(pytest.mark.filterwarnings(ignored))


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The deployment under test."""
    name = os.environ.get("HUBFLEET_DEPLOYMENT")
    if not name:
        pytest.skip("HUBFLEET_DEPLOYMENT names no deployment")
    deployment = Deployment.open(name)
    return Lab(deployment, load(deployment.environment), fleet_of(deployment))


@pytest.fixture(autouse=True, scope="module")
def steady_fleet(lab: Lab, request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep the number of workers as it is, but for the tests that are about it."""
    file = f"{DIRECTORY}/{FROZEN}"
    if request.module.__name__.endswith(("test_fleet", "test_reconcile")):
        yield
        return
    lab.on(lab.hub, "sh", "-c", f"mkdir -p {DIRECTORY} && touch {file}")
    yield
    lab.on(lab.hub, "rm", "-f", file)


@pytest.fixture
def scene() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Run an asynchronous scene."""

    def run(play: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with asyncio.timeout(600):
                await play()

        asyncio.run(whole())

    return run
