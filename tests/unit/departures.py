"""A fleet with its queue, a Swarm and a Chef server in memory, and a controller that can be killed.

They keep real state: a hook that nobody completes runs out, a message that nobody deletes comes
again, the Swarm moves servers off drained, removed and dead nodes, and chef-client writes its node
object anew while its client lives.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from hubfleet.clients.hub_service import HubService
from hubfleet.clients.swarm_manager import SwarmManager, SwarmNode, SwarmTask
from hubfleet.controller.observe import Observer
from hubfleet.controller.reaper import Reaper
from hubfleet.controller.sweep import Sweeper
from hubfleet.errors import CommandError
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Failure, Hook, Message, ScalingFleet, Worker

HUB = "i-0aaaaaaaaaaaaaaaa"
HUB_MEMBER = "member-hub"
EPOCH = 1_803_859_200.0
SEATS = 4
VISIBILITY_S = 30.0
DELIVERIES = 5
HOOK_MOST_S = 60.0
"""A hook runs out so long after its begin and after each heartbeat."""


class Killed(BaseException):
    """The controller is killed: nothing of it may catch that."""


class Wire:
    """What every call of the controller goes through: it may fail, or be the last one."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.failing: set[str] = set()
        self.kill_after: int | None = None

    def ask(self, call: str) -> None:
        """Begin a call."""
        if call in self.failing or call.partition(".")[0] in self.failing:
            raise CommandError(f"{call} fails")

    def done(self, call: str, subject: str) -> None:
        """End a call that has changed something."""
        self.effects.append(f"{call} {subject}")
        if self.kill_after is not None and len(self.effects) >= self.kill_after:
            self.kill_after = None
            raise Killed


@dataclass
class Item:
    """A message in the queue."""

    id: str
    body: str
    visible_at: float
    receives: int = 0


