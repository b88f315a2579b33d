"""Publishing for a group, with its record in the history and its conditions outside of `local`."""

from collections.abc import Iterable

from hubfleet import policy, policy_group
from hubfleet.clients import git
from hubfleet.errors import PreconditionError
from hubfleet.history import SOURCES, Entry, Outcome, What, new_event
from hubfleet.policy import Change
from hubfleet.state import Deployment

FREE = "local"
"""The environment whose policies may come from files that nobody has committed."""

SHOWN = 5
"""Files that an error names."""


def require_committed(deployment: Deployment, dirty_ok: bool) -> None:
    """Raise PreconditionError where nobody could say later what was published.

    That is so where files that policies are made from are not committed; the environment `local`
    may do it.
    """
    if dirty_ok or deployment.environment == FREE:
        return
    tree = git.look(deployment.root, SOURCES)
    if not tree.dirty:
        return
    if tree.edited is None:
        what = f"{deployment.root} is no git checkout"
    else:
        more = len(tree.edited) - SHOWN
        what = "not committed: " + ", ".join(sorted(tree.edited)[:SHOWN])
        what += f" and {more} more" if more > 0 else ""
    raise PreconditionError(
        f"{what}: nobody could tell what {deployment.environment} runs",
        "commit first, or add --dirty-ok, which the history records",
    )


def push(
    deployment: Deployment, names: Iterable[str] | None = None, what: What = What.PUSH
) -> list[Change]:
    """Publish policies and record it; what is there already is neither sent nor recorded.

    Raises PreconditionError where a lock is stale or the server cannot be reached.
    """
    return Publisher(deployment, what).push(names)


class Publisher:
    """Publishes for one command, in one or several steps that are one event of the history."""

    def __init__(self, deployment: Deployment, what: What) -> None:
        self.deployment = deployment
        self.what = what
        self.entry: Entry | None = None

    @property
    def published(self) -> bool:
        """Say whether anything was sent."""
        return self.entry is not None

    def push(self, names: Iterable[str] | None = None) -> list[Change]:
        """Publish policies; see the function."""
        deployment, root = self.deployment, self.deployment.root
        wanted = list(names) if names is not None else policy.policies(root)
        policy.require_fresh(root, wanted)
        group = policy_group.of(deployment, policy.connect(deployment))
        before = group.published()
        after = before | {name: policy.revision(name, root) for name in wanted}
        if after == before:
            return [Change(name, before[name], after[name]) for name in wanted]
        if self.entry is None:
            event = new_event(group.name, self.what, root, before=before, after=after)
            self.entry = Entry(group.history, event)
        else:
            self.entry.update(after=after, outcome=Outcome.RUNNING)
        try:
            changes = policy.push(deployment, wanted)
        except BaseException as error:
            self.entry.try_end(Outcome.FAILED, str(error))
            raise
        self.entry.end(Outcome.OK)
        return changes
