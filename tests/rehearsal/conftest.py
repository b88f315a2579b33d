"""The environment that is deployed, once, and its machines."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from hubfleet import images
from hubfleet.clients import engine
from hubfleet.fleet.local import DEPLOYMENT_LABEL, inner_subnets
from hubfleet.state import Deployment
from tests.e2e.conftest import Lab, pytest_collection_modifyitems, scene
from tests.infrastructure.account import playing, terraform
from tests.infrastructure.tools import NONE, find_tofu
from tests.rehearsal import authority
from tests.rehearsal.account import Rehearsed
from tests.rehearsal.cloud import Cloud, cloud
from tests.rehearsal.machines import Driver, Machines
from tests.rehearsal.registry import repositories

__all__ = ["pytest_collection_modifyitems", "scene"]


def say(words: str) -> None:
    """Leave a line in the log of the run."""
    sys.stdout.write(f"rehearsal: {words}\n")


@dataclass
class Rehearsal:
    """An environment on an account, as its operator and its students have it."""

    lab: Lab
    account: Rehearsed
    cloud: Cloud
    driver: Driver


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Yield an environment that a deploy has brought up; afterwards nothing is left of it."""
    tofu = find_tofu()
    if tofu is None:
        pytest.skip(NONE)
    folder = tmp_path_factory.mktemp("rehearsal")
    account = Rehearsed("", folder)
    chosen, settings = account.deployment, account.settings
    # Its ports are those of the machines' containers.
    deployment = Deployment.create(chosen.name, chosen.environment, chosen.ports, chosen.root)
    label = {DEPLOYMENT_LABEL: deployment.name}
    subnet = engine.ensure_network(deployment.network, label, inner_subnets(settings))
    gateway = str(next(ip_network(subnet).hosts()))
    machines = Machines(deployment, settings, images.reference("node"))

    def who(address: str) -> str:
        return next((m.id for m in machines.list() if m.address == address), "nobody")

    with ExitStack() as stack:
        stack.callback(engine.remove_networks, "=".join(*label.items()))
        region = settings.fleet.aws.region
        made = stack.enter_context(cloud(deployment.environment, region, gateway, who))
        ecr = stack.enter_context(repositories(made, deployment, subnet, folder / "ecr"))
        where = authority.place(subnet)
        zone, room = settings.fleet.zone, folder / "acme"
        machines.authorities = stack.enter_context(
            authority.authority(deployment, zone, where, room)
        )
        account.moto, account.repositories, machines.repositories = made.moto, ecr, ecr
        driver = account.driver = Driver(made, machines)
        stack.enter_context(playing(account))
        stack.enter_context(driver.running())
        began = time.monotonic()
        account.deploy(yes=True)
        say(f"deployed after {time.monotonic() - began:.0f} s")
        made.stack = json.loads(terraform(account, tofu, "output", "-json", "stack"))
        yield Rehearsal(Lab(deployment, settings, machines), account, made, driver)
