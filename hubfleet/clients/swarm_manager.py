"""The Swarm's manager, through its engine's socket: nodes, students' servers, and their tasks.

Times are POSIX seconds. Every function raises CommandError where the engine refuses, and
PreconditionError where it does not answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import docker
from docker.errors import APIError

from hubfleet.clients.docker import refusals

USER_LABEL = "hubfleet.user"
"""Label of the services that are students' servers; its value is the student's name."""

SEAT = "seat"
"""Kind of the generic resource of which a worker has a number, and a server takes one."""

PAUSED_BY = "hubfleet.paused-by"
"""Label of a paused node; CONTROLLER where it may open it again, and end it when it is empty."""

CONTROLLER = "controller"

DRAIN = "hubfleet.drain"
"""Label of a node that an administrator wants emptied; the value is the reason."""

GONE = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
"""States of a task that holds no seat any more."""

WANTED = frozenset({"ready", "running"})
"""What the Swarm wants of a task that is to run."""

TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class SwarmNode:
    """A member of the Swarm. `hostname` is the instance id."""

    id: str
    hostname: str
    role: str
    state: str
    """`ready`, `down`, `disconnected` or `unknown`."""
    availability: str
    """`active`, `pause` or `drain`."""
    seats: int
    labels: Mapping[str, str] = field(default_factory=dict)
    """Those that the manager has given it."""

    @property
    def ours(self) -> bool:
        """Say whether it was the controller that paused it."""
        return self.labels.get(PAUSED_BY) == CONTROLLER

    @property
    def drained(self) -> bool:
        """Say whether an administrator wants it emptied and replaced."""
        return DRAIN in self.labels


@dataclass(frozen=True, slots=True)
class SwarmTask:
    """One task of a student's server. `node_id` is empty while it waits for room."""

    id: str
    service_id: str
    user: str
    node_id: str
    state: str
    desired: str
    error: str
    created_at: float

    @property
    def holds(self) -> bool:
        """Say whether it has a seat: it is on a node and has not ended there."""
        return bool(self.node_id) and self.state not in GONE

    @property
    def stays(self) -> bool:
        """Say whether it has a seat and is not told to end there, as on a node that is drained."""
        return self.holds and self.desired in WANTED

    @property
    def waits(self) -> bool:
        """Say whether it is wanted and no node has room for it."""
        return not self.node_id and self.state not in GONE and self.desired in WANTED


@dataclass(frozen=True, slots=True)
class SwarmService:
    """A student's server."""

    id: str
    name: str
    user: str
    created_at: float
    pinned: bool = False
    """Its only place is the worker that the hub has named."""


