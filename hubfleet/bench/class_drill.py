"""A class on a running deployment: students arrive, workers come, two are lost, all leave.

Some have a kernel that knows a word, so that a killed one cannot pass for alive; the crowd, where
the deployment lets it in, has light servers that know what they were called at their start. Nothing
is simulated: the controller decides, the local fleet's own faults take workers away.
"""

import asyncio
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hubfleet import consistency, swarm_listings
from hubfleet.bench.class_journal import Act, Journal, killed_by_scale_in
from hubfleet.bench.class_people import LightPupil, Pupil, check_all
from hubfleet.bench.report import Figure, percentile
from hubfleet.bench.stock import run_on
from hubfleet.clients.hub_service import HubService
from hubfleet.consistency import Look
from hubfleet.console import Console
from hubfleet.errors import CommandError, UsageError
from hubfleet.fleet.base import Fleet, Role
from hubfleet.fleet.faults import connect
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment
from hubfleet.status import fleet_of
from hubfleet.students import student

STUDENTS = 120
REAL = 12
"""Students with notebooks; without light servers nobody else comes."""

ARRIVALS_PER_S = 4.0
"""A hundred and twenty who come within half a minute are what a class is at ten o'clock."""

STAY = 2
"""Students who stay on when the class has ended: scale-in must go around them."""

POLL_S = 2.0
ARRIVE_S = 600.0
RECOVER_S = 420.0
SHRINK_S = 900.0
NEED_TO_ORDER_S = 5.0


@dataclass
class Record:
    """What the drill did and saw."""

    began: float
    needs: list[float] = field(default_factory=list)
    """When more workers were wanted: clicks and faults."""
    touched: set[str] = field(default_factory=set)
    """Workers that were taken away by a fault."""
    phases: list[tuple[str, float]] = field(default_factory=list)
    """What happened, and after how many seconds."""
    journal: Journal = field(default_factory=lambda: Journal([]))
    final: Look | None = None


