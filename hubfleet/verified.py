"""What `verify` needs of policies: whether they are the checkout's, and a record of the result."""

from collections.abc import Sequence

from hubfleet import holds, policy, policy_group
from hubfleet.console import Console
from hubfleet.converge import read_report
from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.fleet.base import Fleet, Instance
from hubfleet.history import Outcome, Revisions, What, new_event
from hubfleet.parallel import run_all
from hubfleet.rolling import command
from hubfleet.state import Deployment


def require_free(deployment: Deployment, fleet: Fleet, machines: Sequence[Instance]) -> None:
    """Raise PreconditionError where a machine is held: looking at it would converge it."""
    found = holds.read_all(fleet, machines)
    for machine in machines:
        if hold := found.get(machine.id):
            raise PreconditionError(
                f"{machine.role} {machine.id} is {hold.words}",
                f"undo it: {command(deployment, 'policy.rollback')}"
                f", or go on: {command(deployment, 'policy.rollout')}",
            )


def strangers(deployment: Deployment) -> dict[str, str]:
    """Return the policies that are published at another revision than the checkout's, and why not.

    What a node should be is read from the checkout's JSON: it says nothing about another revision.
    """
    published = _published(deployment)
    found = {}
    for name in policy.policies(deployment.root):
        mine, theirs = policy.revision(name, deployment.root), published.get(name, "")
        if mine != theirs:
            found[name] = (
                f"policy {name} is published at revision {theirs[:10] or 'none'}, and this checkout"
                f" describes {mine[:10] or 'none'}: after a rollback, or with another checkout,"
                " check out the commit that ./invoke policy.history names; else roll this one out"
            )
    return found


def record(
    deployment: Deployment, fleet: Fleet, machines: Sequence[Instance], ok: bool, console: Console
) -> None:
    """Write into the history how a verification ended, of the revisions that the machines run.

    Where not all run what is published it says nothing about the latter, and is not recorded.
    """
    try:
        published = _published(deployment)
        running = _running(fleet, machines)
        if any(published.get(name) != revision for name, revision in running):
            console.warn("not recorded: not every node runs what is published")
            return
        group = policy_group.of(deployment, policy.connect(deployment))
        outcome = Outcome.OK if ok else Outcome.FAILED
        after = {name: published[name] for name, _ in sorted(running)}
        event = new_event(group.name, What.VERIFY, deployment.root, after=after, outcome=outcome)
        group.history.save(event)
    except HubfleetError as error:
        console.warn(f"the result could not be recorded: {error.message}")


def _published(deployment: Deployment) -> Revisions:
    return policy_group.of(deployment, policy.connect(deployment)).published()


def _running(fleet: Fleet, machines: Sequence[Instance]) -> set[tuple[str, str]]:
    """Return policy and revision of every machine's last converge, a failed one as none."""
    reports = run_all(lambda machine: read_report(fleet, machine), machines)
    found = set()
    for machine, report in zip(machines, reports, strict=True):
        if isinstance(report, HubfleetError):
            raise report
        good = report.get("status") == "success"
        found.add((machine.role.value, str(report.get("policy_revision")) if good else ""))
    return found
