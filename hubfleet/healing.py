"""Heal what does not agree: end a server, forget a machine that is gone, take a worker out.

Everything looks first at what is, does nothing that is done already, and can be done twice.
"""

import getpass
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hubfleet import consistency, converge, policy, swarm_listings
from hubfleet.clients.hub_service import HubService
from hubfleet.clients.swarm_manager import DRAIN, SwarmNode
from hubfleet.console import Console
from hubfleet.controller.reconcile import Finding, Kind
from hubfleet.errors import CommandError, HubfleetError, UsageError, nearest
from hubfleet.fleet.base import Fleet, Role
from hubfleet.fleet.local import find
from hubfleet.leftovers import INSTANCE_ID
from hubfleet.rolling import command
from hubfleet.state import Deployment

STOP_TIMEOUT_S = 60
POLL_S = 0.5
TIMEOUT_S = 20


@dataclass(frozen=True)
class Remains:
    """What is left of a machine that is gone, or of its former self."""

    name: str
    members: Sequence[SwarmNode]
    chef_node: bool = False
    chef_client: bool = False

    @property
    def words(self) -> list[str]:
        """Say what is removed, as lines for the user."""
        lines = [f"remove {self.name} from the Swarm ({each.state})" for each in self.members]
        lines += [f"delete Chef client {self.name}"] if self.chef_client else []
        return lines + ([f"delete Chef node {self.name}"] if self.chef_node else [])


class Healer:
    """Heals one deployment."""

    def __init__(self, deployment: Deployment, fleet: Fleet) -> None:
        self.deployment = deployment
        self.fleet = fleet
        self._machine = consistency.running_hub(deployment, fleet.list())

    @property
    def hub(self) -> HubService:
        """The hub's API."""
        return consistency.hub_service(self.deployment)

    def stop(self, user: str) -> list[str]:
        """End a student's server, whatever hub and Swarm know of it; return what was done.

        Raises CommandError where the hub does not answer, or does not let go of the server.
        """
        hub = self.hub
        done = []
        if self._has_server(hub, user):
            hub.stop(user)
            self._until_gone(hub, user)
            done.append(f"the hub has stopped the server of {user}")
        return done + self.remove_orphans(user)

    def remove_orphans(self, user: str) -> list[str]:
        """Remove services of a student that are no server of the hub; return what was done.

        The services are listed first: one that the hub makes after that is not touched.
        """
        found = swarm_listings.services(self.fleet, self._machine)
        services = [each for each in found if each.user == user]
        hub = self.hub
        if not services or self._has_server(hub, user):
            return []
        for service in services:
            self._docker("service", "rm", service.id)
        hub.check_routes()
        return [f"service {service.name} is removed" for service in services]

    def remains(self, node: str) -> Remains:
        """Return what is left of a machine.

        Raises UsageError where it is alive and has no former self, or was never there.
        """
        alive = {machine.id for machine in self.fleet.list()}
        members = swarm_listings.members(self.fleet, self._machine)
        mine = [each for each in members if each.hostname == node and each.role == "worker"]
        if node in alive:
            ready = any(each.state == "ready" for each in mine)
            former = [each for each in mine if each.state != "ready"] if ready else []
            if not former:
                raise UsageError(
                    f"{node} is alive, there is nothing to forget",
                    f"take it out: {command(self.deployment, 'fleet.drain', node)}",
                )
            return Remains(node, former)
        chef = policy.connect(self.deployment)
        nodes, clients = chef.nodes(), chef.clients()
        if not mine and not (INSTANCE_ID.fullmatch(node) and node in {*nodes, *clients}):
            known = {*nodes, *clients, *(each.hostname for each in members)} - alive
            raise UsageError(
                f"nobody knows of a worker {node!r}"
                f"{nearest(node, filter(INSTANCE_ID.fullmatch, known))}",
                f"what does not agree: {command(self.deployment, 'doctor')}",
            )
        return Remains(node, mine, node in nodes, node in clients)

    def forget(self, remains: Remains) -> str:
        """Remove what is left of a machine; return what was done."""
        for member in remains.members:
            self._docker("node", "rm", "--force", member.id)
        chef = policy.connect(self.deployment)
        # The client first: from then on nothing can write the node again.
        if remains.chef_client:
            chef.delete_client(remains.name)
        if remains.chef_node:
            chef.delete_node(remains.name)
        return f"{remains.name} is forgotten"

    def drain(self, node: str) -> str:
        """Close a worker to new servers, and mark it so that the controller ends it when empty."""
        why = f"{getpass.getuser()} drains it"
        for member in self.members(node):
            argv = ["node", "update", "--availability", "pause", "--label-add", f"{DRAIN}={why}"]
            self._docker(*argv, member.id)
        return f"{node} takes no new servers, and is ended when it has none"

    def undrain(self, node: str) -> str:
        """Open a worker again that was to be drained."""
        for member in self.members(node):
            argv = ["node", "update", "--availability", "active"]
            if member.drained:
                argv += ["--label-rm", DRAIN]
            self._docker(*argv, member.id)
        return f"{node} takes servers again"

    def members(self, node: str) -> list[SwarmNode]:
        """Return what a worker is in the Swarm; raise UsageError where it is no worker there."""
        machine = find(self.fleet.list(), node)
        if machine.role is not Role.SWARM_WORKER:
            raise UsageError(f"{node} is the {machine.role}: only workers are drained")
        members = swarm_listings.members(self.fleet, self._machine)
        mine = [each for each in members if each.hostname == machine.id]
        if not mine:
            raise UsageError(
                f"{node} is not in the Swarm, and takes no servers",
                f"end it: {command(self.deployment, 'chef.revoke', node, '--terminate')}",
            )
        return mine

    def _has_server(self, hub: HubService, user: str) -> bool:
        return any(server.user == user for server in hub.servers())

    def _until_gone(self, hub: HubService, user: str) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self._has_server(hub, user):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the hub still has a server of {user} after {STOP_TIMEOUT_S} s",
                    f"look there: {command(self.deployment, 'status')}",
                )
            time.sleep(POLL_S)

    def _docker(self, *argv: str) -> None:
        done = self.fleet.run(self._machine.id, ["docker", *argv], TIMEOUT_S)
        gone = "not found" in done.stderr
        if done.returncode != 0 and not gone:
            raise CommandError(
                f"`docker {' '.join(argv)}` failed on {self._machine.role} {self._machine.id}",
                "",
                done.stderr or done.stdout,
            )


def heal(healer: Healer, findings: Sequence[Finding], console: Console) -> None:
    """Heal findings one after the other, each command once; say what was done, and what failed."""
    for finding in {finding.heal: finding for finding in findings}.values():
        try:
            done = _cure(healer, finding)
        except HubfleetError as error:
            console.warn(f"{finding.subject}: {error.message}")
            continue
        for line in done or [f"{finding.subject}: nothing is left to do"]:
            console.say(line)


def _cure(healer: Healer, finding: Finding) -> list[str]:
    subject = finding.subject
    match finding.kind:
        case Kind.ORPHAN_SERVICE:
            return healer.remove_orphans(subject)
        case Kind.GHOST_SERVER:
            return healer.stop(subject)
        case Kind.STRAY_ROUTE | Kind.MISSING_ROUTE:
            healer.hub.check_routes()
            return ["the hub has put the proxy's routes right"]
        case Kind.MISSING_CHEF_NODE:
            machine = find(healer.fleet.list(), subject)
            results = converge.converge(healer.deployment, healer.fleet, [machine])
            converge.require_all(results)
            return [f"{subject} has converged"]
        case _:
            return [healer.forget(healer.remains(subject))]