class Drill:
    """One class: `real` students with notebooks and `light` ones without, mixed."""

    def __init__(self, deployment: Deployment, console: Console, real: int, light: int = 0) -> None:
        self.deployment, self.console = deployment, console
        self.fleet: Fleet = fleet_of(deployment)
        self.settings = load(deployment.environment, deployment.root)
        self.machine = consistency.running_hub(deployment, self.fleet.list())
        run = secrets.token_hex(3)
        self.pupils = [
            kind(student(deployment, f"class-{run}-{number + 1}"))
            for number, kind in enumerate(mixed(real, light))
        ]
        self.record = Record(time.time())

    @property
    def hub(self) -> HubService:
        """The hub's API, with the rights of a culler."""
        return consistency.hub_service(self.deployment)

    async def play(self) -> None:
        """Let the class happen; raises CommandError where something does not come in its time."""
        self.console.plan(5)
        try:
            with self.console.stage(f"{len(self.pupils)} students arrive"):
                await self._arrive()
            with self.console.stage("one spot notice, one hard kill"):
                await self._lose_two_workers()
            with self.console.stage(f"the class ends, {STAY} stay"):
                await self._end_class()
            with self.console.stage("the last ones leave"):
                await self._end_day()
        finally:
            await asyncio.gather(*(pupil.close() for pupil in self.pupils))
            await asyncio.to_thread(self._stop, self.pupils)
        with self.console.stage("what the parts of the deployment say"):
            self.record.final = await asyncio.to_thread(self._agree)
            self.record.journal = await asyncio.to_thread(self._journal)

    async def _arrive(self) -> None:
        arrivals = (p.arrive(number / ARRIVALS_PER_S) for number, p in enumerate(self.pupils))
        await asyncio.wait_for(asyncio.gather(*arrivals), ARRIVE_S)
        self.record.needs += [pupil.clicked_at for pupil in self.pupils if pupil.clicked_at]
        self._note(f"all in, on {len(self._where())} workers")
        if problems := [p.problem for p in self.pupils if p.problem]:
            raise CommandError(f"{len(problems)} students got no server: {problems[0]}")

    async def _lose_two_workers(self) -> None:
        """Take two workers away, and wait until those who were there are served elsewhere."""
        where = self._where().most_common()
        if len(where) < 3:
            raise CommandError(
                f"the students are on {len(where)} workers, the drill takes two away",
                "take more --students, at most as many as the fleet has seats",
            )
        service = connect(self.deployment)
        (killed, _), *_, (noticed, _) = where
        for node, fault in ((noticed, service.spot), (killed, service.kill)):
            await asyncio.to_thread(fault, node)
            self.record.needs.append(time.time())
            self.record.touched.add(node)
        for node, word in ((killed, "hard kill"), (noticed, "spot notice")):
            await self._recover(node, word)
        # All of them: that those which were taken away are lost shows that the question can fail.
        await check_all(self.pupils)
        moved = [p for p in self.pupils if p.node in self.record.touched]
        self._note(f"{sum(bool(p.lost) for p in moved)} kernels were lost with their workers")
        await asyncio.gather(*(pupil.settle_again() for pupil in moved))

    async def _recover(self, node: str, word: str) -> None:
        moved = [pupil for pupil in self.pupils if pupil.node == node]
        await self._until(lambda: not self._knows(node), f"{node} to leave", RECOVER_S)
        self._note(f"{word}: {node} is gone from Swarm and fleet")
        for pupil in moved:
            pupil.moved(time.time())
        deadline = time.monotonic() + RECOVER_S
        while not all(await asyncio.gather(*(pupil.back() for pupil in moved))):
            if time.monotonic() > deadline:
                raise CommandError(f"after the {word} students did not get their files back")
            await asyncio.sleep(POLL_S)
        self._note(f"{word}: its {len(moved)} students are back with their files")

    async def _end_class(self) -> None:
        """Stop all servers but few, and wait until the fleet is as small as it may be."""
        # Those with a kernel have the most to lose.
        staying = sorted(self.pupils, key=lambda p: isinstance(p, LightPupil))[:STAY]
        await self._leave([p for p in self.pupils if p not in staying])
        await self._shrink()
        await check_all(staying)

    async def _end_day(self) -> None:
        await self._leave(self.pupils)
        await self._shrink()

    async def _leave(self, pupils: Sequence[Pupil]) -> None:
        leaving = [pupil for pupil in pupils if not pupil.stopped]
        await check_all(leaving)
        for pupil in leaving:
            pupil.leave(time.time())
        await asyncio.to_thread(self._stop, leaving)

    def _stop(self, pupils: Sequence[Pupil]) -> None:
        for pupil in pupils:
            self.hub.stop(pupil.student.name)

    async def _shrink(self) -> None:
        # Those who stay may all be on paused workers, and one worker takes students beside them.
        held = {pupil.node for pupil in self.pupils if not pupil.stopped}
        most = max(self.settings.fleet.workers.min, len(held) + bool(held))
        await self._until(lambda: len(self._workers()) <= most, f"{most} workers", SHRINK_S)
        self._note(f"{len(self._workers())} workers are left")

    def _agree(self) -> Look:
        """Return what everybody says once nothing is on its way any more."""
        for _ in range(3):
            found = consistency.look(self.deployment, self.fleet, self.settings)
            if found.healthy:
                break
        return found

    def _journal(self) -> Journal:
        log = ["docker", "service", "logs", "--raw", "--since", f"{int(self.record.began)}"]
        return Journal.read(run_on(self.fleet, self.machine, [*log, "hubfleet_fleet"]))

    def _workers(self) -> list[str]:
        return [m.id for m in self.fleet.list() if m.role is Role.SWARM_WORKER]

    def _knows(self, node: str) -> bool:
        members = swarm_listings.members(self.fleet, self.machine)
        return node in self._workers() or any(each.hostname == node for each in members)

    def _where(self) -> Counter[str]:
        return Counter(pupil.node for pupil in self.pupils if pupil.node)

    def _note(self, what: str) -> None:
        self.record.phases.append((what, time.time() - self.record.began))

    async def _until(self, seen: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(seen):
            if time.monotonic() > deadline:
                raise CommandError(f"waited {seconds:.0f} s in vain for {what}")
            await asyncio.sleep(POLL_S)


def mixed(real: int, light: int) -> list[type[Pupil]]:
    """Return the students' kinds in the order in which they come, the real ones spread evenly."""
    total = real + light
    return [
        Pupil if (number + 1) * real // total > number * real // total else LightPupil
        for number in range(total)
    ]


def crowd(settings: Settings, students: int | None, real: int | None) -> tuple[int, int]:
    """Return how many students with notebooks, and how many light ones, come.

    Raises UsageError where they cannot all have a seat, or where there are no light servers.
    """
    light = settings.notebook.light_servers
    wanted = students or (STUDENTS if light else REAL)
    notebooks = min(wanted, real or (REAL if light else wanted))
    workers = settings.fleet.workers
    if wanted > workers.max * workers.seats:
        raise UsageError(
            f"{wanted} students do not fit into {workers.max} workers of {workers.seats} seats",
            f"take --students {workers.max * workers.seats}, or a deployment with more seats",
        )
    if notebooks < wanted and not light:
        raise UsageError(
            "this deployment has no light servers (notebook.light_servers)",
            "deploy one that has: ./invoke deploy --env class --name class",
        )
    return notebooks, wanted - notebooks


def bench(
    deployment: Deployment, console: Console, students: int | None, real: int | None
) -> list[Figure]:
    """Hold a class, and return the figures; raises UsageError as `crowd` does."""
    settings = load(deployment.environment, deployment.root)
    drill = Drill(deployment, console, *crowd(settings, students, real))
    try:
        asyncio.run(drill.play())
    finally:
        # What was seen until then tells why it failed.
        show(console, drill.pupils, drill.record)
    return figures(drill.pupils, drill.record)


def figures(pupils: Sequence[Pupil], record: Record) -> list[Figure]:
    """Return the figures of a class. Pure."""
    ended = record.journal.acts("terminate")
    stays = [stay for pupil in pupils for stay in pupil.stays]
    lost = [p for p in pupils if p.lost and p.node not in record.touched]
    lags = record.journal.order_lags(record.needs)
    # Who did not answer may have any number of them.
    orphans = len(final.findings) + len(final.listings.unread) if (final := record.final) else 1
    return [
        Figure.at_most("class.killed_by_scale_in", killed_by_scale_in(ended, stays), "", 0),
        Figure.at_most(
            "class.need_to_order_p95_s",
            percentile(lags, 0.95) if lags else NEED_TO_ORDER_S * 100,
            "s",
            NEED_TO_ORDER_S,
        ),
        Figure.at_most("class.kernels_lost_untouched", len(lost), "", 0),
        Figure.at_most("class.orphans", orphans, "", 0),
    ]


def show(console: Console, pupils: Sequence[Pupil], record: Record) -> None:
    """Say how long students waited, what happened when, and what the controller did."""
    waits = [pupil.wait_s for pupil in pupils if pupil.wait_s is not None]
    if waits:
        console.say(
            f"waits: p50 {percentile(waits, 0.5):.1f} s, p95 {percentile(waits, 0.95):.1f} s,"
            f" longest {max(waits):.1f} s; {len(waits)} students"
        )
    lines = {line for pupil in pupils for line in pupil.told if "/user/" not in line}
    # Places in line and times to go differ, the sentences do not.
    for line in sorted({re.sub(r"\d+", "N", line) for line in lines}):
        console.say(f"  told: {line}")
    for what, seconds in record.phases:
        console.say(f"  {seconds:6.1f} s  {what}")
    for act in _acts(record):
        console.say(f"  {act.at - record.began:6.1f} s  {act.do} {act.node}: {act.reason}")
    for pupil in pupils:
        if pupil.lost and pupil.node not in record.touched:
            console.warn(f"{pupil.student.name} on {pupil.node}: {pupil.lost}")
    if record.final:
        consistency.show(console, record.final)


def _acts(record: Record) -> list[Act]:
    kinds = ("launch", "pause", "resume", "terminate")
    return sorted((a for do in kinds for a in record.journal.acts(do)), key=lambda act: act.at)
