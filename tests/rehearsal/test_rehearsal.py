"""An environment on AWS from its deploy to a student's last server, with machines that are real.

The account is moto's; what is played, and what a container lacks, stands in account.py, machines.py
and registry.py. docs/explanation/aws.md has what that leaves to prove.
"""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from cryptography import x509

from hubfleet import policy
from hubfleet.chef_server import endpoint
from hubfleet.clients.hub import HubError, Student
from hubfleet.fleet.base import Instance, Role
from hubfleet.fleet.service import messages
from tests.e2e.test_fleet import WHERE, Play, answers, in_chef, members, report, until
from tests.images.hub_page import Browser
from tests.rehearsal import authority
from tests.rehearsal.account import TEACHER
from tests.rehearsal.conftest import Rehearsal, say

BORN_S = 240
GONE_S = 120

LATE_S = 30
"""The notice comes so long after its time: a part of the wait for it, which is not of interest."""

PASSWORD = "a long password of a test"


def wait(rehearsal: Rehearsal, met: Callable[[], object], seconds: float, complaint: str) -> float:
    """Wait as `until` does, as long as machines come and go."""

    def seen() -> object:
        rehearsal.driver.check()
        return met()

    return until(seen, seconds, complaint)


def machine(rehearsal: Rehearsal, role: Role) -> Instance:
    """Return the one machine of a role."""
    (found,) = rehearsal.lab.machines(role)
    return found


def asked(rehearsal: Rehearsal, instance_id: str) -> list[str]:
    """Return what a machine has asked of AWS, in its order."""
    return [action for asker, action in rehearsal.cloud.front.asked if asker == instance_id]


def test_hub_and_chef_server_converge_by_what_the_account_has_for_them(
    rehearsal: Rehearsal,
) -> None:
    lab = rehearsal.lab
    chef = policy.connect(lab.deployment)
    for role in (Role.CHEF_SERVER, Role.HUB):
        found = machine(rehearsal, role)
        assert found.id == rehearsal.cloud.stack["machines"][role.value]
        node = chef.node(found.id)
        assert (node["policy_name"], node["policy_group"]) == (
            role.value,
            lab.deployment.environment,
        )
        # Secrets came from SSM: no directory of the operator's is there, and the SDK asked.
        lab.on(found, "test", "!", "-e", "/var/lib/hubfleet/secrets")
        assert asked(rehearsal, found.id).count("GetParameter") > 2
        # What registers machines is gone, as on every fleet.
        lab.on(found, "test", "!", "-e", "/var/lib/hubfleet/seed/bootstrap.pem")
        assert lab.on(found, "hostname").strip() == found.id
    assert rehearsal.cloud.front.unsigned == []


def test_what_must_outlive_a_machine_lies_on_its_volume(rehearsal: Rehearsal) -> None:
    for role in (Role.CHEF_SERVER, Role.HUB):
        found = machine(rehearsal, role)
        facts = json.loads(rehearsal.lab.on(found, "cat", "/etc/hubfleet/aws.json"))
        directory = facts["state"]["directory"]
        shown = rehearsal.lab.on(found, "findmnt", "--noheadings", "-o", "FSTYPE", directory)
        assert shown.strip() == "ext4"
        assert rehearsal.lab.on(found, "ls", directory) != ""
        assert f" {directory} ext4 " in rehearsal.lab.on(found, "cat", "/etc/fstab")


def test_the_public_name_has_a_certificate_of_its_own(rehearsal: Rehearsal) -> None:
    shown = public_certificate(rehearsal)
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [rehearsal.account.settings.fleet.aws.host]
    assert authority.ISSUER in shown.issuer.rfc4514_string()
    assert authority.orders() == 1


def test_a_second_converge_changes_nothing(rehearsal: Rehearsal) -> None:
    for role in (Role.CHEF_SERVER, Role.HUB):
        found = machine(rehearsal, role)
        rehearsal.lab.on(found, "systemctl", "start", "chef-client.service", timeout=300)
        record = json.loads(rehearsal.lab.on(found, "cat", "/var/lib/hubfleet/last-converge.json"))
        assert (record["status"], record["updated"]) == ("success", 0), record


def test_workers_of_an_auto_scaling_group_come_and_go_with_a_student(
    rehearsal: Rehearsal, scene: Play
) -> None:
    lab = rehearsal.lab
    hub = f"{lab.deployment.url}/hub"
    Browser(hub, lab.deployment.ca_crt).sign_up(TEACHER, PASSWORD)
    teacher = Student(lab.deployment.url, TEACHER, PASSWORD, lab.deployment.ca_crt)

    async def play() -> None:
        async with teacher as who:
            await who.login()
            assert rehearsal.cloud.members == {}
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
                assert second in rehearsal.cloud.members
                assert second != first
            finally:
                start.cancel()
                with suppress(HubError):  # where it never ran, what was wrong is said already
                    await who.stop()
            await asyncio.to_thread(is_ended, rehearsal, second)

    scene(play)
    assert rehearsal.cloud.front.unsigned == []


