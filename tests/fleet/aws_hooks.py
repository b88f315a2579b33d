"""What moto's Auto Scaling lacks: hooks that wait, heartbeats, and pools without capacity.

It behaves as the Auto Scaling user guide tells ("lifecycle hooks", "troubleshoot launch failures"):
a termination waits in Terminating:Wait until it is completed, until a heartbeat's time-out, or
until the hook's limit; a launch behind a hook is Pending:Wait until the machine itself answers; a
group tries on to reach its desired capacity. Time passes at each look.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import (
    AutoScalingBackend,
    FakeAutoScalingGroup,
    TerminateInstanceActivity,
)
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from hubfleet.fleet.scaling import Hook
from hubfleet.fleet.service import messages

HOOK = "emptied"
FEW = "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity"

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"

terminate = AutoScalingBackend.terminate_instance
active = FakeAutoScalingGroup.active_instances
set_desired = FakeAutoScalingGroup.set_desired_capacity
describe_groups = AutoScalingBackend.describe_auto_scaling_groups
describe_instances = AutoScalingBackend.describe_auto_scaling_instances


@dataclass
class Wait:
    """A termination that waits."""

    hook: Hook
    until: float
    most: float


class Account:
    """The hooks and the capacity of an account, beside moto's groups."""

    def __init__(self, beat_s: float, most_s: float, send: Callable[[str], None]) -> None:
        self.beat_s, self.most_s, self.send = beat_s, most_s, send
        self.waits: dict[str, Wait] = {}
        self.dry_until: dict[str, float] = {}
        self.activities: list[dict[str, Any]] = []
        self.answers: list[tuple[str, str]] = []
        """Instance and result of each answer to a launch hook."""
        self.ran_out: set[str] = set()
        """Instances whose termination nobody completed in time."""

    def end(self, backend: AutoScalingBackend, instance_id: str, shrink: bool) -> Any:
        """Begin a termination."""
        (state,) = describe_instances(backend, [instance_id])
        group, now = state.auto_scaling_group, time.time()
        state.lifecycle_state = "Terminating:Wait"
        if shrink:
            group.desired_capacity -= 1
        hook = Hook(group.name, HOOK, str(uuid.uuid4()), instance_id)
        self.waits[instance_id] = Wait(hook, now + self.beat_s, now + self.most_s)
        self.send(messages.lifecycle(hook, now))
        return TerminateInstanceActivity(state.instance, group.desired_capacity)

    def pass_time(self, backend: AutoScalingBackend) -> None:
        """End what has waited long enough, and launch what is missing."""
        now = time.time()
        for instance_id, wait in list(self.waits.items()):
            if now >= min(wait.until, wait.most):
                self.ran_out.add(instance_id)
                self.finish(backend, instance_id)
        for name, until in list(self.dry_until.items()):
            if now >= until:
                del self.dry_until[name]
                group = backend.autoscaling_groups[name]
                group.set_desired_capacity(group.desired_capacity)

    def finish(self, backend: AutoScalingBackend, instance_id: str) -> None:
        """End a machine, and say so."""
        del self.waits[instance_id]
        terminate(backend, instance_id, False)
        self.send(messages.terminated(instance_id, time.time()))

    def waiting(self, response: AutoScalingResponse) -> Wait:
        """Return the wait that a call about a hook means; ValidationError where there is none."""
        self.pass_time(response.autoscaling_backend)
        named = {
            key: response._get_param(key)
            for key in ("AutoScalingGroupName", "LifecycleHookName", "LifecycleActionToken")
        }
        instance_id = response._get_param("InstanceId")
        wait = self.waits.get(instance_id)
        if wait and list(named.values()) == [wait.hook.group, wait.hook.name, wait.hook.token]:
            return wait
        raise ValidationError(f"No active Lifecycle Action found with instance ID {instance_id}")

    def launch(self, group: FakeAutoScalingGroup, desired: int | None) -> None:
        """Launch what is missing, if there is capacity."""
        if group.name not in self.dry_until or (desired or 0) <= len(group.active_instances()):
            before = {state.instance.id for state in group.instance_states}
            set_desired(group, desired)
            if self.launch_hooks(group):
                for state in group.instance_states:
                    if state.instance.id not in before:
                        state.lifecycle_state = "Pending:Wait"
            return
        group.desired_capacity, now = desired, datetime.now(UTC)
        failed = {"StatusCode": "Failed", "StatusMessage": FEW, "Cause": "a change"}
        what = {"AutoScalingGroupName": group.name, "Description": "Launching a new EC2 instance"}
        when = {"ActivityId": str(uuid.uuid4()), "StartTime": now, "EndTime": now}
        self.activities.insert(0, {**failed, **what, **when})

    def launch_hooks(self, group: FakeAutoScalingGroup) -> set[str]:
        """Return the names of a group's hooks of launches."""
        hooks = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
        return {hook.name for hook in hooks if hook.lifecycle_transition == LAUNCHING}

    def joined(self, response: AutoScalingResponse) -> bool:
        """Take a machine's answer to its launch hook; say whether it was one."""
        backend, instance_id = response.autoscaling_backend, response._get_param("InstanceId")
        for state in describe_instances(backend, [instance_id]):
            group = state.auto_scaling_group
            hook = response._get_param("LifecycleHookName")
            if state.lifecycle_state == "Pending:Wait" and hook in self.launch_hooks(group):
                result = response._get_param("LifecycleActionResult")
                self.answers.append((instance_id, result))
                state.lifecycle_state = "InService"
                if result != "CONTINUE":
                    terminate(backend, instance_id, False)
                return True
        return False

    def forget(self) -> None:
        """Take all faults back; what waits stays with moto's own end."""
        self.waits.clear()
        self.dry_until.clear()


