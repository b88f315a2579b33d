"""A policy change goes to one node first, then to the others in batches, and stops at a failure.

A group has one revision, and every node's timer looks for it. So all nodes that the change is for
are held first; then it is published; then they converge in their order, each let go after it. What
follows a failure stays held at the revision that it has, and students work on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hubfleet import image_publish, policy, policy_group, verify
from hubfleet.clients.registry import Registry
from hubfleet.console import Console
from hubfleet.converge import Result
from hubfleet.errors import ConvergeError, HubfleetError, PartialError
from hubfleet.fleet.base import Fleet, Instance, Role
from hubfleet.history import Entry, Revisions, What, differing, new_event
from hubfleet.history import Outcome as Ending
from hubfleet.holds import Hold
from hubfleet.parallel import run_all
from hubfleet.rolling import Machines, Outcome, command
from hubfleet.rollout_plan import Node, Plan, make_plan, outdated
from hubfleet.state import Deployment
from hubfleet.steady import steady


@dataclass(frozen=True)
class Job:
    """What a rollout is to do."""

    before: Revisions
    after: Revisions
    nodes: Sequence[Node]
    """All that run, those that have nothing to do among them."""
    plan: Plan

    @property
    def changes(self) -> dict[str, tuple[str, str]]:
        """Policies that are published anew."""
        return differing(self.before, self.after)

    @property
    def idle(self) -> bool:
        """Say whether there is nothing to publish and nothing to converge."""
        return not self.changes and not self.plan.nodes

    def words(self) -> list[str]:
        """Return it as lines for the user."""
        lines = [
            f"publish {p} {old[:10] or 'none'} -> {new[:10]}"
            for p, (old, new) in self.changes.items()
        ]
        return lines + self.plan.words()


class _Stop(Exception):
    """A node did not become what it should."""

    def __init__(self, node: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{node}: {problem}")
        self.hint = hint


class Rollout:
    """One rollout of the checkout's policies to a deployment."""

    def __init__(
        self, deployment: Deployment, fleet: Fleet, registry: Registry, console: Console
    ) -> None:
        self.deployment = deployment
        self.fleet = fleet
        self.registry = registry
        self.console = console
        self.machines = Machines(deployment, fleet)
        self.group = policy_group.of(deployment, policy.connect(deployment))

    def job(self, names: Iterable[str] | None = None, batch: int | None = None) -> Job:
        """Return what is to be done. Raises PreconditionError where a lock is stale."""
        root = self.deployment.root
        wanted = list(names) if names is not None else policy.policies(root)
        policy.require_fresh(root, wanted)
        revisions = {name: policy.revision(name, root) for name in wanted}
        before, nodes = self.group.published(), self.machines.look()
        plan = make_plan(outdated(nodes, revisions), batch)
        return Job(before, before | revisions, nodes, plan)

    def run(self, job: Job, check: bool = True) -> Outcome:
        """Do it; with `check` everything is verified in the end. What stopped it is in the outcome.

        Raises what kept it from beginning: then nothing was published, and nothing is held.
        """
        if job.idle:
            self._let_go([node for node in job.nodes if node.hold])
            return Outcome("", {})
        root, name = self.deployment.root, self.group.name
        event = new_event(name, What.ROLLOUT, root, before=job.before, after=job.after)
        self.console.plan(2 + bool(job.plan.canary) + len(job.plan.batches))
        quiet = steady(self.fleet, "a rollout is under way")
        with self.group.history.entry(event) as entry, quiet:
            outcome = Outcome(event.id, job.changes)
            held = self._hold(job, entry)
            self._publish(job, held)
            try:
                self._converge(job, held, outcome)
                self._let_go([n for n in job.nodes if n.hold and n.instance.id not in held])
                if check:
                    self._verify()
            except _Stop as stop:
                self._stopped(stop, outcome, held, entry)
            except HubfleetError as error:
                self._stopped(_Stop("a command", error.message, error.hint), outcome, held, entry)
            except KeyboardInterrupt:
                self.console.say(f"interrupted; {self._ways()}")
                raise
        return outcome

    def _hold(self, job: Job, entry: Entry) -> dict[str, Node]:
        """Hold all that will converge; return them by id, without those that are let go."""
        event = entry.event
        why = ", ".join(f"{p} {new[:10]}" for p, (_, new) in job.changes.items())
        hold = Hold(event.id, event.who, event.when, f"rollout of {why or 'what is published'}", "")
        with self.console.stage("hold"):
            return {node.instance.id: node for node in self.machines.hold(job.plan.nodes, hold)}

    def _publish(self, job: Job, held: dict[str, Node]) -> None:
        with self.console.stage("publish"):
            try:
                image_publish.push(self.registry, self.console, root=self.deployment.root)
                policy.push(self.deployment, job.changes)
            except HubfleetError:
                if self.group.published() == job.before:
                    self._let_go(list(held.values()))
                raise

    def _converge(self, job: Job, held: dict[str, Node], outcome: Outcome) -> None:
        canary = job.plan.canary
        if canary is None:
            return
        with self.console.stage(f"canary {canary.words}"):
            self._canary(held[canary.instance.id], job.after, outcome)
            del held[canary.instance.id]
        for batch in job.plan.batches:
            with self.console.stage(", ".join(node.words for node in batch)):
                self._batch([held[node.instance.id] for node in batch], job.after, outcome, held)

    def _canary(self, node: Node, wanted: Revisions, outcome: Outcome) -> None:
        """Converge and verify the first; students who start meanwhile get other workers."""
        if node.instance.role is Role.SWARM_WORKER:
            node = self.machines.pause(node)
        results = self.machines.converge([node], wanted)
        outcome.results += results
        self._require(results)
        self.machines.open(node)
        try:
            self._settle(node.instance)
            finding = verify.node(self.deployment, node.instance, self.console)
            if finding.problems:
                raise _Stop(node.words, "verify: " + "; ".join(finding.problems))
        except _Stop:
            self.machines.close(node)
            raise
        self.machines.release(node)

    def _batch(
        self, nodes: list[Node], wanted: Revisions, outcome: Outcome, held: dict[str, Node]
    ) -> None:
        results = self.machines.converge(nodes, wanted)
        outcome.results += results
        for node, result in zip(nodes, results, strict=True):
            if result.ok:
                self._settle(node.instance)
                self.machines.release(node)
                del held[node.instance.id]
        self._require(results)

    def _require(self, results: Sequence[Result]) -> None:
        for result in results:
            if not result.ok:
                hint = f"read {result.log}" if result.log else ""
                name = f"{result.instance.role} {result.instance.id}"
                raise _Stop(name, result.problem, hint)

    def _settle(self, instance: Instance) -> None:
        try:
            self.machines.settle(instance)
        except ConvergeError as error:
            raise _Stop(f"{instance.role} {instance.id}", error.message) from error

    def _verify(self) -> None:
        findings = verify.verify(self.deployment, self.console)
        if bad := [found for found in findings if found.problems]:
            raise _Stop("verify", "; ".join(f"{b.subject}: {b.problems[0]}" for b in bad))

    def _let_go(self, nodes: Sequence[Node]) -> None:
        for problem in run_all(self.machines.release, nodes):
            if isinstance(problem, HubfleetError):
                raise problem

    def _stopped(self, stop: _Stop, outcome: Outcome, held: dict[str, Node], entry: Entry) -> None:
        """Say and record why it stopped, what is held, and how to go back."""
        outcome.held = sorted(held)
        hint = self._ways()
        if stop.hint:
            hint += f"; {stop.hint}"
        rest = f"; held: {', '.join(held[i].words for i in sorted(held))}" if held else ""
        kind = PartialError if held else HubfleetError
        outcome.error = kind(f"rollout stopped at {stop}{rest}", hint)
        entry.end(Ending.STOPPED if held else Ending.FAILED, str(stop))

    def _ways(self) -> str:
        """Say how to go back and how to go on."""
        back = command(self.deployment, "policy.rollback")
        return f"undo it: {back}\n  or go on: {command(self.deployment, 'policy.rollout')}"
