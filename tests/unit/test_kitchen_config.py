"""kitchen.yml: a suite for every policy, on the nodes that the local fleet makes."""

import json
import subprocess
from pathlib import Path

import pytest

from hubfleet import images
from hubfleet.clients.engine import ContainerSpec
from hubfleet.errors import UsageError
from hubfleet.fleet.base import Role
from hubfleet.settings import ROOT, load
from hubfleet.state import Deployment, check_name
from tests.integration.kitchen import fixture


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment("kitchen-test", fixture.ENVIRONMENT, tmp_path)


@pytest.fixture(params=[*Role])
def role(request: pytest.FixtureRequest) -> Role:
    return Role(request.param)


@pytest.fixture
def spec(deployment: Deployment, role: Role) -> ContainerSpec:
    return fixture.container(deployment, load(fixture.ENVIRONMENT), role)


def test_kitchen_lists_one_suite_for_each_policy() -> None:
    listed = subprocess.run(
        [ROOT / "bin" / "kitchen", "list", "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = json.loads(listed.stdout)
    assert {one["instance"] for one in found} == {
        f"{role.replace('_', '-')}-debian-13" for role in Role
    }
    for one in found:
        plugins = one["driver"], one["provisioner"], one["verifier"], one["transport"]
        assert plugins == ("Docker", "CincInfra", "Shell", "Docker")


def test_the_driver_makes_the_fleets_container(
    deployment: Deployment, role: Role, spec: ContainerSpec
) -> None:
    made = fixture.driver(deployment, load(fixture.ENVIRONMENT), role)
    assert made["image"] == images.reference("node")
    assert (made["instance_name"], made["hostname"]) == (spec.name, spec.hostname)
    assert made["cap_add"] == spec.cap_add
    assert set(made["volume"]) >= {f"{host}:{target}" for host, target in spec.binds.items()}
    assert made["run_options"]["network"] == deployment.network
    assert made["run_options"]["network-alias"] == [*spec.aliases]


def test_ports_are_published_where_nobody_chose_one(
    deployment: Deployment, role: Role, spec: ContainerSpec
) -> None:
    settings = load(fixture.ENVIRONMENT)
    made = fixture.driver(deployment, settings, role)["forward"]
    address = settings.fleet.local.bind_address
    assert made == [f"{address}::{port.split('/')[0]}" for port in spec.ports]


def test_its_deployments_have_names_that_can_be(role: Role) -> None:
    assert check_name(fixture.deployment(role).name)


def test_a_wrong_hook_or_suite_is_refused() -> None:
    for arguments in ([], ["load"], ["load", "hubb"], ["explode", "hub"]):
        with pytest.raises(UsageError):
            fixture.main(arguments)
