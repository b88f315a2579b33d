"""Who is asked, what counts as a worker on the Chef server, and which exit code comes of it."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubfleet import consistency, swarm_listings, treatment
from hubfleet.clients.process import Completed
from hubfleet.clients.swarm_manager import SwarmNode, SwarmService, SwarmTask
from hubfleet.consistency import Look, workers_in_chef
from hubfleet.console import Console
from hubfleet.controller.reconcile import Finding, Kind, Listings, Source
from hubfleet.doctor import Check, Verdict
from hubfleet.errors import CommandError, HubfleetError, PartialError, PreconditionError
from hubfleet.fleet.base import Fleet, Instance, Instances, Role, State
from hubfleet.settings import load
from hubfleet.state import Deployment, Ports, write_private
from hubfleet.treatment import Diagnosis, require_healthy

BORN = datetime(2026, 1, 2, tzinfo=UTC)
HUB_ID, WORKER_ID, GONE_ID = "i-000000000000000aa", "i-000000000000000bb", "i-000000000000000cc"
HUB = Instance(HUB_ID, Role.HUB, State.RUNNING, "172.18.0.3", BORN, "h")
WORKER = Instance(WORKER_ID, Role.SWARM_WORKER, State.RUNNING, "172.18.0.4", BORN, "w")

NODE = {
    "ID": "n1",
    "Spec": {"Role": "worker", "Availability": "pause", "Labels": {"hubfleet.drain": "why"}},
    "Description": {"Hostname": WORKER_ID, "Resources": {}},
    "Status": {"State": "ready"},
}
SERVICE = {
    "ID": "s1",
    "CreatedAt": "2026-11-23T12:00:00.5Z",
    "Spec": {"Name": "student-ann", "Labels": {"hubfleet.user": "ann"}, "TaskTemplate": {}},
}
TASK = {
    "ID": "t1",
    "ServiceID": "s1",
    "NodeID": "n1",
    "CreatedAt": "2026-11-23T12:00:01Z",
    "DesiredState": "running",
    "Status": {"State": "running"},
    "Spec": {"ContainerSpec": {"Labels": {"hubfleet.user": "ann"}}},
}


class Machines(Fleet):
    """Machines whose hub answers what it was given, or fails."""

    def __init__(self, instances: Instances, answer: str = "", code: int = 0) -> None:
        self.instances, self.answer, self.code = instances, answer, code

    def list(self) -> Instances:
        return self.instances

    def launch(self, role: Role, count: int = 1) -> Instances:
        raise AssertionError

    def start(self, instance_id: str) -> None:
        raise AssertionError

    def terminate(self, instance_id: str) -> None:
        raise AssertionError

    def console_output(self, instance_id: str) -> str:
        raise AssertionError

    def run(self, instance_id: str, argv: Sequence[str], timeout: float) -> Completed:
        assert instance_id == HUB_ID
        return Completed(self.code, self.answer, "no manager")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A deployment whose ports nobody listens on."""
    made = Deployment.create("lab", "local", Ports.block(9), tmp_path)
    (tmp_path / "roles").symlink_to(Path.cwd() / "roles")
    (tmp_path / "environments").symlink_to(Path.cwd() / "environments")
    write_private(made.secrets_dir / "hub" / "fleet_api_token", "token\n")
    return made


def test_the_swarm_is_read_as_the_controller_reads_it() -> None:
    def machines(answer: object) -> Machines:
        return Machines([HUB], json.dumps(answer))

    joining = {**NODE, "Description": {}}
    assert swarm_listings.members(machines([NODE, joining]), HUB) == [
        SwarmNode("n1", WORKER_ID, "worker", "ready", "pause", 0, {"hubfleet.drain": "why"})
    ]
    asked = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    assert swarm_listings.services(machines([SERVICE]), HUB) == [
        SwarmService("s1", "student-ann", "ann", asked + 0.5)
    ]
    assert swarm_listings.tasks(machines([TASK]), HUB) == [
        SwarmTask("t1", "s1", "ann", "n1", "running", "running", "", asked + 1)
    ]
    assert swarm_listings.tasks(Machines([HUB]), HUB) == []
    with pytest.raises(CommandError):
        swarm_listings.members(Machines([HUB], code=1), HUB)


