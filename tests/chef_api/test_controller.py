"""What the controller does to a leaving worker, on a Chef server that answers as ours does."""

import os
from collections.abc import Iterator

import pytest

from hubfleet.clients.chef import Chef
from hubfleet.controller.sweep import Sweeper
from hubfleet.pki import ensure_rsa_key, public_pem
from tests.chef_api.target import Target
from tests.unit.departures import Lab, state_change

WORKER, OTHER, STRAY = "i-00000000000000d1", "i-00000000000000d2", "i-00000000000000d3"


@pytest.fixture
def chef(target: Target) -> Iterator[Chef]:
    """Return the server as the controller sees it, with a worker, another machine and a stray."""
    if os.environ.get("HUBFLEET_CHEF_URL"):
        pytest.skip("the embedded server's own client")
    key = public_pem(ensure_rsa_key(target.keys / "departing.pem"))
    for name in (WORKER, OTHER, STRAY):
        target.operator.create_client(name, key)
    for name, policy in ((WORKER, "swarm_worker"), (OTHER, "hub")):
        document = {"name": name, "policy_name": policy, "policy_group": "local"}
        target.operator.wire.object("POST", "/nodes", document)
    yield target.as_client("fleet")
    for name in (WORKER, OTHER, STRAY):
        target.operator.delete_node(name)
        target.operator.delete_client(name)


def known(chef: Chef) -> set[str]:
    """Return those of the three that the server knows."""
    return {WORKER, OTHER, STRAY} & (set(chef.nodes()) | set(chef.clients()))


def test_a_worker_is_forgotten_and_another_machine_is_not(chef: Chef) -> None:
    lab = Lab()
    lab.chef = chef  # type: ignore[assignment]
    lab.restart()
    lab.cloud.put(state_change(WORKER, lab.now))
    lab.cloud.put(state_change(OTHER, lab.now))
    lab.run(5)
    assert known(chef) == {OTHER, STRAY}
    assert OTHER in chef.nodes() and not lab.cloud.queue
    assert [each["worker"] for each in lab.told("not_a_worker")] == [OTHER]


def test_a_sweep_finds_the_nodes_of_workers_and_clients_without_a_node(chef: Chef) -> None:
    lab = Lab()
    sweeper = Sweeper(chef, "local", lambda what, error: pytest.fail(f"{what}: {error}"))
    found: set[str] = set()
    for seconds in (30, 120, 3600):
        lab.turn(seconds)
        events = sweeper.look(lab.observer.world, found, lab.now).events
        found |= {event.instance_id for event in events}
    assert found == {WORKER, STRAY}