def test_new_machine_images_replace_hub_and_chef_server_which_keep_what_they_know(
    rehearsal: Rehearsal, scene: Play
) -> None:
    account, lab = rehearsal.account, rehearsal.lab
    before = {role: machine(rehearsal, role).id for role in (Role.CHEF_SERVER, Role.HUB)}
    certificate = public_certificate(rehearsal)
    account.make_machine_images()
    account.forget_machine_images()
    began = time.monotonic()
    account.deploy(yes=True)
    say(f"hub and Chef server were replaced after {time.monotonic() - began:.0f} s")
    after = {role: machine(rehearsal, role).id for role in before}
    assert not set(before.values()) & set(after.values())
    nodes, clients = in_chef(lab)
    assert nodes == clients == set(after.values())
    # Not asked for again: the authority would refuse, one day.
    assert public_certificate(rehearsal) == certificate
    assert authority.orders() == 1

    async def play() -> None:
        # Who has signed up is known.
        async with Student(lab.deployment.url, TEACHER, PASSWORD, lab.deployment.ca_crt) as who:
            await who.login()

    scene(play)


def public_certificate(rehearsal: Rehearsal) -> x509.Certificate:
    """Return what the hub shows under its public name."""
    deployment, name = rehearsal.lab.deployment, rehearsal.account.settings.fleet.aws.host
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("localhost", deployment.ports.https), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown)


def comes(rehearsal: Rehearsal) -> str:
    """Have a student wait, then the controller order: return the worker once it has joined."""
    lab, cloud = rehearsal.lab, rehearsal.cloud
    wait(rehearsal, lambda: cloud.members, 30, "nothing is ordered")
    assert cloud.group["DesiredCapacity"] == 1
    [(worker, state)] = cloud.members.items()
    assert state == "Pending:Wait"
    wait(
        rehearsal,
        lambda: members(lab).get(worker) == "Ready/Active",
        BORN_S,
        "it does not join",
    )
    seconds = wait(
        rehearsal,
        lambda: cloud.members[worker] == "InService",
        30,
        "its launch hook is not answered",
    )
    say(f"{worker} has joined, and answers its launch hook {seconds:.1f} s later")
    return worker


def was_born_as_on_aws(rehearsal: Rehearsal, worker: str) -> None:
    """Look at what led to it: the user-data of Terraform, and its own role's requests alone."""
    lab, cloud = rehearsal.lab, rehearsal.cloud
    found = next(each for each in lab.fleet.list() if each.id == worker)
    facts = json.loads(lab.on(found, "cat", "/etc/hubfleet/aws.json"))
    assert facts["chef_server_url"] == endpoint(lab.deployment).node_url
    requests_made = asked(rehearsal, worker)
    assert requests_made[:2] == ["GetParameter", "GetParameter"]
    assert set(requests_made) == {
        "GetParameter",
        "GetAuthorizationToken",
        "CompleteLifecycleAction",
    }
    assert cloud.account.answers[0] == (worker, "CONTINUE")
    lab.on(found, "test", "!", "-e", "/var/lib/hubfleet/seed/bootstrap.pem")
    lab.on(found, "test", "!", "-e", "/var/lib/hubfleet/secrets")
    assert lab.on(found, "hostname").strip() == worker
    node = policy.connect(lab.deployment).node(worker)
    assert (node["policy_name"], node["policy_group"]) == (
        Role.SWARM_WORKER.value,
        lab.deployment.environment,
    )
    # The controller's, by the role of the hub's machine.
    acted = set(asked(rehearsal, machine(rehearsal, Role.HUB).id))
    assert {"SetDesiredCapacity", "ReceiveMessage", "DescribeInstances"} <= acted


def is_taken_back(rehearsal: Rehearsal, worker: str) -> None:
    """Give notice, as the spot market does; the worker is gone before its time is over."""
    lab, began = rehearsal.lab, time.time()
    rehearsal.cloud.put(messages.spot_warning(worker, began - LATE_S))
    wait(rehearsal, lambda: report(lab)["notices"], 10, "nobody is told")
    wait(
        rehearsal,
        lambda: worker not in members(lab),
        120 - LATE_S,
        "it is in the Swarm still",
    )
    gone(rehearsal, worker)
    say(f"{worker} was gone {time.time() - began:.0f} s after a notice {LATE_S} s old")


def is_ended(rehearsal: Rehearsal, worker: str) -> None:
    """Have nobody there: the controller ends the last worker, and the group shrinks."""
    began = time.monotonic()
    gone(rehearsal, worker)
    say(f"{worker} was gone {time.monotonic() - began:.0f} s after its last student")
    assert rehearsal.cloud.members == {}
    assert rehearsal.cloud.group["DesiredCapacity"] == 0
    wait(rehearsal, lambda: not rehearsal.cloud.messages(), 30, "messages are left")


def gone(rehearsal: Rehearsal, worker: str) -> None:
    """Wait until nobody knows a worker; it left by its hook, which was completed."""
    lab, cloud = rehearsal.lab, rehearsal.cloud
    wait(
        rehearsal,
        lambda: worker not in set(cloud.members).union(members(lab), *in_chef(lab)),
        GONE_S,
        f"{worker} is known still",
    )
    assert worker not in cloud.account.waits
    assert worker not in cloud.account.ran_out
    wait(
        rehearsal,
        lambda: worker not in {each.id for each in lab.fleet.list()},
        30,
        "it runs still",
    )
