"""Take a node's rights away, at once: its Chef client, its way into the Swarm, then the machine."""

from collections.abc import Sequence

from hubfleet import policy, swarm
from hubfleet.console import Console
from hubfleet.converge import converge, require_all
from hubfleet.errors import HubfleetError, UsageError, nearest
from hubfleet.fleet.base import Fleet, Instance, Role, State
from hubfleet.state import Deployment

TIMER = "chef-client.timer"
STOP_TIMEOUT_S = 30


def check(deployment: Deployment, fleet: Fleet, node: str) -> Instance | None:
    """Return the machine of a node, None where it is gone; raise UsageError for one to be kept."""
    machines = {machine.id: machine for machine in fleet.list()}
    known = {*machines, *policy.connect(deployment).clients()}
    if node not in known:
        raise UsageError(
            f"no node is named {node!r}{nearest(node, known)}", "list them: ./invoke fleet.list"
        )
    machine = machines.get(node)
    needed = {"operator", "bootstrap", "fleet"}
    if (machine and machine.role is not Role.SWARM_WORKER) or node in needed:
        what = machine.role if machine else "client"
        raise UsageError(
            f"{node} is the {what}: nothing works without it",
            "change its key: ./invoke chef.rotate; or destroy the deployment",
        )
    return machine


def words(node: str, machine: Instance | None, terminate: bool) -> list[str]:
    """Return what a revocation does, as lines for the user."""
    lines = [f"delete Chef client and node {node}: its key is refused from then on"]
    if machine is None:
        return lines
    lines += ["stop its converges", "change the Swarm's join token for workers"]
    if terminate:
        return [*lines, f"end the machine {node}; servers that run there are lost, homes stay"]
    return [*lines, "place no new servers there; those that run there run on"]


def revoke(
    deployment: Deployment, fleet: Fleet, console: Console, node: str, terminate: bool
) -> None:
    """Revoke a node's key first, then everything else, even where the machine does not answer.

    Raises UsageError for a node that is not, or that nothing works without; what was begun is
    completed by the next run.
    """
    machine = check(deployment, fleet, node)
    chef = policy.connect(deployment)
    chef.delete_client(node)
    chef.delete_node(node)
    console.say(f"{node}: its key is refused from now on")
    if machine is None:
        return
    _stop_converges(fleet, console, machine)
    # A converge that was under way may have saved the node again before its client was gone.
    chef.delete_node(node)
    hubs = [i for i in fleet.list() if i.role is Role.HUB and i.state is State.RUNNING]
    if hubs:
        swarm.rotate_join_token(fleet, hubs[0])
        require_all(converge(deployment, fleet, hubs))
        console.say("the Swarm has a new join token for workers")
        _out_of_swarm(fleet, console, hubs[0], machine, terminate)
    if terminate:
        fleet.terminate(machine.id)
        console.say(f"{machine.id}: ended; ./invoke deploy brings up another")
    else:
        console.say(f"{machine.id}: takes no new servers; ./invoke deploy replaces it")


def _stop_converges(fleet: Fleet, console: Console, machine: Instance) -> None:
    if machine.state is not State.RUNNING:
        return
    argv: Sequence[str] = ["systemctl", "disable", "--now", TIMER]
    try:
        done = fleet.run(machine.id, argv, STOP_TIMEOUT_S)
    except HubfleetError as error:
        console.warn(f"{machine.id} does not answer: {error.message}")
        return
    if done.returncode != 0:
        console.warn(f"{machine.id}: its converges go on, and are refused: {done.stderr.strip()}")


def _out_of_swarm(
    fleet: Fleet, console: Console, hub: Instance, machine: Instance, terminate: bool
) -> None:
    members = [each for each in swarm.nodes(fleet, hub) if each.hostname == machine.id]
    for member in members:
        if terminate:
            swarm.remove(fleet, hub, member)
        else:
            swarm.pause(fleet, hub, member)
    if not members:
        console.warn(f"{machine.id} is not in the Swarm")
