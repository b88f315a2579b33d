"""The nodes that the Chef server knows of a deployment, beside the machines that the fleet has."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hubfleet import policy
from hubfleet.clients.chef import Chef
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import Role
from hubfleet.state import Deployment

KEYS = {
    "name": ["name"],
    "policy_name": ["policy_name"],
    "policy_group": ["policy_group"],
    "policy_revision": ["policy_revision"],
    "ohai_time": ["ohai_time"],
}
"""What is asked of each node; chef-client saves it after a converge that succeeded, and `ohai_time`
is when that began, in seconds since 1970."""


@dataclass(frozen=True)
class Inventory:
    """What the search found; `problem` says why it found nothing, and is empty where it did."""

    nodes: dict[str, dict[str, Any]]
    problem: str = ""

    def missing(self, machines: Iterable[str]) -> list[str]:
        """Return the machines, by id, that are no nodes of this deployment; none if not known."""
        return [] if self.problem else sorted(set(machines) - set(self.nodes))

    def strays(self, machines: Iterable[str]) -> list[str]:
        """Return the nodes of this deployment without a machine."""
        return sorted(set(self.nodes) - set(machines))


def chef_nodes(chef: Chef, group: str) -> dict[str, dict[str, Any]]:
    """Return the nodes of a policy group that have one of our policies, by their names.

    Raises PreconditionError where the server cannot be reached, ChefServerError where it refuses.
    """
    names = " OR ".join(f"policy_name:{role}" for role in Role)
    found = chef.search("node", f"policy_group:{group} AND ({names})", KEYS)
    return {row["name"]: row for row in found}


def look(deployment: Deployment) -> Inventory:
    """Return the nodes of the deployment as Chef's search has them."""
    try:
        return Inventory(chef_nodes(policy.connect(deployment), deployment.environment))
    except HubfleetError as error:
        return Inventory({}, error.message)
