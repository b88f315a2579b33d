"""Workers come and go with the students: a class that does not fit, notices, deaths, forgeries."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from hubfleet import policy
from hubfleet.clients.fleet_local import FleetService
from hubfleet.clients.hub import HubError, Start, Student
from hubfleet.fleet import service_container
from hubfleet.fleet.base import Instance, Role
from hubfleet.students import student
from tests.e2e.conftest import Lab

Play = Callable[[Callable[[], Awaitable[None]]], None]

REPORT = "/var/lib/hubfleet/fleet/report.json"
WHERE = "import os; print(os.environ['HUBFLEET_NODE'])"

GROW_S = 180
SHRINK_S = 240
GONE_S = 30
"""A worker that is gone, or empty, leaves Swarm and Chef within that."""


@pytest.fixture
def service(lab: Lab) -> FleetService:
    """The fleet's service, with its faults."""
    return service_container.connect(lab.deployment)


@pytest.fixture(autouse=True)
def settled(lab: Lab) -> Iterator[None]:
    """Begin and end with the fewest workers, all ready."""
    until(lambda: at_rest(lab), SHRINK_S, "the fleet does not come to rest")
    yield
    until(lambda: at_rest(lab), SHRINK_S, "the fleet does not come to rest")


def until(met: Callable[[], object], seconds: float, complaint: str) -> float:
    """Wait until something is so; return how long it took."""
    began = time.monotonic()
    while not met():
        assert time.monotonic() - began < seconds, complaint
        time.sleep(0.5)
    return time.monotonic() - began


def workers(lab: Lab) -> set[str]:
    """Return the ids of the workers that the fleet has."""
    return {machine.id for machine in lab.machines(Role.SWARM_WORKER)}


def members(lab: Lab) -> dict[str, str]:
    """Return host name and state of the Swarm's workers."""
    lines = lab.on(
        lab.hub, "docker", "node", "ls", "--filter", "role=worker",
        "--format", "{{.Hostname}} {{.Status}}/{{.Availability}}",
    )  # fmt: skip
    # A node that is just joining has no name yet.
    found = [line.split() for line in lines.splitlines()]
    return {words[0]: words[1] for words in found if len(words) == 2}


def in_chef(lab: Lab) -> tuple[set[str], set[str]]:
    """Return the names of the Chef server's nodes and clients that are machines."""
    chef = policy.connect(lab.deployment)
    return (
        {n for n in chef.nodes() if n[:2] == "i-"},
        {c for c in chef.clients() if c[:2] == "i-"},
    )


def at_rest(lab: Lab) -> bool:
    """Say whether all parts agree on the fewest workers."""
    found = workers(lab)
    others = {machine.id for machine in lab.fleet.list()} - found
    states = members(lab)
    nodes, clients = in_chef(lab)
    return (
        len(found) == lab.settings.fleet.workers.min
        and set(states) == found
        and set(states.values()) == {"Ready/Active"}
        and nodes == clients == found | others
    )


def report(lab: Lab) -> dict[str, list[dict[str, object]]]:
    """Return what the controller publishes."""
    found: dict[str, list[dict[str, object]]] = json.loads(lab.on(lab.hub, "cat", REPORT))
    return found


@asynccontextmanager
async def crowd(lab: Lab, count: int) -> AsyncIterator[list[tuple[Student, Start]]]:
    """Students who come at once, with running servers, which are stopped afterwards."""
    names = [f"crowd{number:02d}" for number in range(count)]
    who = [student(lab.deployment, name) for name in names]
    try:
        for each in who:
            await each.__aenter__()
            await each.login()
        starts = await asyncio.gather(*(each.start() for each in who))
        yield list(zip(who, starts, strict=True))
    finally:
        await asyncio.gather(*(each.stop() for each in who), return_exceptions=True)
        for each in who:
            await each.__aexit__(None, None, None)


