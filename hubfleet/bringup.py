"""From containers to nodes that have converged: launching, waiting, replacing what failed."""

import json
import re
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from hubfleet.console import Console
from hubfleet.errors import ConvergeError, HubfleetError
from hubfleet.fleet.base import Fleet, Instance, Role, State
from hubfleet.state import Deployment, write_private

MARK = "HUBFLEET-BOOTSTRAP "
"""What the last line of a bootstrap begins with; JSON follows."""

POLL_S = 1.0
BOOTSTRAP_TIMEOUT_S = 900
"""A first converge that takes longer has failed: it is several times what slow machines need."""

REASONS = {
    "tls": "the Chef server's certificate is not from this deployment's authority",
    "key": "the Chef server refused the bootstrap key",
    "clock": "the node's clock differs too much from the Chef server's",
    "unreachable": "the Chef server did not answer",
    "policy": "its policy is not on the Chef server",
    "converge": "chef-client failed",
    "identity": "its identity is incomplete",
}


RETRY = re.compile(r"hubfleet-bootstrap: (converge: .+); trying again in \d+ s")
"""A converge that failed and is tried again; the first group says why."""


class Health(StrEnum):
    """What a machine's state and console together say."""

    OK = "ok"
    BUSY = "busy"
    FAILED = "failed"
    STOPPED = "stopped"
    HALF_MADE = "half-made"
    REVOKED = "revoked"
    """Came up, but the Chef server does not know its client any more."""


@dataclass(frozen=True)
class Outcome:
    """How a bootstrap ended."""

    ok: bool
    reason: str
    detail: str
    resource: str
    seconds: float


def read_outcome(console_output: str) -> Outcome | None:
    """Return the outcome that a console shows last, or None where there is none yet."""
    for line in reversed(console_output.splitlines()):
        _, mark, document = line.partition(MARK)
        if not mark:
            continue
        try:
            found: dict[str, Any] = json.loads(document)
        except ValueError:
            continue  # a line that is still being written
        return Outcome(
            ok=found.get("status") == "ok",
            reason=str(found.get("reason") or ""),
            detail=str(found.get("detail") or ""),
            resource=str(found.get("resource") or ""),
            seconds=float(found.get("seconds") or 0),
        )
    return None


def health(fleet: Fleet, instance: Instance) -> Health:
    """Return how a machine is."""
    if instance.state is State.PENDING:
        return Health.HALF_MADE
    if instance.state is State.STOPPED:
        return Health.STOPPED
    outcome = read_outcome(fleet.console_output(instance.id))
    if outcome is None:
        return Health.BUSY
    return Health.OK if outcome.ok else Health.FAILED


def without_revoked(
    found: Sequence[tuple[Instance, Health]], clients: Container[str]
) -> list[tuple[Instance, Health]]:
    """Return the machines with those marked whose client the Chef server has lost; pure.

    A server that knows none of them is a new one, and says nothing about a single machine.
    """
    if not any(state is Health.OK and instance.id in clients for instance, state in found):
        return list(found)
    return [
        (instance, Health.REVOKED)
        if state is Health.OK and instance.id not in clients
        else (instance, state)
        for instance, state in found
    ]


def failure(instance: Instance, outcome: Outcome, log: Path) -> ConvergeError:
    """Return the error for a failed bootstrap: which node, which resource, why, and the log."""
    why = REASONS.get(outcome.reason, outcome.reason or "it did not say why")
    resource = f" at {outcome.resource}" if outcome.resource else ""
    detail = f": {outcome.detail}" if outcome.detail else ""
    return ConvergeError(
        f"{instance.role} {instance.id} did not converge{resource}: {why}{detail}",
        f"read {log}; deploy again replaces the machine",
    )