class Cloud(ScalingFleet):
    """The fleet, its spot market and its queue."""

    def __init__(self, wire: Wire, clock: Callable[[], float]) -> None:
        self.wire, self.clock = wire, clock
        self.machines: dict[str, Worker] = {}
        self.hooks: dict[str, tuple[Hook, float]] = {}
        self.queue: dict[str, Item] = {}
        self.dead: list[str] = []
        self.acknowledged: list[str] = []
        self.completed: list[str] = []
        self.timed_out: list[str] = []
        self.reclaims: dict[str, float] = {}
        self.died: Callable[[str], None] = lambda instance_id: None
        self._count = 0

    def put(self, body: str) -> str:
        """Put a message into the queue; return its id."""
        self._count += 1
        name = f"m{self._count}"
        self.queue[name] = Item(name, body, self.clock())
        return name

    def tick(self) -> None:
        """Let hooks run out and the spot market take what it has announced."""
        for instance_id, (_, until) in list(self.hooks.items()):
            if self.clock() > until:
                self.timed_out.append(instance_id)
                self.kill(instance_id)
        for instance_id, at in list(self.reclaims.items()):
            if self.clock() >= at:
                self.kill(instance_id)

    def kill(self, instance_id: str, word: bool = True) -> str:
        """Let a machine die; with a word, its change of state is told."""
        self.hooks.pop(instance_id, None)
        self.reclaims.pop(instance_id, None)
        if self.machines.pop(instance_id, None) is None:
            return ""
        self.died(instance_id)
        return self.put(state_change(instance_id, self.clock())) if word else ""

    def reclaim(self, instance_id: str) -> str:
        """Have the spot market take a machine back in two minutes."""
        self.reclaims[instance_id] = self.clock() + 120
        return self.put(spot(instance_id, self.clock()))

    def workers(self) -> Sequence[Worker]:
        self.wire.ask("fleet.workers")
        return list(self.machines.values())

    def launch(self, count: int, pool: str) -> None:
        raise AssertionError("a reaper orders nothing")

    def failures(self) -> Sequence[Failure]:
        return []

    def protect(self, instance_id: str) -> None:
        raise AssertionError("a reaper protects nothing")

    def terminate(self, instance_id: str) -> None:
        self.wire.ask("fleet.terminate")
        self.end(instance_id)
        self.wire.done("fleet.terminate", instance_id)

    def end(self, instance_id: str) -> str:
        """Begin the end of a worker: its hook and the hook's message."""
        worker = self.machines.get(instance_id)
        if worker is None or worker.leaving:
            return ""
        self.machines[instance_id] = replace(worker, leaving=True)
        hook = Hook("workers", "emptied", f"token-{instance_id}", instance_id)
        self.hooks[instance_id] = (hook, self.clock() + HOOK_MOST_S)
        return self.put(termination(hook, self.clock()))

    def standing(self, instance_id: str) -> Worker | None:
        self.wire.ask("fleet.standing")
        return self.machines.get(instance_id)

    def receive(self, wait_s: int) -> Sequence[Message]:
        self.wire.ask("fleet.receive")
        found = []
        for item in [i for i in self.queue.values() if i.visible_at <= self.clock()][:10]:
            if item.receives >= DELIVERIES:
                self.dead.append(item.id)
                del self.queue[item.id]
                continue
            item.receives += 1
            item.visible_at = self.clock() + VISIBILITY_S
            found.append(Message(item.id, f"{item.id}/{item.receives}", item.body, item.receives))
        return found

    def acknowledge(self, message: Message) -> None:
        self.wire.ask("fleet.acknowledge")
        if item := self._of(message):
            del self.queue[item.id]
            self.acknowledged.append(item.id)
            self.wire.done("fleet.acknowledge", item.id)

    def hide(self, message: Message, seconds: int) -> None:
        self.wire.ask("fleet.hide")
        if item := self._of(message):
            item.visible_at = self.clock() + seconds

    def heartbeat(self, hook: Hook) -> None:
        self.wire.ask("fleet.heartbeat")
        if self.hooks.get(hook.instance_id, (None, 0.0))[0] == hook:
            self.hooks[hook.instance_id] = (hook, self.clock() + HOOK_MOST_S)

    def complete(self, hook: Hook) -> None:
        self.wire.ask("fleet.complete")
        if self.hooks.get(hook.instance_id, (None, 0.0))[0] == hook:
            self.completed.append(hook.instance_id)
            self.kill(hook.instance_id)
            self.wire.done("fleet.complete", hook.instance_id)

    def _of(self, message: Message) -> Item | None:
        item = self.queue.get(message.id)
        return item if item and message.receipt == f"{item.id}/{item.receives}" else None