class SwarmManager:
    """The manager at `url`, or the one that DOCKER_HOST names."""

    def __init__(self, url: str | None = None) -> None:
        with refusals("be reached"):
            self._api: Any = (
                docker.APIClient(base_url=url, version="auto", timeout=TIMEOUT_S)
                if url
                else docker.from_env(version="auto", timeout=TIMEOUT_S).api
            )

    def nodes(self) -> list[SwarmNode]:
        """Return the members of the Swarm, managers among them, that have said who they are."""
        with refusals("list the Swarm's nodes"):
            found = self._api.nodes()
        # A node that is just joining has not described itself yet.
        return [read_node(each) for each in found if each["Description"].get("Hostname")]

    def tasks(self) -> list[SwarmTask]:
        """Return all tasks of students' servers that the manager remembers."""
        with refusals("list tasks"):
            found = self._api.tasks(filters={"label": USER_LABEL})
        return [read_task(each) for each in found]

    def services(self) -> list[SwarmService]:
        """Return the students' servers."""
        with refusals("list services"):
            found = self._api.services(filters={"label": USER_LABEL})
        return [read_service(each) for each in found]

    def set_availability(self, node_id: str, availability: str) -> None:
        """Set a node's availability (`active`, `pause`, `drain`); one that is gone is no error.

        What this pauses is labelled as the controller's own.
        """
        with refusals(f"set node {node_id} to {availability}"):
            try:
                found = self._api.inspect_node(node_id)
                if found["Spec"]["Availability"] == availability:
                    return
                labels = dict(found["Spec"].get("Labels") or {})
                labels.pop(PAUSED_BY, None)
                if availability != "active":
                    labels[PAUSED_BY] = CONTROLLER
                spec = {**found["Spec"], "Availability": availability, "Labels": labels}
                self._api.update_node(node_id, found["Version"]["Index"], spec)
            except APIError as error:
                if error.status_code != 404:
                    raise

    def mark_for_drain(self, node_id: str, why: str) -> None:
        """Have a node emptied and replaced as its servers end; one that is gone is no error."""
        with refusals(f"mark node {node_id}"):
            try:
                found = self._api.inspect_node(node_id)
                labels = {**(found["Spec"].get("Labels") or {}), DRAIN: why}
                spec = {**found["Spec"], "Labels": labels}
                self._api.update_node(node_id, found["Version"]["Index"], spec)
            except APIError as error:
                if error.status_code != 404:
                    raise

    def remove_node(self, node_id: str) -> None:
        """Take a node out of the Swarm though it may still run; one that is gone is no error."""
        with refusals(f"remove node {node_id}"):
            try:
                self._api.remove_node(node_id, force=True)
            except APIError as error:
                if error.status_code != 404:
                    raise

    def unpin(self, service_id: str) -> None:
        """Let a server run on any worker; it stays where it is. One that is gone is no error.

        The Swarm starts no task anew whose node still fits changed constraints (swarmkit,
        orchestrator.IsTaskDirty).
        """
        with refusals(f"unpin service {service_id}"):
            try:
                found = self._api.inspect_service(service_id)
                spec = found["Spec"]
                left = [each for each in _constraints(spec) if not _pins(each)]
                if left == _constraints(spec):
                    return
                template = {**spec["TaskTemplate"]}
                template["Placement"] = {**template["Placement"], "Constraints": left}
                self._api.update_service(
                    service_id,
                    found["Version"]["Index"],
                    task_template=template,
                    name=spec["Name"],
                    labels=spec.get("Labels"),
                    mode=spec.get("Mode"),
                    endpoint_spec=spec.get("EndpointSpec"),
                )
            except APIError as error:
                if error.status_code != 404:
                    raise

    def remove_service(self, service_id: str) -> None:
        """End a student's server; one that is gone is no error."""
        with refusals(f"remove service {service_id}"):
            try:
                self._api.remove_service(service_id)
            except APIError as error:
                if error.status_code != 404:
                    raise

    def events(self) -> Iterator[None]:
        """Yield whenever nodes or services of the Swarm change, until the connection ends."""
        with refusals("listen to its events"):
            stream = self._api.events(decode=True, filters={"type": ["node", "service"]})
            for _ in stream:
                yield


def _constraints(spec: Mapping[str, Any]) -> list[str]:
    return (spec["TaskTemplate"].get("Placement") or {}).get("Constraints") or []


def _pins(constraint: str) -> bool:
    return constraint.startswith("node.hostname==")


def read_node(found: Mapping[str, Any]) -> SwarmNode:
    """Return the node that the engine's JSON object describes."""
    generic = found["Description"].get("Resources", {}).get("GenericResources") or []
    discrete = [each.get("DiscreteResourceSpec") or {} for each in generic]
    return SwarmNode(
        id=found["ID"],
        hostname=found["Description"]["Hostname"],
        role=found["Spec"]["Role"],
        state=found["Status"]["State"],
        availability=found["Spec"]["Availability"],
        seats=sum(int(each["Value"]) for each in discrete if each.get("Kind") == SEAT),
        labels=found["Spec"].get("Labels") or {},
    )


def read_task(found: Mapping[str, Any]) -> SwarmTask:
    """Return the task that the engine's JSON object describes."""
    labels = found["Spec"].get("ContainerSpec", {}).get("Labels") or {}
    return SwarmTask(
        id=found["ID"],
        service_id=found["ServiceID"],
        user=labels.get(USER_LABEL, ""),
        node_id=found.get("NodeID", ""),
        state=found["Status"]["State"],
        desired=found["DesiredState"],
        error=found["Status"].get("Err", ""),
        created_at=_seconds(found["CreatedAt"]),
    )


def read_service(found: Mapping[str, Any]) -> SwarmService:
    """Return the student's server that the engine's JSON object describes."""
    labels = found["Spec"].get("Labels") or {}
    return SwarmService(
        id=found["ID"],
        name=found["Spec"]["Name"],
        user=labels.get(USER_LABEL, ""),
        created_at=_seconds(found["CreatedAt"]),
        pinned=any(_pins(each) for each in _constraints(found["Spec"])),
    )


def _seconds(moment: str) -> float:
    """Read the engine's RFC 3339 times; their nanoseconds are more than datetime reads."""
    whole, _, rest = moment.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")
