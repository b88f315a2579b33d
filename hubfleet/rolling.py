"""What a rollout and a rollback do to machines: look, hold, converge, open again, let go."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hubfleet import holds, swarm
from hubfleet.clients.web import get_json
from hubfleet.console import Console
from hubfleet.converge import Result, as_json, converge, read_report, show
from hubfleet.errors import CommandError, ConvergeError, HubfleetError
from hubfleet.fleet.base import Fleet, Instance, Role, State
from hubfleet.holds import Hold
from hubfleet.parallel import run_all
from hubfleet.rollout_plan import Node
from hubfleet.state import DEFAULT_NAME, Deployment

SETTLE_TIMEOUT_S = 120
"""Seconds in which a node that has converged is ready in the Swarm, and the hub answers."""
POLL_S = 1.0


@dataclass
class Outcome:
    """What came of the machines; `error` is why it stopped."""

    event: str
    changes: dict[str, tuple[str, str]]
    results: list[Result] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    """Machines that are still held."""
    error: HubfleetError | None = None

    def show(self, console: Console) -> None:
        """Print the converges as a table."""
        if self.results:
            show(console, self.results)

    def as_json(self) -> dict[str, object]:
        """Return it as one JSON object."""
        return {
            "event": self.event,
            "changes": {p: {"old": old, "new": new} for p, (old, new) in self.changes.items()},
            "converged": as_json(self.results),
            "held": self.held,
            "error": self.error.message if self.error else "",
        }


def command(deployment: Deployment, task: str, *options: str) -> str:
    """Return a command that the user can type as it is."""
    named = [] if deployment.name == DEFAULT_NAME else ["--name", deployment.name]
    return " ".join(["./invoke", task, *named, *options])


class Machines:
    """The running machines of a deployment."""

    def __init__(self, deployment: Deployment, fleet: Fleet) -> None:
        self.deployment = deployment
        self.fleet = fleet

    def look(self) -> list[Node]:
        """Return all running machines; raise CommandError where one does not answer."""
        running = [machine for machine in self.fleet.list() if machine.state is State.RUNNING]
        held = holds.read_all(self.fleet, running)
        # A command that was killed leaves its chef-client: what it makes of the node is to be seen.
        holds.wait_idle(self.fleet, [machine for machine in running if machine.id in held])
        hub = next((machine for machine in running if machine.role is Role.HUB), None)
        nodes = []
        for outcome in run_all(lambda m: self._look(m, hub, held.get(m.id)), running):
            if isinstance(outcome, HubfleetError):
                raise outcome
            nodes.append(outcome)
        return nodes

    def hold(self, nodes: Sequence[Node], hold: Hold) -> list[Node]:
        """Hold nodes, and wait until no converge is under way there; return them as they are then.

        Where one cannot be held, those that were not held before are let go.
        """

        def one(node: Node) -> Node:
            mine = replace(
                hold, revision=node.revision, paused=bool(node.hold and node.hold.paused)
            )
            holds.put(self.fleet, node.instance, mine)
            return replace(node, hold=mine)

        outcomes = run_all(one, nodes)
        held = [outcome for outcome in outcomes if isinstance(outcome, Node)]
        problem = next((o for o in outcomes if isinstance(o, HubfleetError)), None)
        try:
            if problem is not None:
                raise problem
            holds.wait_idle(self.fleet, [node.instance for node in nodes])
        except HubfleetError:
            fresh = {node.instance.id for node in nodes if node.hold is None}
            run_all(self.release, [node for node in held if node.instance.id in fresh])
            raise
        return held

    def pause(self, node: Node) -> Node:
        """Close a worker to new servers, where another takes them; whoever lets it go opens it."""
        members = [member for member in self._members() if member.ready and not member.manager]
        others = [member for member in members if member.hostname != node.instance.id]
        if len(others) == len(members) or not others or node.hold is None:
            return node  # it takes none now, or it is the only one
        # The hold first: what is recorded and was not done is undone without harm.
        paused = replace(node.hold, paused=True)
        holds.put(self.fleet, node.instance, paused)
        self._set_availability(node, "pause")
        return replace(node, hold=paused)

    def open(self, node: Node) -> None:
        """Open a worker to new servers again, where it was closed by us."""
        if node.hold is not None and node.hold.paused:
            self._set_availability(node, "active")

    def close(self, node: Node) -> None:
        """Close again what `open` has opened."""
        if node.hold is not None and node.hold.paused:
            self._set_availability(node, "pause")

    def release(self, node: Node) -> None:
        """Let a node go: open to new servers, converging on its timer."""
        self.open(node)
        holds.lift(self.fleet, node.instance)

    def converge(self, nodes: Sequence[Node], wanted: Mapping[str, str]) -> list[Result]:
        """Converge nodes at once; what then has another revision than wanted is a failure."""
        results = converge(self.deployment, self.fleet, [node.instance for node in nodes])
        return [_at_revision(result, wanted[result.instance.role]) for result in results]

    def settle(self, instance: Instance, timeout: float = SETTLE_TIMEOUT_S) -> None:
        """Wait until a node is ready in the Swarm, and a hub answers; raise ConvergeError."""
        deadline = time.monotonic() + timeout
        while complaint := self._complaint(instance):
            if time.monotonic() > deadline:
                raise ConvergeError(f"{complaint}, {timeout:.0f} s after its converge")
            time.sleep(POLL_S)

    def _look(self, machine: Instance, hub: Instance | None, hold: Hold | None) -> Node:
        report = read_report(self.fleet, machine)
        count = 0
        if machine.role is Role.SWARM_WORKER and hub is not None:
            try:
                count = swarm.servers(self.fleet, hub, machine.id)
            except CommandError:
                count = 0  # no member of the Swarm, hence without servers
        return Node(
            machine,
            str(report.get("policy_revision") or ""),
            report.get("status") == "success",
            count,
            hold,
        )

    def _complaint(self, instance: Instance) -> str:
        if instance.role is Role.CHEF_SERVER:
            return ""
        try:
            if instance.role is Role.HUB:
                get_json(f"{self.deployment.url}/hub/health", self.deployment.ca_crt)
            return swarm.complaint(self._members(), [instance.id])
        except HubfleetError as error:
            return error.message

    def _members(self) -> list[swarm.SwarmNode]:
        return swarm.nodes(self.fleet, self._hub())

    def _set_availability(self, node: Node, availability: str) -> None:
        swarm.set_availability(self.fleet, self._hub(), node.instance.id, availability)

    def _hub(self) -> Instance:
        for machine in self.fleet.list():
            if machine.role is Role.HUB and machine.state is State.RUNNING:
                return machine
        raise CommandError("no hub runs", "run ./invoke deploy")


def release_all(deployment: Deployment, fleet: Fleet, console: Console) -> None:
    """Let every held machine go, and say which; raise what the first failure raises."""
    machines = Machines(deployment, fleet)
    for instance in fleet.list():
        if (hold := holds.read(fleet, instance)) is not None:
            machines.release(Node(instance, hold.revision, True, hold=hold))
            console.say(f"  {instance.role} {instance.id} is let go; it was {hold.words}")


def _at_revision(result: Result, revision: str) -> Result:
    found = str(result.report.get("policy_revision") or "")
    if not result.ok or found == revision:
        return result
    problem = f"it converged at revision {found[:10] or 'none'}, not {revision[:10]}"
    return replace(result, ok=False, problem=problem)
