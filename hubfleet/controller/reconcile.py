"""Do hub, proxy, Swarm, fleet and Chef server agree about servers and workers? Pure.

Each listing is compared with the one that decides: servers with the hub's, workers with the
fleet's. What is on its way (a start, a stop, a boot, a departure) is no disagreement, and what a
source did not say is not held against the others. Times are POSIX seconds.
"""

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote

from hubfleet.clients.hub_service import Server
from hubfleet.clients.swarm_manager import SwarmNode, SwarmService, SwarmTask
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Worker


class Source(StrEnum):
    """Who is asked."""

    HUB = "hub"
    PROXY = "proxy"
    SWARM = "swarm"
    FLEET = "fleet"
    CHEF = "chef"


class Kind(StrEnum):
    """What does not agree. A user is a server's subject, an instance id a worker's."""

    ORPHAN_SERVICE = "orphan-service"
    """A service without a server of the hub."""
    GHOST_SERVER = "ghost-server"
    """A server of the hub without a service."""
    SERVER_TWICE = "server-twice"
    """A server that runs on two tasks."""
    STRAY_ROUTE = "stray-route"
    """A route of the proxy without a server."""
    MISSING_ROUTE = "missing-route"
    """A ready server without a route."""
    STRAY_MEMBER = "stray-member"
    """A node of the Swarm without a machine."""
    LOST_WORKER = "lost-worker"
    """A machine that is no ready node of the Swarm."""
    MEMBER_TWICE = "member-twice"
    """Two nodes of the Swarm with one host name."""
    STRAY_CHEF_NODE = "stray-chef-node"
    """A Chef node without a machine."""
    MISSING_CHEF_NODE = "missing-chef-node"
    """A machine whose Chef client has no node."""
    STRAY_CHEF_CLIENT = "stray-chef-client"
    """A Chef client without node and machine."""
    MISSING_CHEF_CLIENT = "missing-chef-client"
    """A machine without a Chef client: its key is refused."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement, and the command that heals it."""

    kind: Kind
    subject: str
    sentence: str
    heal: str
    safe: bool
    """Whether healing it ends nothing that anybody uses, so that `doctor --fix` may."""


@dataclass(frozen=True)
class Listings:
    """What each source says as of `at`; None where it did not answer."""

    at: float
    servers: Sequence[Server] | None = None
    routes: Mapping[str, str] | None = None
    """Path to target."""
    services: Sequence[SwarmService] | None = None
    tasks: Sequence[SwarmTask] | None = None
    members: Sequence[SwarmNode] | None = None
    workers: Sequence[Worker] | None = None
    chef_nodes: Collection[str] | None = None
    """Names of the workers' nodes."""
    chef_clients: Collection[str] | None = None
    """Names of the clients that are, or were, workers'."""
    unread: Mapping[Source, str] = field(default_factory=dict)
    """Why a source did not answer."""


@dataclass(frozen=True)
class Limits:
    """How long something may be on its way, in seconds."""

    boot_s: float
    """Until a worker must be in the Swarm (autoscaler.ready.boot_timeout_s)."""
    grace_s: float = 60.0
    """Until a server must have service and route. The hub looks at services every 30 s, and at
    routes every 10 s."""


def compare(found: Listings, limits: Limits, option: str = "") -> list[Finding]:
    """Return all disagreements, sorted; the order within the listings does not matter.

    `option` names the deployment in the commands, such as `--name lab`.
    """
    order = [*Kind]
    judges = (_services, _servers, _tasks, _routes, _members, _workers, _chef)
    findings = {
        Finding(kind, subject, sentence, _command(heal, option), safe)
        for judge in judges
        for kind, subject, sentence, heal, safe in judge(found, limits)
    }
    return sorted(findings, key=lambda f: (order.index(f.kind), f.subject, f.sentence))


def lasting(before: Iterable[Finding], now: Iterable[Finding]) -> list[Finding]:
    """Return what was found `now` and `before`: the sources are not read at one moment."""
    known = {(finding.kind, finding.subject) for finding in before}
    return [finding for finding in now if (finding.kind, finding.subject) in known]


def user_of(path: str) -> str:
    """Return whose server a route of the proxy leads to; empty where it is no student's."""
    parts = path.split("/")
    return unquote(parts[2]) if parts[:2] == ["", "user"] and len(parts) > 2 else ""


Judgement = tuple[Kind, str, str, tuple[str, ...], bool]
"""A Finding whose command is not put together yet."""

FORGET, STOP, ROUTES, CONVERGE = "fleet.forget", "hub.stop", "hub.routes", "converge"
DEPLOY, DRAIN, REVOKE = "deploy", "fleet.drain", "chef.revoke"


def _command(heal: tuple[str, ...], option: str) -> str:
    task, *arguments = heal
    words = ["./invoke", task, *([option] if option else []), *map(shlex.quote, arguments)]
    return " ".join(words)


def _services(found: Listings, limits: Limits) -> Iterator[Judgement]:
    if found.services is None or found.servers is None:
        return
    owned = {server.user: server for server in found.servers}
    # A hub that knows none of several servers has lost its database: that is to be brought back.
    trusted = bool(owned) or len(found.services) == 1
    for service in found.services:
        server = owned.get(service.user)
        if server is not None and (_moves(server, found, limits) or _is_of(service, server)):
            continue
        if found.at - service.created_at <= limits.grace_s:
            continue
        has = "no server" if server is None else "another server"
        sentence = f"service {service.name} runs, and the hub has {has} of {service.user}"
        safe = server is None and trusted
        yield Kind.ORPHAN_SERVICE, service.user, sentence, (STOP, service.user), safe


