"""Nodes that are held: their timer's converges are skipped until the hold is lifted.

A policy group has one revision for all of its nodes, and each node's timer picks up what is
published. What is tried on one node first must therefore keep the others from looking.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from hubfleet.errors import ConvergeError, HubfleetError, PreconditionError
from hubfleet.fleet.base import Fleet, Instance, State
from hubfleet.parallel import run_all

HOLD = "/var/lib/hubfleet/hold"
"""While this file is there the timer's runs are skipped; cookbook node_base has the unit."""

UNIT = "/etc/systemd/system/chef-client.service"
TIMEOUT_S = 20
IDLE_TIMEOUT_S = 900
"""Seconds for a converge that is under way: as long as `converge` gives one."""
POLL_S = 1.0

RUN_LOCK = "/var/chef/cache/chef-client-running.pid"
"""What chef-client locks while it runs, whoever started it (Chef's run_lock.rb)."""

BUSY = 10
_BUSY = f"""
case $(systemctl show chef-client.service --property=ActiveState --value) in
  inactive | failed) ;;
  *) exit {BUSY} ;;
esac
test ! -e "$1" || flock --nonblock "$1" true || exit {BUSY}
"""

_WRITE = """
grep -qs -- "$1" "$2" || exit 3
printf '%s' "$3" > "$1.new" && mv "$1.new" "$1"
"""


@dataclass(frozen=True)
class Hold:
    """Who holds a node, and why."""

    rollout: str
    """Id of the event in the group's history."""
    who: str
    since: str
    why: str
    revision: str
    """What the node ran when it was held."""
    paused: bool = False
    """Whether the node was also closed to new servers, which whoever lifts the hold undoes."""

    @property
    def words(self) -> str:
        """Say it in one sentence."""
        return f"held since {self.since} by {self.who}: {self.why}"


def parse(text: str) -> Hold:
    """Return the hold that a file holds; one that cannot be read holds all the same."""
    known = {f.name for f in fields(Hold)}
    try:
        found: Any = json.loads(text)
        return Hold(**{key: value for key, value in found.items() if key in known})
    except (ValueError, TypeError, AttributeError):
        return Hold("", "nobody knows whom", "nobody knows when", f"{HOLD} cannot be read", "")


def read(fleet: Fleet, instance: Instance) -> Hold | None:
    """Return a node's hold; None where it has none or does not run."""
    if instance.state is not State.RUNNING:
        return None
    done = fleet.run(instance.id, ["cat", HOLD], TIMEOUT_S)
    return parse(done.stdout) if done.returncode == 0 else None


def read_all(fleet: Fleet, instances: Sequence[Instance]) -> dict[str, Hold]:
    """Return the holds by the ids of their nodes; a node that does not answer has none."""
    outcomes = run_all(lambda instance: read(fleet, instance), instances)
    return {
        instance.id: outcome
        for instance, outcome in zip(instances, outcomes, strict=True)
        if isinstance(outcome, Hold)
    }


def put(fleet: Fleet, instance: Instance, hold: Hold) -> None:
    """Hold a node; raise PreconditionError where its unit would not care, or it cannot be told."""
    document = json.dumps(asdict(hold), indent=2)
    argv = ["sh", "-c", _WRITE, "sh", HOLD, UNIT, document]
    done = fleet.run(instance.id, argv, TIMEOUT_S)
    if done.returncode == 3:
        raise PreconditionError(
            f"{instance.role} {instance.id} cannot be held: its chef-client knows no holds",
            "its policy is older than they are: converge everything once, ./invoke deploy",
        )
    if done.returncode != 0:
        raise PreconditionError(
            f"{instance.role} {instance.id} cannot be held: {done.stderr.strip()}"
        )


def lift(fleet: Fleet, instance: Instance) -> None:
    """Lift a node's hold; raise ConvergeError where it cannot be told."""
    done = fleet.run(instance.id, ["rm", "-f", HOLD], TIMEOUT_S)
    if done.returncode != 0:
        raise ConvergeError(
            f"{instance.role} {instance.id} is still held: {done.stderr.strip()}",
            f"remove {HOLD} there",
        )


def wait_idle(
    fleet: Fleet,
    instances: Sequence[Instance],
    timeout: float = IDLE_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until no chef-client runs; raise PreconditionError when it lasts."""
    deadline = clock() + timeout
    busy = list(instances)
    while busy:
        states = run_all(lambda instance: _is_busy(fleet, instance), busy)
        for state in states:
            if isinstance(state, HubfleetError):
                raise state
        busy = [instance for instance, state in zip(busy, states, strict=True) if state]
        if busy and clock() > deadline:
            names = ", ".join(f"{instance.role} {instance.id}" for instance in busy)
            raise PreconditionError(
                f"chef-client has been running for {timeout:.0f} s on {names}",
                "look there: journalctl -u chef-client",
            )
        if busy:
            sleep(POLL_S)


def _is_busy(fleet: Fleet, instance: Instance) -> bool:
    done = fleet.run(instance.id, ["sh", "-c", _BUSY, "sh", RUN_LOCK], TIMEOUT_S)
    if done.returncode not in (0, BUSY):
        raise PreconditionError(
            f"{instance.role} {instance.id} does not say whether it converges now"
        )
    return done.returncode == BUSY