class Cluster:
    """The Swarm's manager, with one task for each student's server."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.members: dict[str, SwarmNode] = {}
        self.place: dict[str, str] = {}
        """Student to node; empty while the server waits for room."""
        self.moves: list[tuple[str, str]] = []
        """Who was moved, and off which node."""
        self.cut: list[str] = []
        """Whose server ran on a node when it was removed."""

    def join(self, host: str, role: str = "worker") -> None:
        """Make a machine a member."""
        name = HUB_MEMBER if role == "manager" else f"member-{host}"
        self.members[name] = SwarmNode(name, host, role, "ready", "active", SEATS)

    def lose(self, host: str) -> None:
        """Have the Swarm call a machine down."""
        for node in [n for n in self.members.values() if n.hostname == host]:
            self.members[node.id] = replace(node, state="down")

    def find(self, host: str) -> bool:
        """Have a machine come back; say whether it was down."""
        name = f"member-{host}"
        if name not in self.members or self.members[name].state == "ready":
            return False
        self.members[name] = replace(self.members[name], state="ready")
        return True

    def settle(self) -> None:
        """Move servers off nodes that may hold none, and place what waits."""
        for user, node_id in self.place.items():
            node = self.members.get(node_id)
            if node_id and (not node or node.state != "ready" or node.availability == "drain"):
                self.moves.append((user, node_id))
                self.place[user] = ""
            if not self.place[user]:
                self.place[user] = next((n for n in self.members if self._has_room(n)), "")

    def _has_room(self, node_id: str) -> bool:
        node = self.members[node_id]
        fits = sum(at == node_id for at in self.place.values()) < SEATS
        usable = node.state == "ready" and node.availability == "active"
        return usable and fits and node.role == "worker"

    def nodes(self) -> list[SwarmNode]:
        self.wire.ask("swarm.nodes")
        return list(self.members.values())

    def tasks(self) -> list[SwarmTask]:
        self.wire.ask("swarm.tasks")
        return [
            SwarmTask(
                user, user, user, at, "running" if at else "pending", "running", "", EPOCH
            )
            for user, at in self.place.items()
        ]  # fmt: skip

    def services(self) -> list[Any]:
        return []

    def set_availability(self, node_id: str, availability: str) -> None:
        self.wire.ask("swarm.set_availability")
        node = self.members.get(node_id)
        if node and node.availability != availability:
            self.members[node_id] = replace(node, availability=availability)
            self.wire.done(f"swarm.{availability}", node_id)

    def mark_for_drain(self, node_id: str, why: str) -> None:
        self.wire.ask("swarm.mark_for_drain")
        if node := self.members.get(node_id):
            labels = {**node.labels, "hubfleet.drain": why}
            self.members[node_id] = replace(node, labels=labels)
            self.wire.done("swarm.mark", node_id)

    def remove_node(self, node_id: str) -> None:
        self.wire.ask("swarm.remove_node")
        node = self.members.get(node_id)
        if node and node.role == "manager":
            raise CommandError("a manager must be demoted first")
        if node and self.members.pop(node_id):
            self.cut += [user for user, at in self.place.items() if at == node_id]
            self.wire.done("swarm.remove", node_id)


class ChefServer:
    """Nodes with their policies, and clients; another deployment may have some here, too."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.policies: dict[str, str] = {}
        self.others: set[str] = set()
        """Nodes of another policy group."""
        self.keys: set[str] = set()

    def converge(self, name: str, policy: str = "swarm_worker") -> None:
        """Run chef-client: it saves its node object, if its key is good."""
        if name in self.keys:
            self.policies[name] = policy

    def search(
        self, index: str, query: str, keys: Mapping[str, Sequence[str]]
    ) -> list[dict[str, Any]]:
        self.wire.ask("chef.search")
        wanted = dict(term.split(":") for term in query.split(" AND "))
        return [
            {short: row[path[0]] for short, path in keys.items()}
            for row in (self._row(name) for name in sorted(self.policies))
            if wanted.items() <= row.items()
        ]

    def _row(self, name: str) -> dict[str, str]:
        group = "other" if name in self.others else "local"
        return {"name": name, "policy_name": self.policies[name], "policy_group": group}

    def nodes(self) -> list[str]:
        self.wire.ask("chef.nodes")
        return sorted(self.policies)

    def clients(self) -> list[str]:
        self.wire.ask("chef.clients")
        return sorted(self.keys)

    def delete_client(self, name: str) -> bool:
        self.wire.ask("chef.delete_client")
        found = name in self.keys
        self.keys.discard(name)
        if found:
            self.wire.done("chef.client", name)
        return found

    def delete_node(self, name: str) -> bool:
        self.wire.ask("chef.delete_node")
        found = self.policies.pop(name, None) is not None
        if found:
            self.wire.done("chef.node", name)
        return found


class NoHub:
    """A hub without servers: a reaper asks it nothing."""

    def servers(self) -> list[Any]:
        return []

    def groups(self) -> dict[str, list[str]]:
        return {}


@dataclass
class Line:
    """One line of the log."""

    event: str
    at: float
    fields: dict[str, Any] = field(default_factory=dict)


