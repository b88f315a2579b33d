"""A group goes back to the revisions that it had: cookbooks, attributes and images together.

A lock names its cookbooks by their content and its images by their tags. The Chef server keeps
every revision, the registry every tag, so going back is a matter of naming the old lock again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hubfleet import policy, policy_group
from hubfleet.clients.registry import Registry
from hubfleet.console import Console
from hubfleet.errors import HubfleetError, PartialError, PreconditionError, UsageError
from hubfleet.fleet.base import Fleet
from hubfleet.history import Entry, Event, Revisions, What, differing, new_event
from hubfleet.history import Outcome as Ending
from hubfleet.holds import Hold
from hubfleet.parallel import run_all
from hubfleet.policy_group import PolicyGroup
from hubfleet.rolling import Machines, Outcome, command
from hubfleet.rollout_plan import Node, Plan, make_plan, outdated
from hubfleet.settings import environments
from hubfleet.settings_schema import Json
from hubfleet.state import Deployment
from hubfleet.steady import steady

SHORTEST = 6
"""Digits that name a revision, where no other begins with them."""


def previous(events: Iterable[Event], current: Revisions) -> Revisions:
    """Return the policies that go back, with their revisions; `events` newest first.

    A rollback that did not come to its end is gone on with, and a rollout that published nothing
    has nothing to take back. What was published without a record goes back to what the newest
    record left. Else the newest publication of what the group has is taken back; rollbacks are
    not, so that one after the other leads further back.
    """
    last = newest = True
    for event in events:
        if newest and event.what is not What.VERIFY:
            if (begun := _unfinished(event, current)) is not None:
                return begun
            newest = event.outcome is not Ending.OK and event.what is What.ROLLBACK
        if last and (known := _known(event, current)):
            return known
        last = False
        if event.what in {What.VERIFY, What.ROLLBACK}:
            continue
        taken = {p: old for p, (old, new) in event.changes.items() if old and current.get(p) == new}
        if taken:
            return taken
    return {}


def _unfinished(event: Event, current: Revisions) -> Revisions | None:
    """Return what an event that did not come to its end means for a rollback; None for nothing."""
    if event.outcome is Ending.OK or not event.intended:
        return None
    untouched = all(current.get(p) == event.before.get(p) for p in event.intended)
    if event.what is What.ROLLBACK and (
        untouched or all(current.get(p) == new for p, new in event.intended.items())
    ):
        return {p: new for p, new in event.intended.items() if p in current}
    if event.what is What.ROLLOUT and untouched:
        return {p: current[p] for p in event.intended if p in current}
    return None


def _known(event: Event, current: Revisions) -> Revisions:
    """Return what the newest event left, where somebody else has published since."""
    begun = {} if event.outcome is Ending.OK else event.before
    return {
        p: revision
        for p, revision in event.after.items()
        if p in current and current[p] not in {revision, begun.get(p)}
    }


def chosen(word: str, held: dict[str, list[str]], policies: Sequence[str]) -> Revisions:
    """Return the policy and revision that `word`, a revision's first digits, names.

    `held`: the revisions of each policy on the server. Raises UsageError where it names none, or
    several.
    """
    if len(word) < SHORTEST:
        raise UsageError(f"--to takes at least {SHORTEST} digits of a revision, not {word!r}")
    found = [
        (name, revision)
        for name, revisions in held.items()
        if not policies or name in policies
        for revision in revisions
        if revision.startswith(word)
    ]
    if len(found) != 1:
        what = "no revision" if not found else f"{len(found)} revisions"
        raise UsageError(
            f"{what} on the Chef server begin with {word}",
            "./invoke policy.history names them; one that is gone was removed, as"
            " `chef clean-policy-revisions` does with what no group uses",
        )
    return dict(found)


@dataclass(frozen=True)
class Job:
    """What a rollback is to do."""

    before: Revisions
    target: Revisions
    locks: dict[str, Json]
    nodes: Sequence[Node]
    plan: Plan

    @property
    def changes(self) -> dict[str, tuple[str, str]]:
        """Policies whose published revision becomes another."""
        return differing(self.before, self.target)

    def words(self) -> list[str]:
        """Return it as lines for the user."""
        lines = [f"{p} {old[:10]} -> {new[:10]}" for p, (old, new) in self.changes.items()]
        held = [node.words for node in self.nodes if node.hold]
        return [
            *(lines or ["publish nothing: the group has these revisions"]),
            *self.plan.words(),
            *([f"let go: {', '.join(held)}"] if held else []),
        ]


class Rollback:
    """One rollback of a deployment's group."""

    def __init__(
        self, deployment: Deployment, fleet: Fleet, registry: Registry, console: Console
    ) -> None:
        self.deployment = deployment
        self.registry = registry
        self.console = console
        self.machines = Machines(deployment, fleet)
        self.group: PolicyGroup = policy_group.of(deployment, policy.connect(deployment))

    def job(self, to: str | None = None, policies: Sequence[str] = ()) -> Job:
        """Return what is to be done, when all of it is known to be possible.

        Raises PreconditionError where there is nothing to go back to, or a revision, a cookbook or
        an image of it is gone; UsageError where `to` names no revision.
        """
        before = self.group.published()
        for name in policies:
            if name not in before:
                raise UsageError(f"group {self.group.name} has no policy {name!r}")
        mine = {name: rev for name, rev in before.items() if not policies or name in policies}
        if to:
            target = chosen(to, self.group.chef.policies(), policies)
        else:
            target = previous(self.group.history.newest(), mine)
        if not target:
            raise PreconditionError(
                f"the history of group {self.group.name} knows no revision before this one",
                "name one: --to REVISION, as `chef show-policy NAME` lists them",
            )
        locks = {name: self.group.lock(name, revision) for name, revision in target.items()}
        for lock in locks.values():
            self.group.require_cookbooks(lock)
        self._require_images(locks)
        nodes = self.machines.look()
        return Job(before, target, locks, nodes, make_plan(outdated(nodes, target)))

    def run(self, job: Job) -> Outcome:
        """Do it. A node that does not converge stops no other: all of them had this revision."""
        after = job.before | job.target
        event = new_event(self.group.name, What.ROLLBACK, before=job.before, after=after)
        self.console.plan(3 + bool(job.plan.canary) + len(job.plan.batches))
        quiet = steady(self.machines.fleet, "a rollback is under way")
        with self.group.history.entry(event) as entry, quiet:
            outcome = Outcome(event.id, job.changes)
            held = self._hold(job, event)
            with self.console.stage("publish"):
                for name, lock in job.locks.items():
                    self.group.assign(name, lock)
            self._converge(job, held, outcome)
            self._let_go(job, outcome)
            self._end(outcome, entry)
        return outcome

    def _require_images(self, locks: dict[str, Json]) -> None:
        groups = environments(self.deployment.root)
        for name, lock in locks.items():
            for reference in policy_group.images_of(lock, self.group.name, groups).values():
                repository, _, tag = reference.rpartition(":")
                if not self.registry.has(repository, tag):
                    raise PreconditionError(
                        f"the registry no longer holds {reference}, which {name}"
                        f" {lock['revision_id'][:10]} runs; nothing was changed",
                        "check out the commit that it came from: ./invoke images.build publishes"
                        " it again with ./invoke images.push; or name another revision with --to",
                    )

    def _hold(self, job: Job, event: Event) -> dict[str, Node]:
        why = ", ".join(f"{name} {revision[:10]}" for name, revision in job.target.items())
        hold = Hold(event.id, event.who, event.when, f"rollback to {why}", "")
        with self.console.stage("hold"):
            held = self.machines.hold(job.plan.nodes, hold)
        return {node.instance.id: node for node in held}

    def _converge(self, job: Job, held: dict[str, Node], outcome: Outcome) -> None:
        """Converge what had the other revision, one node first; let it go when it is back."""
        first = [job.plan.canary] if job.plan.canary else []
        for batch in [first, *job.plan.batches] if first else []:
            nodes = [held[node.instance.id] for node in batch]
            with self.console.stage(", ".join(node.words for node in nodes)) as stage:
                results = self.machines.converge(nodes, job.target)
                outcome.results += results
                good = [n for n, r in zip(nodes, results, strict=True) if r.ok]
                stage.ok = len(good) == len(nodes)
                for node in good:
                    self.machines.release(node)
                    self.machines.settle(node.instance)

    def _let_go(self, job: Job, outcome: Outcome) -> None:
        """Let go what was held and never had the other revision."""
        converged = {result.instance.id for result in outcome.results}
        others = [n for n in job.nodes if n.hold and n.instance.id not in converged]
        with self.console.stage("let the others go"):
            for problem in run_all(self.machines.release, others):
                if isinstance(problem, HubfleetError):
                    raise problem

    def _end(self, outcome: Outcome, entry: Entry) -> None:
        bad = [result for result in outcome.results if not result.ok]
        if not bad:
            return
        outcome.held = [result.instance.id for result in bad]
        words = "; ".join(f"{r.instance.role} {r.instance.id}: {r.problem}" for r in bad)
        outcome.error = PartialError(
            f"published, but {len(bad)} of {len(outcome.results)} nodes did not converge: {words}",
            f"read {bad[0].log}; then go on: {command(self.deployment, 'policy.rollback')}",
        )
        entry.end(Ending.STOPPED, words)
