"""Tasks for policies: locks, what would change, publishing, one node first, back, what happened."""

from hubfleet.console import Console
from hubfleet.errors import PreconditionError, UsageError
from hubfleet.state import Deployment
from hubfleet.tasks.common import task, whole_number

ONLY = {"policy": "Only this policy; may be given more than once."}
DIRTY = {"dirty_ok": "Publish to staging or production what is not committed."}
SHOWN = 20
"""Events that `history` shows."""


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
    console.say(f"fresh: {', '.join(policy or policies.policies())}")


@task(help=ONLY | {"group": "Policy group (default: the deployment's)."}, iterable=["policy"])
def diff(
    console: Console,
    policy: list[str],
    group: str | None = None,
    env: str | None = None,
    name: str | None = None,
    json: bool = False,
) -> None:
    """Show what each kind of node would get that it does not have: published against checkout."""
    from hubfleet import policy as policies
    from hubfleet import policy_diff
    from hubfleet.policy_group import PolicyGroup

    deployment = Deployment.open(name, env)
    chosen = PolicyGroup(policies.connect(deployment), group or deployment.environment)
    found = policy_diff.compare(chosen, deployment.root, policy or None)
    if json:
        console.emit_json([each.as_json() for each in found])
    else:
        policy_diff.show(console, found, chosen.name)


@task(help=ONLY | DIRTY, iterable=["policy"])
def push(
    console: Console,
    policy: list[str],
    env: str | None = None,
    name: str | None = None,
    json: bool = False,
    dirty_ok: bool = False,
    dry_run: bool = False,
) -> None:
    """Publish policies to the deployment's Chef server; the nodes converge from them later."""
    from hubfleet import policy as policies
    from hubfleet import publication

    deployment = Deployment.open(name, env)
    wanted = policy or policies.policies()
    publication.require_committed(deployment, dirty_ok)
    if dry_run:
        for one in wanted:
            console.say(f"publish {one} {policies.revision(one)[:10]} to {deployment.environment}")
        return
    with deployment.lock("policy.push"):
        changes = publication.push(deployment, wanted)
    if json:
        rows = [{"policy": c.policy, "old": c.old, "new": c.new} for c in changes]
        console.emit_json(rows)
    console.table(
        ("policy", "was", "is"),
        [(c.policy, c.old[:10] or None, c.new[:10]) for c in changes],
    )


@task(
    positional=["source", "target"],
    help={
        "source": "Deployment whose policies are taken, such as staging.",
        "target": "Deployment that gets them, such as production.",
        "unverified": "Take what no verify has passed; the history records it.",
    },
)
def promote(
    console: Console,
    source: str,
    target: str,
    unverified: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Publish to TARGET the very locks that SOURCE has, when a verify has passed there."""
    from hubfleet import identity, image_publish, promotion
    from hubfleet import policy as policies
    from hubfleet.policy_group import of
    from hubfleet.settings import environments, load

    if source == target:
        raise UsageError("source and target are the same deployment")
    one, other = Deployment.open(source), Deployment.open(target)
    mine, theirs = of(one, policies.connect(one)), of(other, policies.connect(other))
    todo = promotion.plan(mine, theirs, environments(other.root), unverified)
    if json:
        console.emit_json(todo.as_json())
    for line in todo.words():
        console.say(line)
    if dry_run:
        return
    registry = identity.registry(other, load(other.environment, other.root))

    def provide(reference: str) -> None:
        repository, _, tag = reference.rpartition(":")
        image_publish.publish(registry, console, repository, tag)

    with other.lock("policy.promote"):
        promotion.promote(mine, theirs, todo, provide)


@task(
    help=ONLY
    | DIRTY
    | {
        "batch": "Nodes that converge at once after the canary (default: a quarter of them).",
        "verify": "Verify everything in the end; --no-verify leaves that out.",
    },
    iterable=["policy"],
)
def rollout(
    console: Console,
    policy: list[str],
    env: str | None = None,
    name: str | None = None,
    batch: str | None = None,
    verify: bool = True,
    dirty_ok: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Publish, converge and verify one node, then the rest in batches; stop at a failure."""
    from hubfleet import publication
    from hubfleet.identity import registry
    from hubfleet.rollout import Rollout
    from hubfleet.settings import load
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    publication.require_committed(deployment, dirty_ok)
    size = whole_number("--batch", batch)
    store = registry(deployment, load(deployment.environment, deployment.root))
    run = Rollout(deployment, fleet_of(deployment), store, console)
    if dry_run:
        for line in run.job(policy or None, size).words() or ["nothing to roll out"]:
            console.say(line)
        return
    with deployment.lock("policy.rollout"):
        job = run.job(policy or None, size)
        for line in job.words() or ["nothing to roll out"]:
            console.say(line)
        outcome = run.run(job, verify)
    if json:
        console.emit_json(outcome.as_json())
    outcome.show(console)
    if outcome.error:
        raise outcome.error


@task(
    help=ONLY | {"to": "Revision to go back to, or its first digits (default: the one before)."},
    iterable=["policy"],
)
def rollback(
    console: Console,
    policy: list[str],
    to: str | None = None,
    env: str | None = None,
    name: str | None = None,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Publish the revision before, converge what had the other one, let held nodes go."""
    from hubfleet.identity import registry
    from hubfleet.rollback import Rollback
    from hubfleet.settings import load
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    store = registry(deployment, load(deployment.environment, deployment.root))
    run = Rollback(deployment, fleet_of(deployment), store, console)
    if dry_run:
        for line in run.job(to, policy).words():
            console.say(line)
        return
    with deployment.lock("policy.rollback"):
        job = run.job(to, policy)
        for line in job.words():
            console.say(line)
        outcome = run.run(job)
    if json:
        console.emit_json(outcome.as_json())
    outcome.show(console)
    if outcome.error:
        raise outcome.error


@task(help={"number": f"How many events (default: {SHOWN}).", "group": "Policy group."})
def history(
    console: Console,
    number: str | None = None,
    env: str | None = None,
    name: str | None = None,
    group: str | None = None,
    json: bool = False,
) -> None:
    """Show who published, verified and took back what, and when; the newest last."""
    from itertools import islice

    from hubfleet import history as story
    from hubfleet import policy as policies

    deployment = Deployment.open(name, env)
    wanted = whole_number("--number", number)
    events = story.History(policies.connect(deployment), group or deployment.environment)
    count = SHOWN if wanted is None else wanted
    told = story.tell(list(islice(events.newest(), count))[::-1])
    if json:
        console.emit_json(told)
        return
    for line in story.lines(told):
        console.out(line)
