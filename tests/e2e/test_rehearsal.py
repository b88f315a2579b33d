"""The fleet on AWS, rehearsed: Auto Scaling is moto's, and its instances are node containers.

The hub's controller runs with the back end `aws` for a while. The workers that the deployment has
are paused and stand in the group, too, so that it knows all members of its Swarm.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from hubfleet import images, swarm
from hubfleet.chef_server import endpoint
from hubfleet.clients import engine
from hubfleet.controller.steady import DIRECTORY, FROZEN
from hubfleet.fleet.base import Role
from hubfleet.fleet.local import inner_subnets
from hubfleet.fleet.service import messages
from hubfleet.policy import connect
from hubfleet.settings_documents import merge
from hubfleet.students import HubError, student
from tests.e2e import cloud as account
from tests.e2e.cloud import Cloud
from tests.e2e.conftest import Lab
from tests.e2e.machines import Driver, Machines
from tests.e2e.test_fleet import (
    SHRINK_S,
    WHERE,
    Play,
    answers,
    at_rest,
    in_chef,
    members,
    report,
    until,
)
from tests.infrastructure.tools import NONE, find_tofu

SETTINGS = "/etc/hubfleet/settings.json"
SERVICE = "hubfleet_fleet"

BORN_S = 240
GONE_S = 120

MORE = 2
"""Workers beside those that the deployment has."""

LATE_S = 30
"""The notice comes so long after its time: a part of the wait for it, which is not of interest."""

RULES = {
    "hold_s": 10,
    "headroom": {"seats": 0, "z": 0.0, "rate_window_s": 30},
    "ready": {"prior_s": 20},
}
"""No seat is kept free: workers come for students who wait, and go with them."""


@dataclass
class Rehearsal:
    """A deployment whose controller works on an account."""

    lab: Lab
    cloud: Cloud
    driver: Driver

    @property
    def workers(self) -> dict[str, str]:
        """The instances that are no workers of the deployment's own, and their lifecycle states."""
        found = self.cloud.members
        return {i: state for i, state in found.items() if i not in self.driver.adopted}

    def until(self, met: Callable[[], object], seconds: float, complaint: str) -> float:
        """Wait as `until` does, as long as the driver works."""

        def seen() -> object:
            if self.driver.problem:
                raise self.driver.problem
            return met()

        return until(seen, seconds, complaint)

    def freeze(self, on: bool) -> None:
        """Have the controller only look, or work."""
        file = f"{DIRECTORY}/{FROZEN}"
        self.lab.on(self.lab.hub, *(["touch", file] if on else ["rm", "-f", file]))


@pytest.fixture
def rehearsal(lab: Lab, tmp_path: Path) -> Iterator[Rehearsal]:
    """Yield the deployment with another back end; afterwards everything is as before."""
    tofu = find_tofu()
    if tofu is None:
        pytest.skip(NONE)
    lab.on(lab.hub, "rm", "-f", f"{DIRECTORY}/{FROZEN}")
    until(lambda: at_rest(lab), SHRINK_S, "the fleet does not come to rest")
    lab.on(lab.hub, "touch", f"{DIRECTORY}/{FROZEN}")
    machines = Machines(lab.deployment, lab.settings, images.reference("node"))
    adopted = {machine.id for machine in lab.machines(Role.SWARM_WORKER)}
    subnet = engine.ensure_network(lab.deployment.network, {}, inner_subnets(lab.settings))

    def who(address: str) -> str:
        return next((m.id for m in machines.list() if m.address == address), "nobody")

    with ExitStack() as stack:
        gateway = str(next(ip_network(subnet).hosts()))
        made = stack.enter_context(account.cloud(lab.deployment.environment, gateway, who))
        began = time.monotonic()
        most = len(adopted) + MORE
        account.apply(made, tofu, lab.deployment, lab.settings, most, tmp_path)
        made.adopt(sorted(adopted))
        say(f"the stack was made after {time.monotonic() - began:.0f} s")
        driver = Driver(made, machines, adopted)
        found = Rehearsal(lab, made, driver)
        stack.enter_context(on_aws(found))
        stack.enter_context(driver.running())
        yield found


