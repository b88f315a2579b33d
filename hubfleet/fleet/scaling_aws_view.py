"""What AWS says of groups and instances, as the controller's types; pure. Times are POSIX seconds.

Keys and states: Auto Scaling API reference (AutoScalingGroup, Instance, Activity) and EC2 API
reference (Instance). What is read of them is checked where it enters our types.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubfleet.errors import CommandError
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Failure, Worker

STATES = {"pending": State.PENDING, "running": State.RUNNING}
"""All others are on their way to stopped or terminated, or there."""

UNFILLED = frozenset({"Failed", "Cancelled"})

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One instance as its group knows it."""

    id: str
    group: str
    lifecycle: str
    healthy: bool
    protected: bool

    @property
    def ending(self) -> bool:
        """Say whether its termination has begun, or waits for a hook."""
        return self.lifecycle.startswith("Terminat")

    @property
    def counts(self) -> bool:
        """Say whether it fills a part of the desired capacity."""
        return self.lifecycle == "InService" or self.lifecycle.startswith("Pending")


@dataclass(frozen=True, slots=True)
class Group:
    """An Auto Scaling group."""

    name: str
    least: int
    most: int
    desired: int
    members: tuple[Member, ...]
    suspended: frozenset[str]
    shrinks_safely: bool
    """All members are protected from scale-in, those to come as well: a lower desired capacity ends
    none of them."""

    @property
    def present(self) -> int:
        """Return how many instances fill a part of the desired capacity."""
        return sum(member.counts for member in self.members)

    @property
    def missing(self) -> int:
        """Return how many instances of the desired capacity are not there."""
        return max(0, self.desired - self.present)


def member_of(document: Document, group: str) -> Member:
    """Return an instance of a group."""
    return Member(
        id=str(document["InstanceId"]),
        group=group,
        lifecycle=str(document["LifecycleState"]),
        healthy=str(document["HealthStatus"]).upper() == "HEALTHY",
        protected=bool(document.get("ProtectedFromScaleIn")),
    )


def group_of(document: Document, environment: str) -> Group:
    """Return a group; CommandError where it belongs to something else than this environment."""
    name = str(document["AutoScalingGroupName"])
    if tag_of(document) != environment:
        raise CommandError(
            f"the Auto Scaling group {name} has no tag {DEPLOYMENT_TAG}={environment}",
            "it is not this deployment's, or was changed by hand: ./invoke deploy tags it",
        )
    members = tuple(member_of(each, name) for each in document["Instances"])
    protects = bool(document.get("NewInstancesProtectedFromScaleIn"))
    return Group(
        name=name,
        least=int(document["MinSize"]),
        most=int(document["MaxSize"]),
        desired=int(document["DesiredCapacity"]),
        members=members,
        suspended=frozenset(p["ProcessName"] for p in document.get("SuspendedProcesses", ())),
        shrinks_safely=protects and all(member.protected for member in members),
    )


def tag_of(document: Document) -> str:
    """Return the deployment that a group or an instance is tagged with, empty where none."""
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in document.get("Tags", ())}
    return tags.get(DEPLOYMENT_TAG, "")


def worker_of(
    member: Member,
    machine: Document | None,
    pool: str,
    environment: str,
    first_seen: float,
    running_at: Callable[[str, float], float | None],
) -> Worker | None:
    """Return a worker; None where it is gone, or where its tag says that it is none of ours.

    EC2's listing lags behind the group's: `machine` is None for an instance that has just been
    ordered, then `first_seen` stands for its launch. `running_at` tells when the instance of that
    id, launched then, was first seen to run.
    """
    if machine is None:
        if member.ending:
            return None
        return Worker(member.id, State.PENDING, first_seen, pool=pool, protected=member.protected)
    name = str(machine["State"]["Name"])
    if name == "terminated" or tag_of(machine) != environment:
        return None
    launched_at = float(machine["LaunchTime"].timestamp())
    return Worker(
        id=member.id,
        state=STATES.get(name, State.STOPPED),
        launched_at=launched_at,
        running_at=running_at(member.id, launched_at) if name != "pending" else None,
        address=str(machine.get("PrivateIpAddress") or ""),
        pool=pool,
        protected=member.protected,
        leaving=member.ending or not member.healthy or name == "shutting-down",
    )


def failures_of(activities: Iterable[Document], pool: str, since: float) -> list[Failure]:
    """Return the orders that were not filled, the oldest first.

    `activities` come as AWS lists them, the latest first; they are read up to `since`.
    """
    found: list[Failure] = []
    for activity in activities:
        begun = float(activity["StartTime"].timestamp())
        if begun < since:
            break
        what = str(activity.get("Description", ""))
        if activity["StatusCode"] not in UNFILLED or what.startswith("Terminating"):
            continue
        ended = activity.get("EndTime")
        reason = " ".join(str(activity.get("StatusMessage") or what or "no reason given").split())
        found.append(Failure(pool, float(ended.timestamp()) if ended else begun, reason[:300]))
    return sorted(found, key=lambda failure: failure.at)


def unfilled(group: Group, failures: Sequence[Failure], ordered_at: float) -> int:
    """Return how much of the desired capacity the group has tried in vain since the last order.

    AWS goes on trying, and would bring the workers at any later time, beside those that another
    pool has brought instead.
    """
    return group.missing if any(failure.at >= ordered_at for failure in failures) else 0
