"""How long students wait for their servers, at a running deployment.

A start is measured from the click, that is the request to start, until the server's own API
answers through the proxy. Ours is measured over TLS, stock without: what that costs counts
against us.
"""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

from hubfleet.bench.report import Figure, percentile
from hubfleet.bench.stock import remove_services, run_on, stock_hub
from hubfleet.clients.hub import HubError, Student
from hubfleet.console import Console
from hubfleet.errors import PreconditionError
from hubfleet.fleet.base import Fleet, Instance, Role, State
from hubfleet.hub.names import SERVICE_PREFIX
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment
from hubfleet.status import fleet_of
from hubfleet.students import student

ROUNDS = 7
"""Odd, so that the median is a measured value."""

STUDENTS = 20
SPAWN_S = 3.0
RATIO = 0.65
STORM_S = 45.0
RESTART_S = 4.0
UNSERVED_S = 180.0
"""What a student of the storm who got no server counts as having waited."""


@dataclass
class Samples:
    """Seconds that were measured."""

    ours: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    storm: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Why students of the storm got no server."""


class Bench:
    """One run: its students, and the homes to be removed after it."""

    def __init__(self, deployment: Deployment, fleet: Fleet, hub: Instance) -> None:
        self.deployment = deployment
        self.fleet = fleet
        self.hub = hub
        self.settings: Settings = load(deployment.environment, deployment.root)
        self.run = secrets.token_hex(3)
        self.names: list[str] = []
        self.samples = Samples()

    def student(self, url: str | None = None) -> Student:
        """Return a student who has never been here, of our hub or of that at `url`."""
        name = f"bench-{self.run}-{len(self.names) + 1}"
        self.names.append(name)
        found = student(self.deployment, name)
        if url:
            found.url = url
        return found

    async def one_at_a_time(self, rounds: int, stock_url: str) -> None:
        """Start new students' servers, ours and stock in turn, and ours a second time."""
        for number in range(rounds):
            # Whoever comes second finds warmer caches: they take turns at that as well.
            for ours in (True, False) if number % 2 == 0 else (False, True):
                await (self._ours() if ours else self._stock(stock_url))

    async def _ours(self) -> None:
        async with self.student() as who:
            await who.login()
            self.samples.ours.append((await who.start()).seconds)
            await self._stop(who)
            self.samples.restarts.append((await who.start()).seconds)
            await self._stop(who)

    async def _stock(self, url: str) -> None:
        async with self.student(url) as who:
            await who.login()
            self.samples.stock.append((await who.start()).seconds)
            await self._stop(who)

    async def _stop(self, who: Student) -> None:
        """Stop a server and wait until its container is gone, so that the next start is alone."""
        await who.stop()
        await asyncio.sleep(self.settings.notebook.stop_grace_s)

    async def storm(self, count: int) -> None:
        """Let `count` students, already logged in, click at once."""
        async with AsyncExitStack() as stack:
            people = [await stack.enter_async_context(self.student()) for _ in range(count)]
            for who in people:
                await who.login()
            await asyncio.gather(*(self._click(who) for who in people))
            await asyncio.gather(*(who.stop() for who in people), return_exceptions=True)

    async def _click(self, who: Student) -> None:
        try:
            self.samples.storm.append((await who.start()).seconds)
        # Whatever keeps a student from a server is a failure to be counted.
        except (HubError, OSError, TimeoutError) as error:
            self.samples.failures.append(f"{who.name}: {error}")

    def clean(self) -> None:
        """Remove the services and homes of this run's students."""
        remove_services(self.fleet, self.hub, f"{SERVICE_PREFIX}bench-{self.run}-")
        if self.names:
            homes = [f"{self.settings.storage.homes}/{name}" for name in self.names]
            run_on(self.fleet, self.hub, ["rm", "-rf", "--", *homes])


def bench(deployment: Deployment, console: Console, rounds: int, students: int) -> list[Figure]:
    """Measure and return the figures; nothing stays behind but names in the hub's database.

    Raises PreconditionError where no hub runs, HubError or CommandError where a single start fails.
    """
    with _bench(deployment) as run:
        console.plan(2)
        with (
            console.stage(f"{rounds} rounds, ours and stock in turn"),
            stock_hub(run.fleet, run.hub, run.settings, deployment.ca_crt) as url,
        ):
            asyncio.run(run.one_at_a_time(rounds, url))
        with console.stage(f"{students} students at once"):
            asyncio.run(run.storm(students))
    for failure in run.samples.failures:
        console.warn(failure)
    return figures(run.samples, students)


def figures(samples: Samples, students: int) -> list[Figure]:
    """Return the figures of the samples. Pure."""
    ours, stock = percentile(samples.ours, 0.5), percentile(samples.stock, 0.5)
    waits = samples.storm + [UNSERVED_S] * len(samples.failures)
    title = f"storm{students}"
    return [
        Figure.at_most("spawn.p50_s", ours, "s", SPAWN_S, stock),
        Figure.at_most("spawn.ratio_stock", ours / stock, "", RATIO),
        Figure.at_most(f"{title}.p95_s", percentile(waits, 0.95), "s", STORM_S),
        Figure.at_most(f"{title}.failures", len(samples.failures), "", 0),
        Figure.at_most("restart.p50_s", percentile(samples.restarts, 0.5), "s", RESTART_S),
    ]


@contextmanager
def _bench(deployment: Deployment) -> Iterator[Bench]:
    fleet = fleet_of(deployment)
    hubs = [m for m in fleet.list() if m.role is Role.HUB and m.state is State.RUNNING]
    if not hubs:
        raise PreconditionError(
            f"no hub of deployment {deployment.name!r} runs",
            f"./invoke deploy --name {deployment.name}",
        )
    run = Bench(deployment, fleet, hubs[0])
    try:
        yield run
    finally:
        run.clean()
