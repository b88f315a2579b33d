"""What `doctor` makes of a running deployment: what disagrees, what it heals, its exit code."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hubfleet import consistency, doctor, healing
from hubfleet.consistency import Look
from hubfleet.console import Console
from hubfleet.controller.reconcile import Finding
from hubfleet.doctor import Check, Verdict
from hubfleet.errors import HubfleetError, PartialError, PreconditionError, UsageError
from hubfleet.fleet.base import Fleet
from hubfleet.settings import Settings
from hubfleet.state import Deployment
from hubfleet.status import fleet_of


@dataclass(frozen=True)
class Diagnosis:
    """What was found, after what was healed; `problem` says why nobody could be asked."""

    look: Look | None = None
    healed: Sequence[Finding] = ()
    problem: str = ""
    hint: str = ""

    @property
    def healthy(self) -> bool:
        """Say whether all agree."""
        return not self.problem and (self.look is None or self.look.healthy)


def as_json(checks: Sequence[Check], found: Diagnosis) -> dict[str, Any]:
    """Return the machine's checks and the diagnosis as one JSON object."""
    said = consistency.as_json(found.look) if found.look else {"findings": [], "unread": {}}
    machine = doctor.as_json(checks)
    return {
        "ok": machine["ok"] and found.healthy,
        "checks": machine["checks"],
        **said,
        "healed": [asdict(finding) for finding in found.healed],
        "problem": found.problem,
    }


def diagnose(deployment: Deployment, settings: Settings) -> Diagnosis:
    """Ask all parts of a deployment; of one that is not there, there is nothing to find."""
    if not deployment.exists:
        return Diagnosis()
    try:
        return Diagnosis(consistency.look(deployment, fleet_of(deployment), settings))
    except HubfleetError as error:
        return Diagnosis(problem=error.message, hint=error.hint)


def treat(
    console: Console,
    deployment: Deployment,
    settings: Settings,
    found: Diagnosis,
    *,
    yes: bool,
    dry_run: bool,
) -> Diagnosis:
    """Heal what is safe, after asking, and look again; return what is left.

    Raises UsageError where nobody says yes, LockedError where another command is at work.
    """
    safe = [finding for finding in found.look.findings if finding.safe] if found.look else []
    for command in dict.fromkeys(finding.heal for finding in safe):
        console.say(f"{'would do' if dry_run else 'heal'}: {command}")
    if dry_run or not safe:
        return found
    if not console.confirm("Heal this?", yes):
        raise UsageError("nothing was done")
    with deployment.lock("doctor --fix"):
        fleet: Fleet = fleet_of(deployment)
        healing.heal(healing.Healer(deployment, fleet), safe, console)
        after = consistency.look(deployment, fleet, settings)
    left = {(finding.kind, finding.subject) for finding in after.findings}
    return Diagnosis(after, [f for f in safe if (f.kind, f.subject) not in left])


def show(console: Console, found: Diagnosis) -> None:
    """Print what disagrees."""
    if found.problem:
        console.warn(f"the parts of the deployment could not be compared: {found.problem}")
    if found.look:
        consistency.show(console, found.look)


def require_healthy(checks: Sequence[Check], found: Diagnosis) -> None:
    """Raise PreconditionError where something is to be done, PartialError where some was healed."""
    words = [check.name for check in checks if check.verdict is Verdict.FAIL]
    hint = found.hint
    if found.problem:
        words.append(found.problem)
    if found.look:
        words += [str(source) for source in found.look.listings.unread]
        if left := len(found.look.findings):
            words.append(f"{left} disagreements" if left > 1 else "one disagreement")
            hint = "each has its command; ./invoke doctor --fix does those that are safe"
    if words and found.healed:
        raise PartialError(f"{len(found.healed)} healed; left: {', '.join(words)}", hint)
    if words:
        raise PreconditionError(f"to be put right: {', '.join(words)}", hint)