def _servers(found: Listings, limits: Limits) -> Iterator[Judgement]:
    if found.services is None or found.servers is None:
        return
    for server in found.servers:
        mine = [each for each in found.services if each.user == server.user]
        if _moves(server, found, limits) or any(_is_of(each, server) for each in mine):
            continue
        sentence = f"the hub says that the server of {server.user} runs, and it has no service"
        yield Kind.GHOST_SERVER, server.user, sentence, (STOP, server.user), not mine


def _tasks(found: Listings, limits: Limits) -> Iterator[Judgement]:
    if found.tasks is None or found.members is None:
        return
    # What a node that is down had is gone, or is ended when it comes back.
    ready = {member.id for member in found.members if member.state == "ready"}
    running = [task for task in found.tasks if task.holds and task.node_id in ready]
    users = {task.service_id: task.user for task in running}
    for service_id, count in Counter(task.service_id for task in running).items():
        if count > 1:
            user = users[service_id]
            sentence = f"the server of {user} runs {count} times, on the same files"
            yield Kind.SERVER_TWICE, user, sentence, (STOP, user), False


def _routes(found: Listings, limits: Limits) -> Iterator[Judgement]:
    if found.routes is None or found.servers is None:
        return
    routed = {user for path in found.routes if (user := user_of(path))}
    known = {server.user for server in found.servers}
    # The orphan's healing takes its route with it.
    orphans = {service.user for service in found.services or ()}
    for user in routed - known - orphans:
        sentence = f"the proxy has a route to a server of {user}, and the hub has none"
        yield Kind.STRAY_ROUTE, user, sentence, (ROUTES,), True
    for server in found.servers:
        if server.user not in routed and not _moves(server, found, limits):
            sentence = f"the proxy has no route to the server of {server.user}"
            yield Kind.MISSING_ROUTE, server.user, sentence, (ROUTES,), True


def _members(found: Listings, limits: Limits) -> Iterator[Judgement]:
    if found.members is None or found.workers is None:
        return
    alive = {worker.id for worker in found.workers}
    by_host: dict[str, list[SwarmNode]] = {}
    for member in found.members:
        if member.role == "worker":
            by_host.setdefault(member.hostname, []).append(member)
    for host, members in by_host.items():
        states = sorted(member.state for member in members)
        if host not in alive:
            sentence = f"{host} is in the Swarm ({', '.join(states)}), and the fleet has it not"
            yield Kind.STRAY_MEMBER, host, sentence, (FORGET, host), "ready" not in states
        elif len(members) > 1 and "ready" in states:
            # A machine joined anew and left its former self behind; two that live are no remains.
            single = states.count("ready") == 1
            sentence = f"{host} is {len(members)} nodes of the Swarm ({', '.join(states)})"
            heal = (FORGET, host) if single else (REVOKE, host, "--terminate")
            yield Kind.MEMBER_TWICE, host, sentence, heal, single


def _workers(found: Listings, limits: Limits) -> Iterator[Judgement]:
    if found.members is None or found.workers is None:
        return
    ready = {member.hostname for member in found.members if member.state == "ready"}
    known = {member.hostname for member in found.members}
    for worker in _settled(found, limits):
        if worker.id in ready:
            continue
        how = "down in the Swarm" if worker.id in known else "not in the Swarm"
        if worker.state is State.RUNNING:
            sentence = f"{worker.id} runs and is {how}: it takes no students"
            yield Kind.LOST_WORKER, worker.id, sentence, (REVOKE, worker.id, "--terminate"), False
        else:
            sentence = f"{worker.id} is {worker.state}, and {how}"
            yield Kind.LOST_WORKER, worker.id, sentence, (DEPLOY,), False


def _chef(found: Listings, limits: Limits) -> Iterator[Judgement]:
    nodes, clients = found.chef_nodes, found.chef_clients
    if nodes is None or clients is None or found.workers is None:
        return
    alive = {worker.id for worker in found.workers}
    for name in (set(nodes) | set(clients)) - alive:
        kind, what = Kind.STRAY_CHEF_NODE, f"Chef node {name} is of no machine"
        if name not in nodes:
            kind, what = Kind.STRAY_CHEF_CLIENT, f"Chef client {name} is of no node and no machine"
        yield kind, name, what, (FORGET, name), _absent(name, found)
    settled = list(_settled(found, limits))
    # A Chef server that knows none of the machines is a new one: deploy says what to restore.
    lost = not any(worker.id in clients for worker in settled)
    for worker in settled:
        if worker.id not in clients:
            sentence = f"{worker.id} has no Chef client: its converges are refused"
            heal = (DEPLOY,) if lost else (DRAIN, worker.id)
            yield Kind.MISSING_CHEF_CLIENT, worker.id, sentence, heal, False
        elif worker.id not in nodes:
            sentence = f"{worker.id} has a Chef client and no Chef node"
            yield Kind.MISSING_CHEF_NODE, worker.id, sentence, (CONVERGE, "--node", worker.id), True


def _absent(host: str, found: Listings) -> bool:
    """Say whether the Swarm, too, knows of no such machine that lives."""
    if found.members is None:
        return False
    return not any(each.hostname == host and each.state == "ready" for each in found.members)


def _settled(found: Listings, limits: Limits) -> Iterator[Worker]:
    """Yield the workers that neither boot nor leave."""
    for worker in found.workers or ():
        if not worker.leaving and found.at - worker.launched_at > limits.boot_s:
            yield worker


def _moves(server: Server, found: Listings, limits: Limits) -> bool:
    """Say whether a server starts or stops, or did so just now."""
    if server.pending or not server.ready:
        return True
    return server.started_at is not None and found.at - server.started_at <= limits.grace_s


def _is_of(service: SwarmService, server: Server) -> bool:
    """Say whether a service is the server's; where the hub keeps no id, the user must do."""
    return service.user == server.user and server.state.get("object_id") in {None, "", service.id}