@dataclass(frozen=True)
class Waiter:
    """Waits for bootstraps, and keeps what the machines' consoles said."""

    deployment: Deployment
    fleet: Fleet
    console: Console
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait(self, instances: Sequence[Instance], timeout: float = BOOTSTRAP_TIMEOUT_S) -> None:
        """Wait until all have bootstrapped; raise ConvergeError for the first that did not."""
        deadline = self.clock() + timeout
        waiting = list(instances)
        said: set[str] = set()
        while waiting:
            waiting = [instance for instance in waiting if not self._ended(instance, said)]
            self.console.note("waiting for " + ", ".join(f"{i.role} {i.id}" for i in waiting))
            if waiting and self.clock() > deadline:
                raise self._too_late(waiting[0], timeout)
            if waiting:
                self.sleep(POLL_S)

    def until(self, instance: Instance, ready: Callable[[], str], timeout: float) -> None:
        """Wait until `ready` returns no complaint; raise ConvergeError when `instance` fails first.

        `ready` returns why it is not ready yet, or an empty string.
        """
        deadline = self.clock() + timeout
        while complaint := ready():
            self.console.note(complaint)
            outcome = read_outcome(self.fleet.console_output(instance.id))
            if outcome is not None and not outcome.ok:
                raise failure(instance, outcome, self.keep_log(instance))
            if self.clock() > deadline:
                log = self.keep_log(instance)
                raise ConvergeError(
                    f"{instance.role} {instance.id}: {complaint}, after {timeout:.0f} s",
                    f"read {log}",
                )
            self.sleep(POLL_S)

    def keep_log(self, instance: Instance) -> Path:
        """Save the console of a machine; return the file."""
        log = self.deployment.log_file(instance.id)
        try:
            write_private(log, self.fleet.console_output(instance.id))
        except HubfleetError as error:
            self.console.warn(f"the console of {instance.id} could not be read: {error.message}")
        return log

    def _ended(self, instance: Instance, said: set[str]) -> bool:
        output = self.fleet.console_output(instance.id)
        for problem in RETRY.findall(output):
            sentence = f"{instance.role} {instance.id} tries again: {problem}"
            if sentence not in said:
                said.add(sentence)
                self.console.warn(sentence)
        outcome = read_outcome(output)
        if outcome is None:
            return False
        log = self.keep_log(instance)
        if not outcome.ok:
            raise failure(instance, outcome, log)
        self.console.say(f"{instance.role} {instance.id}: converged in {outcome.seconds:.0f} s")
        return True

    def _too_late(self, instance: Instance, timeout: float) -> ConvergeError:
        log = self.keep_log(instance)
        return ConvergeError(
            f"{instance.role} {instance.id} did not converge within {timeout:.0f} s",
            f"read {log}; deploy again waits on, or replaces the machine",
        )


@dataclass(frozen=True)
class Plan:
    """What a deploy does to the machines."""

    keep: list[Instance]
    """Run and have bootstrapped."""
    await_: list[Instance]
    """Bootstrapping right now."""
    start: list[Instance]
    replace: list[Instance]
    launch: dict[Role, int]
    """How many new ones of each role, those replaced among them."""
    surplus: int
    """Workers beyond the wanted number, which stay."""

    def words(self) -> list[str]:
        """Return the plan as lines for the user; nothing to do is no line."""
        lines = [f"start {i.role} {i.id}, which was stopped" for i in self.start]
        lines += [
            f"remove {i.role} {i.id}, which did not come up or was revoked" for i in self.replace
        ]
        lines += [f"launch {count} x {role}" for role, count in self.launch.items() if count]
        lines += [f"wait for {i.role} {i.id}, which is coming up" for i in self.await_]
        if self.surplus:
            lines.append(f"leave {self.surplus} more workers than the environment wants")
        return lines


def make_plan(found: Sequence[tuple[Instance, Health]], workers: int) -> Plan:
    """Decide what becomes of each machine; pure.

    Half-made, failed and revoked machines are replaced. A new hub means a new Swarm, which the
    workers of the old one cannot join: they are replaced with it.
    """
    wanted = {Role.CHEF_SERVER: 1, Role.HUB: 1, Role.SWARM_WORKER: workers}
    usable = {
        role: [
            (instance, state)
            for instance, state in found
            if instance.role is role and state in {Health.OK, Health.BUSY, Health.STOPPED}
        ]
        for role in wanted
    }
    if not usable[Role.HUB]:
        usable[Role.SWARM_WORKER] = []
    kept = [pair for pairs in usable.values() for pair in pairs]
    ids = {instance.id for instance, _ in kept}
    return Plan(
        keep=[instance for instance, state in kept if state is Health.OK],
        await_=[instance for instance, state in kept if state is Health.BUSY],
        start=[instance for instance, state in kept if state is Health.STOPPED],
        replace=[instance for instance, _ in found if instance.id not in ids],
        launch={role: max(0, count - len(usable[role])) for role, count in wanted.items()},
        surplus=max(0, len(usable[Role.SWARM_WORKER]) - workers),
    )
