"""Commands that look into machines refuse a deployment on AWS, and say what to use instead."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hubfleet import consistency, identity
from hubfleet.errors import PreconditionError
from hubfleet.fleet import service_container
from hubfleet.fleet.local import LocalFleet
from hubfleet.settings import load
from hubfleet.state import Deployment, Ports
from hubfleet.status import fleet_of

ROADS: dict[str, Callable[[Deployment], object]] = {
    "verify, converge, fleet.*, chef.rotate, ...": fleet_of,
    "deploy and doctor": lambda of: LocalFleet(of, load(of.environment), ""),
    "images.push, policy.promote, ...": lambda of: identity.registry(of, load(of.environment)),
    "fleet.inject, fleet.dead": service_container.connect,
    "hub.routes": consistency.hub_service,
}
"""How commands come to a deployment's machines."""


def checkout(directory: Path) -> Path:
    """Return a root with the settings of this checkout and a state of its own."""
    here = Path(__file__).parents[2]
    for name in ("roles", "environments", "images", "policyfiles", "cookbooks", "hubfleet"):
        (directory / name).symlink_to(here / name)
    return directory


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize("road", ROADS)
def test_machines_on_aws_are_not_looked_for_here(
    environment: str, road: str, tmp_path: Path
) -> None:
    deployment = Deployment.create(environment, environment, Ports(1, 2, 3), checkout(tmp_path))
    with pytest.raises(PreconditionError, match=f"machines of {environment} are on AWS") as caught:
        ROADS[road](deployment)
    assert f"./invoke status --env {environment}" in caught.value.hint
    assert f"./invoke chef.tunnel --env {environment}" in caught.value.hint


def test_a_deployment_on_this_machine_is(tmp_path: Path) -> None:
    deployment = Deployment.create("local", "local", Ports(1, 2, 3), checkout(tmp_path))
    assert LocalFleet(deployment, load("local"), "").label == "hubfleet.deployment=local"
    assert identity.registry(deployment, load("local"))
