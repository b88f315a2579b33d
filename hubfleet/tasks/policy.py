"""Tasks for policies: locks made anew, checked, published."""

from hubfleet.console import Console
from hubfleet.errors import PreconditionError
from hubfleet.state import Deployment
from hubfleet.tasks.common import task

ONLY = {"policy": "Only this policy; may be given more than once."}


@task(help=ONLY, iterable=["policy"])
def update(console: Console, policy: list[str]) -> None:
    """Bring images/lock.json and the policy locks up to date with the JSON and the cookbooks."""
    from hubfleet import policy as policies

    policies.update(policy or None, console)


@task(help=ONLY, iterable=["policy"])
def check(console: Console, policy: list[str], json: bool = False) -> None:
    """Say what in the policy locks is stale; exit code 3 where anything is."""
    from hubfleet import policy as policies

    stale = policies.check_locks(names=policy or None)
    if json:
        console.emit_json(stale)
    for line in stale:
        console.say(line)
    if stale:
        raise PreconditionError(f"{len(stale)} differences", policies.REMEDY)


@task(help=ONLY, iterable=["policy"])
def push(
    console: Console,
    policy: list[str],
    env: str | None = None,
    name: str | None = None,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Publish policies to the deployment's Chef server; the nodes converge from them later."""
    from hubfleet import policy as policies

    deployment = Deployment.open(name, env)
    wanted = policy or policies.policies()
    if dry_run:
        for one in wanted:
            console.say(f"publish {one} {policies.revision(one)[:10]} to {deployment.environment}")
        return
    with deployment.lock("policy.push"):
        changes = policies.push(deployment, wanted)
    if json:
        rows = [{"policy": c.policy, "old": c.old, "new": c.new} for c in changes]
        console.emit_json(rows)
    console.table(
        ("policy", "was", "is"),
        [(c.policy, c.old[:10] or None, c.new[:10]) for c in changes],
    )
