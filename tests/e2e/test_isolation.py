"""The isolation holds from a student's kernel, and the probe turns red when a rule set is off."""

import time
from collections.abc import Awaitable, Callable

from hubfleet.clients.hub import Student
from hubfleet.fleet.base import Role
from hubfleet.probe import probe_isolation
from hubfleet.students import address
from tests.e2e.conftest import Lab

Play = Callable[[Callable[[], Awaitable[None]]], None]


async def violations(lab: Lab, mallory: Student, bob: Student) -> list[str]:
    """Run the probe in mallory's kernel against every machine and bob's server."""
    machines = [machine.address for machine in lab.fleet.list()]
    return await probe_isolation(mallory, lab.settings, machines, [await address(bob)])


def test_a_kernel_reaches_the_hubs_api_and_nothing_else_of_ours(lab: Lab, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("mallory", "bob") as (mallory, bob):
            assert await violations(lab, mallory, bob) == []

    scene(play)


def test_the_rules_hold_after_a_restart_of_every_workers_engine(lab: Lab, scene: Play) -> None:
    for worker in lab.machines(Role.SWARM_WORKER):
        lab.on(worker, "systemctl", "restart", "docker")
    until_ready(lab)

    async def play() -> None:
        async with lab.students("mallory", "bob") as (mallory, bob):
            assert await violations(lab, mallory, bob) == []

    scene(play)


def test_the_probe_is_red_without_the_rules_of_the_node(lab: Lab, scene: Play) -> None:
    reds = without(lab, scene, "iptables", "-F", "DOCKER-USER")
    assert any("reaches" in red for red in reds)


def test_the_probe_is_red_without_the_rules_of_the_overlay(lab: Lab, scene: Play) -> None:
    flush = "for ns in /run/docker/netns/1-*; do nsenter --net=$ns iptables -F FORWARD; done"
    reds = without(lab, scene, "sh", "-c", flush)
    assert any(":8888" in red for red in reds), reds


def without(lab: Lab, scene: Play, *flush: str) -> list[str]:
    """Return what the probe finds after `flush` on all workers; the rules are put back."""
    found: list[str] = []

    async def play() -> None:
        async with lab.students("mallory", "bob") as (mallory, bob):
            for worker in lab.machines(Role.SWARM_WORKER):
                lab.on(worker, "systemctl", "stop", "hubfleet-overlay-guard.path")
                lab.on(worker, "systemctl", "stop", "hubfleet-overlay-guard.timer")
                lab.on(worker, *flush)
            found.extend(await violations(lab, mallory, bob))

    try:
        scene(play)
    finally:
        for worker in lab.machines(Role.SWARM_WORKER):
            lab.on(worker, "systemctl", "restart", "hubfleet-firewall.service")
            lab.on(worker, "systemctl", "start", "hubfleet-overlay-guard.path")
            lab.on(worker, "systemctl", "start", "hubfleet-overlay-guard.timer")
            lab.on(worker, "hubfleet-firewall", "check")
    return found


def until_ready(lab: Lab) -> None:
    """Wait until all members of the Swarm are ready and guarded, for at most two minutes."""
    workers = lab.machines(Role.SWARM_WORKER)
    for _ in range(120):
        states = lab.on(lab.hub, "docker", "node", "ls", "--format", "{{.Status}}").split()
        guarded = [lab.fleet.run(w.id, ["hubfleet-firewall", "check"], 30) for w in workers]
        if states == ["Ready"] * (len(workers) + 1) and not any(g.returncode for g in guarded):
            return
        time.sleep(1)
    raise AssertionError(f"the Swarm is not ready again: {states}")