def test_who_does_not_answer_is_named_and_accuses_nobody(deployment: Deployment) -> None:
    fleet = Machines([HUB, WORKER], code=1)
    found = consistency.glance(deployment, fleet, load("local"))
    assert found.findings == []
    assert set(found.listings.unread) == {Source.HUB, Source.PROXY, Source.SWARM, Source.CHEF}
    assert not found.healthy
    words = io.StringIO()
    consistency.show(Console(stderr=words), found)
    assert "swarm did not answer, so nothing is said of what it has" in words.getvalue()
    assert "agree" not in words.getvalue()


def test_without_a_hub_there_is_nobody_to_ask(deployment: Deployment) -> None:
    with pytest.raises(PreconditionError, match="no hub of deployment 'lab' runs") as error:
        consistency.glance(deployment, Machines([WORKER]), load("local"))
    assert error.value.hint == "./invoke deploy --name lab"


def test_workers_on_an_own_chef_server_are_all_that_look_like_machines_and_are_no_others() -> None:
    policies = {HUB_ID: "hub", WORKER_ID: "swarm_worker"}
    nodes = [HUB_ID, WORKER_ID, GONE_ID, "laptop"]
    clients = [*nodes, "operator", "fleet", "bootstrap"]
    assert workers_in_chef(policies, nodes, clients, [HUB, WORKER], shared=False) == (
        frozenset({WORKER_ID, GONE_ID}),
        frozenset({WORKER_ID, GONE_ID}),
    )
    # A hub whose Chef node is lost is no worker all the same.
    found = workers_in_chef({}, [], [HUB_ID], [HUB], shared=False)
    assert found == (frozenset(), frozenset())


def test_on_a_shared_chef_server_only_our_group_is_ours() -> None:
    policies = {HUB_ID: "hub", WORKER_ID: "swarm_worker"}
    nodes = [HUB_ID, WORKER_ID, GONE_ID]
    assert workers_in_chef(policies, nodes, nodes, [HUB, WORKER], shared=True) == (
        frozenset({WORKER_ID}),
        frozenset({WORKER_ID}),
    )


FINDING = Finding(Kind.GHOST_SERVER, "ann", "a ghost", "./invoke hub.stop ann", safe=True)
GOOD = Check("engine", Verdict.OK, "Docker 28")
BAD = Check("disk", Verdict.FAIL, "1.0 GB free", "make room")
AGREE, DISAGREE = Look(Listings(0), []), Look(Listings(0), [FINDING])
SILENT = Look(Listings(0, unread={Source.HUB: "away"}), [])


@pytest.mark.parametrize("found", [Diagnosis(), Diagnosis(AGREE), Diagnosis(AGREE, [FINDING])])
def test_what_agrees_or_was_healed_is_code_0(found: Diagnosis) -> None:
    require_healthy([GOOD], found)
    assert treatment.as_json([GOOD], found)["ok"] is True


@pytest.mark.parametrize(
    ("check", "found", "kind"),
    [
        (BAD, Diagnosis(AGREE), PreconditionError),
        (GOOD, Diagnosis(DISAGREE), PreconditionError),
        (GOOD, Diagnosis(SILENT), PreconditionError),
        (GOOD, Diagnosis(problem="no hub runs", hint="deploy"), PreconditionError),
        (GOOD, Diagnosis(DISAGREE, [FINDING]), PartialError),
        (BAD, Diagnosis(AGREE, [FINDING]), PartialError),
    ],
)
def test_what_is_left_is_code_3_and_4_where_some_was_healed(
    check: Check, found: Diagnosis, kind: type[HubfleetError]
) -> None:
    with pytest.raises(kind) as error:
        require_healthy([check], found)
    assert error.value.exit_code == {PreconditionError: 3, PartialError: 4}[kind]
    assert treatment.as_json([check], found)["ok"] is False
    json.dumps(treatment.as_json([check], found))


def test_what_was_seen_once_is_looked_at_again(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [DISAGREE, Look(Listings(1), [])]
    monkeypatch.setattr(consistency, "glance", lambda *_: looks.pop(0))
    slept: list[float] = []
    found = consistency.look(deployment, Machines([]), load("local"), slept.append)
    assert (found.findings, slept) == ([], [consistency.CONFIRM_S])