async def answers(who: Student, seconds: float) -> float:
    """Wait until a student's server answers again; return how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        # A request that was sent to the dead worker would be waited for by the proxy.
        with suppress(HubError, OSError, TimeoutError):
            async with asyncio.timeout(3):
                status, _ = await who.request("GET", f"{who.path}/api/contents")
            if status == 200:
                return time.monotonic() - began
        await asyncio.sleep(0.5)
    raise AssertionError(f"the server of {who.name} did not come back within {seconds} s")


def test_a_class_that_does_not_fit_gets_workers_which_go_again(lab: Lab, scene: Play) -> None:
    before, limits = workers(lab), lab.settings.fleet.workers
    count = limits.min * limits.seats + limits.seats

    async def play() -> None:
        async with crowd(lab, count) as found:
            assert before < workers(lab)
            told = {message for _, start in found for _, message in start.messages}
            assert any("A new worker is on its way" in message for message in told), told
            on = await asyncio.gather(*(who.run(WHERE) for who, _ in found))
            assert max(on.count(node) for node in set(on)) <= limits.seats
            last = [who for who, _ in found][-1]
            async with last.kernel() as kernel:
                await kernel.run("token = 41")
                for who, _ in found[:-1]:
                    await who.stop()
                # The others are paused and end; the one with a student stays.
                began = time.monotonic()
                while len(await asyncio.to_thread(workers, lab)) > limits.min:
                    assert time.monotonic() - began < SHRINK_S, "nothing is ended"
                    # A browser does so, too: who says nothing for a minute is cut off.
                    await kernel.run("pass")
                    await asyncio.sleep(2)
                assert await kernel.run("print(token + 1)") == "42"

    scene(play)


def test_a_spot_notice_is_told_and_the_server_comes_back_elsewhere(
    lab: Lab, scene: Play, service: FleetService
) -> None:
    async def play() -> None:
        async with lab.students("spotty") as (who,):
            await who.write("kept.txt", "kept")
            worker = await who.run(WHERE)
            await asyncio.to_thread(service.spot, worker)
            began = time.monotonic()
            await asyncio.to_thread(until, lambda: report(lab)["notices"], 5, "nobody is told")
            _, told = await who.request("GET", "/hub/fleet/notice")
            assert "takes back the machine" in told["notice"]["sentence"]
            await asyncio.to_thread(
                until, lambda: worker not in members(lab), 130, "it is in the Swarm still"
            )
            assert time.monotonic() - began < 120, "the machine was gone before its servers"
            await answers(who, 60)
            assert await who.read("kept.txt") == "kept"
            assert await who.run(WHERE) != worker
            nodes, clients = in_chef(lab)
            assert worker not in nodes | clients

    scene(play)


def test_students_of_a_worker_that_dies_are_back_on_another_with_their_files(
    lab: Lab, scene: Play, service: FleetService, capsys: pytest.CaptureFixture[str]
) -> None:
    async def play() -> None:
        async with lab.students("survivor") as (who,):
            await who.write("kept.txt", "kept")
            worker = await who.run(WHERE)
            await asyncio.to_thread(service.kill, worker)
            began = time.monotonic()
            await asyncio.to_thread(
                until,
                lambda: worker not in set(members(lab)).union(*in_chef(lab)),
                GONE_S,
                "the dead worker is known still",
            )
            left = time.monotonic() - began
            await answers(who, 60)
            back = time.monotonic() - began
            assert await who.read("kept.txt") == "kept"
            assert await who.run(WHERE) != worker
            with capsys.disabled():
                words = f"left after {left:.1f} s, its student was back after {back:.1f} s"
                sys.stdout.write(f"\na dead worker {words}\n")

    scene(play)


def notice_of(worker: Instance, state: str = "terminated") -> str:
    """Return a message such as anybody could write."""
    detail = {"instance-id": worker.id, "state": state}
    kind = "EC2 Instance State-change Notification"
    # An old one would be skipped unread.
    moment = datetime.now(UTC).isoformat()
    return json.dumps({"source": "aws.ec2", "detail-type": kind, "time": moment, "detail": detail})


def test_forged_and_broken_messages_change_nothing(
    lab: Lab, scene: Play, service: FleetService
) -> None:
    worker, hub = lab.machines(Role.SWARM_WORKER)[0], lab.hub
    before = members(lab)

    async def play() -> None:
        async with lab.students("calm") as (who,), who.kernel() as kernel:
            await kernel.run("token = 41")
            bodies = [notice_of(worker), notice_of(worker), notice_of(hub), "{", '"x"', "{}"]
            for body in bodies:
                await asyncio.to_thread(service.put, body)
            await asyncio.sleep(10)
            assert await kernel.run("print(token + 1)") == "42"
        assert members(lab) == before
        nodes, _ = in_chef(lab)
        assert {hub.id, worker.id} <= nodes

    scene(play)
