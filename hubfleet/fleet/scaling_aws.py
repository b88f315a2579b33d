"""Workers of Auto Scaling groups, one for each pool, and the queue of what happens to them.

Only instances that are in one of our groups and carry our tag are ours; nothing is done to any
other, whatever a message says. Times are POSIX seconds.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hubfleet.clients.aws_fleet import AwsFleet, AwsRefusal
from hubfleet.errors import CommandError
from hubfleet.fleet.aws_names import AwsNames
from hubfleet.fleet.scaling import Failure, Hook, Message, ScalingFleet, Worker
from hubfleet.fleet.scaling_aws_queue import AwsQueue
from hubfleet.fleet.scaling_aws_read import AwsReader
from hubfleet.fleet.scaling_aws_view import (
    Group,
    Member,
    unfilled,
    worker_of,
)

HOUR_S = 3600.0

BUSY = frozenset({"ScalingActivityInProgress", "ResourceContention"})
BUSY_WAITS_S = (1.0, 2.0, 4.0)
"""A group that is busy is asked again after so long; the next turn of the controller goes on."""

SEEN_WAITS_S = (0.0, 0.5, 1.0)
"""A new desired capacity shows in the group's description at once, or a moment later."""

INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")

OVER = frozenset({"ValidationError"})
"""What Auto Scaling says of a hook that is over, or that never was: `No active Lifecycle Action
found`."""


