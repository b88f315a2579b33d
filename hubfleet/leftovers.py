"""What machines leave behind that went away by themselves, and its removal."""

import re
import time
from collections.abc import Callable, Container

from hubfleet import inventory, policy
from hubfleet.fleet.base import Fleet
from hubfleet.state import Deployment

MAKING_S = 60
"""A seed is written before its machine is made, which takes a second."""

INSTANCE_ID = re.compile(r"i-[0-9a-f]{17}")


def forget_machines(deployment: Deployment, fleet: Fleet, shared: bool) -> None:
    """Delete the Chef nodes and clients of machines that the fleet has no more."""
    forget_all_but(deployment, lambda: {instance.id for instance in fleet.list()}, shared)


def forget_all_but(
    deployment: Deployment, alive: Callable[[], Container[str]], shared: bool
) -> None:
    """Delete the Chef nodes and clients of machines that are no more; `alive` names the others.

    A `shared` server may hold other deployments: there only nodes of this policy group are ours,
    and a client without a node stays.
    """
    chef = policy.connect(deployment)
    if shared:
        known = set(inventory.chef_nodes(chef, deployment.environment))
    else:
        known = set(chef.nodes()) | set(chef.clients())
    # After that: the controller may have launched a machine meanwhile, which has registered.
    machines = alive()
    for name in known:
        if INSTANCE_ID.fullmatch(name) and name not in machines:
            chef.delete_node(name)
            chef.delete_client(name)


def sweep_seeds(deployment: Deployment, fleet: Fleet) -> None:
    """Remove seeds whose machine was never made: each holds a copy of the bootstrap key."""
    seeds = [
        seed
        for seed in (deployment.dir / "nodes").glob("i-*")
        if time.time() - seed.stat().st_mtime > MAKING_S
    ]
    alive = {instance.id for instance in fleet.list()}
    for seed in seeds:
        if seed.name not in alive:
            fleet.terminate(seed.name)