@contextmanager
def like_aws(account: Account) -> Iterator[None]:
    """Have moto's Auto Scaling behave as `account` says."""

    def groups(backend: AutoScalingBackend, *words: Any, **named: Any) -> Any:
        account.pass_time(backend)
        return describe_groups(backend, *words, **named)

    def instances(backend: AutoScalingBackend, *words: Any, **named: Any) -> Any:
        account.pass_time(backend)
        return describe_instances(backend, *words, **named)

    def beat(response: AutoScalingResponse) -> EmptyResult:
        account.waiting(response).until = time.time() + account.beat_s
        return EmptyResult()

    def complete(response: AutoScalingResponse) -> EmptyResult:
        if account.joined(response):
            return EmptyResult()
        account.finish(response.autoscaling_backend, account.waiting(response).hook.instance_id)
        return EmptyResult()

    def members(group: FakeAutoScalingGroup) -> list[Any]:
        # Those behind a launch hook fill the desired capacity as well.
        waiting = [s for s in group.instance_states if s.lifecycle_state == "Pending:Wait"]
        return [*active(group), *waiting]

    def activities(response: AutoScalingResponse) -> ActionResult:
        name = response._get_param("AutoScalingGroupName")
        found = [a for a in account.activities if a["AutoScalingGroupName"] == name]
        return ActionResult({"Activities": found})

    changes: dict[type, dict[str, Any]] = {
        AutoScalingBackend: {
            "terminate_instance": account.end,
            "describe_auto_scaling_groups": groups,
            "describe_auto_scaling_instances": instances,
        },
        AutoScalingResponse: {
            "record_lifecycle_action_heartbeat": beat,
            "complete_lifecycle_action": complete,
            "describe_scaling_activities": activities,
        },
        FakeAutoScalingGroup: {
            "set_desired_capacity": account.launch,
            "active_instances": members,
        },
    }
    with ExitStack() as stack:
        for kind, methods in changes.items():
            for name, method in methods.items():
                # A bound method is no descriptor: the instance would not be handed to it.
                function = lambda self, *a, _m=method, **k: _m(self, *a, **k)  # noqa: E731
                stack.enter_context(mock.patch.object(kind, name, function, create=True))
        yield