def say(words: str) -> None:
    """Leave a line in the log of the run."""
    sys.stdout.write(f"rehearsal: {words}\n")


@contextmanager
def on_aws(found: Rehearsal) -> Iterator[None]:
    """Have the controller work on the account instead of the local fleet, during the block."""
    lab, hub, adopted = found.lab, found.lab.hub, found.driver.adopted
    before = lab.on(hub, "cat", SETTINGS)
    document = json.loads(before)
    fleet = {
        "backend": "aws",
        "aws": {"region": found.cloud.region},
        "workers": {"min": 0, "max": len(adopted) + MORE},
    }
    document["attributes"] = merge(document["attributes"], {"fleet": fleet, "autoscaler": RULES})
    address = found.cloud.front.address
    variables = {"AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_SERVICE_ENDPOINT": address}
    added = [f"--env-add={key}={value}" for key, value in variables.items()]
    spec = service(lab)
    lab.on(hub, "systemctl", "stop", "chef-client.timer")
    try:
        for worker in adopted:
            swarm.set_availability(lab.fleet, hub, worker, "pause")
        put(lab, json.dumps(document))
        lab.on(hub, "docker", "service", "update", "--quiet", *added, SERVICE)
        yield
    finally:
        found.freeze(True)
        put(lab, before)
        if service(lab) != spec:
            # Exactly what was before: an update the other way would leave traces, which Chef sees.
            lab.on(hub, "docker", "service", "rollback", "--quiet", SERVICE)
        for worker in adopted:
            swarm.set_availability(lab.fleet, hub, worker, "active")
        lab.on(hub, "systemctl", "start", "chef-client.timer")
    assert service(lab) == spec
    assert lab.on(hub, "cat", SETTINGS) == before


def service(lab: Lab) -> object:
    """Return the definition of the controller's service."""
    shown = lab.on(lab.hub, "docker", "service", "inspect", SERVICE, "--format", "{{json .Spec}}")
    return json.loads(shown)


def put(lab: Lab, settings: str) -> None:
    """Write the settings that the controller reads when it starts."""
    lab.on(lab.hub, "sh", "-c", f'printf %s "$1" > {SETTINGS}', "sh", settings)


def test_workers_of_an_auto_scaling_group_come_and_go_with_a_student(
    rehearsal: Rehearsal, scene: Play
) -> None:
    lab = rehearsal.lab

    async def play() -> None:
        async with student(lab.deployment, "aws-student") as who:
            await who.login()
            start = asyncio.create_task(who.start())
            try:
                first = await asyncio.to_thread(comes, rehearsal)
                await start
                say(f"the student's server answers on {first}")
                assert await who.run(WHERE) == first
                await asyncio.to_thread(was_born_as_on_aws, rehearsal, first)
                await who.write("kept.txt", "kept")
                await asyncio.to_thread(is_taken_back, rehearsal, first)
                await answers(who, BORN_S)
                assert await who.read("kept.txt") == "kept"
                second = await who.run(WHERE)
                assert second in rehearsal.workers
                assert second != first
            finally:
                start.cancel()
                with suppress(HubError):  # where it never ran, what was wrong is said already
                    await who.stop()
            await asyncio.to_thread(is_ended, rehearsal, second)

    scene(play)
    assert rehearsal.cloud.front.unsigned == []