class Lab:
    """One deployment with `count` workers, and its controller's reaper."""

    def __init__(self, count: int = 3) -> None:
        self.now, self._ordered = EPOCH, 0
        self.wire = Wire()
        self.cloud = Cloud(self.wire, lambda: self.now)
        self.cluster = Cluster(self.wire)
        self.chef = ChefServer(self.wire)
        self.cloud.died = self.cluster.lose
        self.lines: list[Line] = []
        self.cluster.join(HUB, "manager")
        self.chef.keys.add(HUB)
        self.chef.converge(HUB, "hub")
        self.ids = [self.add() for _ in range(count)]
        self.restart()

    def add(self, joined: bool = True) -> str:
        """Order a worker; unless told otherwise it is ready at once."""
        self._ordered += 1
        name = f"i-{self._ordered:016x}"
        state = State.RUNNING if joined else State.PENDING
        self.cloud.machines[name] = Worker(name, state, self.now)
        self.chef.keys.add(name)
        if joined:
            self.cluster.join(name)
            self.chef.converge(name)
        return name

    def seat(self, user: str, instance_id: str) -> None:
        """Start a student's server on a worker."""
        self.cluster.place[user] = f"member-{instance_id}"

    def restart(self) -> None:
        """Start the controller, which remembers nothing."""
        swarm = cast(SwarmManager, self.cluster)
        self.observer = Observer(self.cloud, swarm, cast(HubService, NoHub()), self._away)
        sweeper = Sweeper(self.chef, "local", self._away)
        self.reaper = Reaper(self.cloud, swarm, self.chef, sweeper, "local", self._log)

    def turn(self, seconds: float = 1.0) -> None:
        """Let time pass, and the controller turn once; one that is killed is started again."""
        self.now += seconds
        self.cloud.tick()
        self.cluster.settle()
        try:
            if not {"fleet", "fleet.receive"} & self.wire.failing:
                self.reaper.take(self.cloud.receive(0))
            self.observer.look(self.now)
            if self.observer.world.complete:
                self.reaper.turn(self.observer.world, self.now)
        except Killed:
            self.restart()
        self.cluster.settle()

    def run(self, seconds: float, step: float = 1.0) -> None:
        """Turn again and again."""
        end = self.now + seconds
        while self.now < end:
            self.turn(step)

    def until(self, met: Callable[[], object], seconds: float) -> float:
        """Turn until something is so; return how long it took."""
        began = self.now
        while not met():
            assert self.now - began < seconds, [vars(line) for line in self.lines[-8:]]
            self.turn()
        return self.now - began

    def forgotten(self, instance_id: str) -> bool:
        """Say whether neither Swarm nor Chef server knows a machine any more."""
        hosts = {node.hostname for node in self.cluster.members.values()}
        return instance_id not in hosts | self.chef.keys | set(self.chef.policies)

    def where(self, user: str) -> str:
        """Return the machine that a student's server is on."""
        node = self.cluster.members.get(self.cluster.place[user])
        return node.hostname if node else ""

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return what the log says of an event."""
        return [line.fields for line in self.lines if line.event == event]

    def _log(self, event: str, at: float, **fields: Any) -> None:
        self.lines.append(Line(event, at, fields))

    def _away(self, what: str, error: Exception) -> None:
        self._log("unread", self.now, source=what, reason=str(error))


def _event(source: str, kind: str, at: float, detail: Mapping[str, str]) -> str:
    moment = datetime.fromtimestamp(at, UTC).isoformat()
    return json.dumps({"source": source, "detail-type": kind, "time": moment, "detail": detail})


def state_change(instance_id: str, at: float, state: str = "terminated") -> str:
    """Return the message that an instance has changed its state."""
    detail = {"instance-id": instance_id, "state": state}
    return _event("aws.ec2", "EC2 Instance State-change Notification", at, detail)


def spot(instance_id: str, at: float) -> str:
    """Return a notice of the spot market."""
    detail = {"instance-id": instance_id, "instance-action": "terminate"}
    return _event("aws.ec2", "EC2 Spot Instance Interruption Warning", at, detail)


def rebalance(instance_id: str, at: float) -> str:
    """Return the advice to leave a worker."""
    detail = {"instance-id": instance_id}
    return _event("aws.ec2", "EC2 Instance Rebalance Recommendation", at, detail)


def replaced(instance_id: str, at: float) -> str:
    """Return the message that the group replaces a worker."""
    detail = {"EC2InstanceId": instance_id, "AutoScalingGroupName": "workers"}
    return _event("aws.autoscaling", "EC2 Instance Terminate Successful", at, detail)


def termination(hook: Hook, at: float) -> str:
    """Return the message of a lifecycle hook."""
    detail = {
        "LifecycleActionToken": hook.token,
        "AutoScalingGroupName": hook.group,
        "LifecycleHookName": hook.name,
        "EC2InstanceId": hook.instance_id,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
    }
    return _event("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", at, detail)