class AwsScaling(ScalingFleet):
    """The workers of one environment in one region."""

    def __init__(
        self,
        aws: AwsFleet,
        names: AwsNames,
        pools: Sequence[str],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._aws, self._names, self._clock, self._sleep = aws, names, clock, sleep
        self._read = AwsReader(aws, names, pools)
        self._groups, self._pools = self._read.names, self._read.pools
        self._began = clock()
        self._first_seen: dict[str, float] = {}
        self._running_at: dict[str, float] = {}
        self._known: dict[str, int] = {}
        """By pool, the workers that the last look showed and that stay, and those ordered since."""
        self._ordered_at: dict[str, float] = {}
        self._lock = threading.Lock()
        """Held while the desired capacity changes: it is set to a number, not raised by one."""
        self._queue = AwsQueue(aws, names)

    def workers(self) -> Sequence[Worker]:
        """Return the living workers, those being ended among them, in the order of their launch."""
        members = {m.id: m for group in self._read.groups().values() for m in group.members}
        for seen in (self._first_seen, self._running_at):
            for gone in set(seen) - set(members):
                seen.pop(gone, None)
        machines = self._read.machines(list(members))
        look = [self._worker(member, machines.get(i)) for i, member in members.items()]
        found = [worker for worker in look if worker is not None]
        staying = Counter(worker.pool for worker in found if not worker.leaving)
        self._known = {pool: staying[pool] for pool in self._groups}
        return sorted(found, key=lambda worker: worker.launched_at)

    def launch(self, count: int, pool: str) -> None:
        """Set the desired capacity to what the last look showed and `count` more.

        What was ordered before and has not come is no part of that: the caller, who did not see it
        either, orders it again or has no more need of it. An order thus never adds up, whether its
        instances are still on their way or were tried in vain; `failures` tells the latter later.
        """
        if count < 1:
            raise CommandError(f"{count} workers cannot be ordered")
        if pool not in self._groups:
            raise CommandError(
                f"there is no pool {pool!r}", f"autoscaler.pools.order names {list(self._groups)}"
            )
        with self._lock:
            if not self._known:
                self.workers()
            groups, target = self._read.groups(), self._known[pool] + count
            group = groups[pool]
            _require_room(group, target, count)
            # What is there stays, also what has come since the last look.
            floor = group.present if group.shrinks_safely else group.desired
            for other in set(groups) - {pool}:
                self._take_back(other, groups[other])
            self._known[pool], self._ordered_at[pool] = target, self._clock()
            self._set(group, max(target, floor))

    def failures(self) -> Sequence[Failure]:
        """Return the orders of the last hour that were not filled, the oldest first."""
        since = self._clock() - HOUR_S
        found = [each for pool in self._groups for each in self._read.failures(pool, since)]
        return sorted(found, key=lambda failure: failure.at)

    def protect(self, instance_id: str) -> None:
        """Have the group never end this worker when it shrinks."""
        found = self._look(instance_id)
        if found is None:
            raise CommandError(f"there is no worker {instance_id[:40]!r} to protect")
        if not found[1].protected:
            self._patiently(
                "set_instance_protection",
                AutoScalingGroupName=found[0].group,
                InstanceIds=[instance_id],
                ProtectedFromScaleIn=True,
            )

    def terminate(self, instance_id: str) -> None:
        """End exactly this worker; its group shrinks by one, so that no other replaces it.

        A group at its minimum cannot shrink: there the minimum holds, and AWS starts another.
        """
        with self._lock:
            found = self._look(instance_id)
            if found is None or found[0].ending:
                return
            end = "terminate_instance_in_auto_scaling_group"
            if not found[1].leaving and self._known.get(found[1].pool):
                self._known[found[1].pool] -= 1
            try:
                self._patiently(end, InstanceId=instance_id, ShouldDecrementDesiredCapacity=True)
            except AwsRefusal as error:
                if error.code != "ValidationError":
                    raise
                if "min size" in error.text.lower():
                    self._patiently(
                        end, InstanceId=instance_id, ShouldDecrementDesiredCapacity=False
                    )
                elif self._look(instance_id) is not None:
                    raise

    def standing(self, instance_id: str) -> Worker | None:
        """Return what AWS says of a worker now, None where it is gone or not ours."""
        found = self._look(instance_id)
        return found[1] if found else None

    def receive(self, wait_s: int) -> Sequence[Message]:
        """Return the messages that are there, or come within `wait_s` seconds; at most ten."""
        return self._queue.receive(wait_s)

    def acknowledge(self, message: Message) -> None:
        """Delete a message from the queue; one that is deleted already is no error."""
        self._queue.acknowledge(message)

    def hide(self, message: Message, seconds: int) -> None:
        """Have a message come again only after so many seconds."""
        self._queue.hide(message, seconds)

    def heartbeat(self, hook: Hook) -> None:
        """Have the group wait on; a hook that is over is no error."""
        self._hook("record_lifecycle_action_heartbeat", hook)

    def complete(self, hook: Hook) -> None:
        """Let the termination go on; a hook that is over is no error."""
        self._hook("complete_lifecycle_action", hook, LifecycleActionResult="CONTINUE")

    def _look(self, instance_id: str) -> tuple[Member, Worker] | None:
        """Return a worker with what its group says of it, None where it is gone or not ours."""
        if not INSTANCE_ID.fullmatch(instance_id):
            return None
        member = self._read.member(instance_id)
        if member is None:
            return None
        worker = self._worker(member, self._read.machines([instance_id]).get(instance_id))
        return (member, worker) if worker else None

    def _worker(self, member: Member, machine: Mapping[str, Any] | None) -> Worker | None:
        first_seen = self._first_seen.setdefault(member.id, self._clock())
        pool, environment = self._pools[member.group], self._names.environment
        return worker_of(member, machine, pool, environment, first_seen, self._ran)

    def _ran(self, instance_id: str, launched_at: float) -> float | None:
        """Return when an instance was first seen to run: AWS does not tell.

        Of those that were launched before this process began it is not known.
        """
        if launched_at >= self._began - 1:  # launches are told in whole seconds
            self._running_at.setdefault(instance_id, self._clock())
        return self._running_at.get(instance_id)

    def _take_back(self, pool: str, group: Group) -> None:
        """Forgo what a group has tried in vain: another pool gets the order in its place."""
        if group.missing and group.shrinks_safely:
            failures = self._read.failures(pool, self._clock() - HOUR_S)
            rest = unfilled(group, failures, self._ordered_at.get(pool, 0.0))
            self._set(group, max(group.least, group.desired - rest))

    def _set(self, group: Group, desired: int) -> None:
        """Set a desired capacity and see that it holds; CommandError where another changed it."""
        if desired == group.desired:
            return
        self._patiently(
            "set_desired_capacity",
            AutoScalingGroupName=group.name,
            DesiredCapacity=desired,
            HonorCooldown=False,
        )
        shown = group.desired
        for wait in SEEN_WAITS_S:
            self._sleep(wait)
            shown = self._read.groups()[self._pools[group.name]].desired
            if shown == desired:
                return
        raise CommandError(
            f"{group.name} was set to {desired} workers and shows {shown}",
            "only the controller may change the desired capacity; look for what else does",
        )

    def _patiently(self, operation: str, **parameters: Any) -> None:
        """Make a call of Auto Scaling; a group that is busy is asked again."""
        for wait in (*BUSY_WAITS_S, None):
            try:
                self._aws.call("autoscaling", operation, **parameters)
                return
            except AwsRefusal as error:
                if wait is None or error.code not in BUSY:
                    raise
                self._sleep(wait)

    def _hook(self, operation: str, hook: Hook, **parameters: Any) -> None:
        if hook.group not in self._pools or not INSTANCE_ID.fullmatch(hook.instance_id):
            return
        try:
            self._patiently(
                operation,
                AutoScalingGroupName=hook.group,
                LifecycleHookName=hook.name,
                LifecycleActionToken=hook.token,
                InstanceId=hook.instance_id,
                **parameters,
            )
        except AwsRefusal as error:
            if error.code not in OVER:
                raise


def _require_room(group: Group, target: int, count: int) -> None:
    """Raise CommandError where a group would not bring what it is set to."""
    if "Launch" in group.suspended:
        raise CommandError(
            f"launches are suspended in the Auto Scaling group {group.name}",
            "run: aws autoscaling resume-processes --scaling-processes Launch "
            f"--auto-scaling-group-name {group.name}",
        )
    if target > group.most:
        raise CommandError(
            f"{count} more workers would exceed {group.most} in {group.name}",
            "fleet.workers.max is the limit; a change of it needs ./invoke deploy",
        )