def comes(rehearsal: Rehearsal) -> str:
    """Have a student wait, then the controller order: return the worker once it has joined."""
    lab, adopted = rehearsal.lab, rehearsal.driver.adopted
    rehearsal.until(lambda: report(lab)["queued"], 60, "nobody waits")
    assert rehearsal.cloud.group["DesiredCapacity"] == len(adopted)
    assert rehearsal.workers == {}
    rehearsal.freeze(False)
    rehearsal.until(lambda: rehearsal.workers, 30, "nothing is ordered")
    assert rehearsal.cloud.group["DesiredCapacity"] == len(adopted) + 1
    [(worker, state)] = rehearsal.workers.items()
    assert state == "Pending:Wait"
    rehearsal.until(lambda: members(lab).get(worker) == "Ready/Active", BORN_S, "it does not join")
    seconds = rehearsal.until(
        lambda: rehearsal.workers[worker] == "InService", 30, "its launch hook is not answered"
    )
    say(f"{worker} has joined, and answers its launch hook {seconds:.1f} s later")
    return worker


def was_born_as_on_aws(rehearsal: Rehearsal, worker: str) -> None:
    """Look at what led to it: the user-data of Terraform, and its own role's requests alone."""
    lab, cloud = rehearsal.lab, rehearsal.cloud
    machine = next(each for each in lab.fleet.list() if each.id == worker)
    assert cloud.user_data_of(worker) == cloud.user_data
    facts = json.loads(lab.on(machine, "cat", "/etc/hubfleet/aws.json"))
    assert facts["chef_server_url"] == endpoint(lab.deployment).node_url
    asked = [action for asker, action in cloud.front.asked if asker == worker]
    assert asked == ["GetParameter", "GetParameter", "CompleteLifecycleAction"]
    assert cloud.account.answers[0] == (worker, "CONTINUE")
    # What registers machines is gone, as on every fleet.
    lab.on(machine, "test", "!", "-e", "/var/lib/hubfleet/seed/bootstrap.pem")
    assert lab.on(machine, "hostname").strip() == worker
    node = connect(lab.deployment).node(worker)
    assert (node["policy_name"], node["policy_group"]) == (
        Role.SWARM_WORKER.value,
        lab.deployment.environment,
    )
    # The controller's, by the role of the hub's machine.
    acted = {action for asker, action in cloud.front.asked if asker == lab.hub.id}
    assert {"SetDesiredCapacity", "ReceiveMessage", "DescribeInstances"} <= acted


def is_taken_back(rehearsal: Rehearsal, worker: str) -> None:
    """Give notice, as the spot market does; the worker is gone before its time is over."""
    lab, began = rehearsal.lab, time.time()
    rehearsal.cloud.put(messages.spot_warning(worker, began - LATE_S))
    rehearsal.until(lambda: report(lab)["notices"], 10, "nobody is told")
    rehearsal.until(lambda: worker not in members(lab), 120 - LATE_S, "it is in the Swarm still")
    gone(rehearsal, worker)
    say(f"{worker} was gone {time.time() - began:.0f} s after a notice {LATE_S} s old")


def is_ended(rehearsal: Rehearsal, worker: str) -> None:
    """Have nobody there: the controller ends the last worker, and the group shrinks."""
    began = time.monotonic()
    gone(rehearsal, worker)
    say(f"{worker} was gone {time.monotonic() - began:.0f} s after its last student")
    assert rehearsal.workers == {}
    assert rehearsal.cloud.group["DesiredCapacity"] == len(rehearsal.driver.adopted)
    rehearsal.until(lambda: not rehearsal.cloud.messages(), 30, "messages are left")


def gone(rehearsal: Rehearsal, worker: str) -> None:
    """Wait until nobody knows a worker; it left by its hook, which was completed."""
    lab, cloud = rehearsal.lab, rehearsal.cloud
    rehearsal.until(
        lambda: worker not in set(rehearsal.workers).union(members(lab), *in_chef(lab)),
        GONE_S,
        f"{worker} is known still",
    )
    assert worker not in cloud.account.waits
    assert worker not in cloud.account.ran_out
    rehearsal.until(
        lambda: worker not in {machine.id for machine in lab.fleet.list()}, 30, "it runs still"
    )
