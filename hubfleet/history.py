"""What became of a policy group, event by event: who, when, which revisions, how it ended.

The events lie on the Chef server, one item each of one data bag, so that every operator sees the
same story; nodes have no rights there. An event is written before anything is published and again
when its command ends: one that is `running` and whose command is gone was killed.
"""

import re
import secrets
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from hubfleet.clients import git
from hubfleet.clients.chef import Chef
from hubfleet.errors import HubfleetError
from hubfleet.state_lock import user

BAG = "hubfleet-history"
KEEP = 500
"""Events of a group that are kept: each is one small file of the server."""

SOURCES = ("roles", "environments", "policyfiles", "cookbooks", "images")
"""What policies are made from."""

_TAIL = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{4}")

Revisions = dict[str, str]


class What(StrEnum):
    """What was done to a group."""

    DEPLOY = "deploy"
    PUSH = "push"
    PROMOTE = "promote"
    ROLLOUT = "rollout"
    ROLLBACK = "rollback"
    VERIFY = "verify"


class Outcome(StrEnum):
    """How it ended."""

    RUNNING = "running"
    OK = "ok"
    STOPPED = "stopped"
    """Some nodes have it, the others are held."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Event:
    """One event. `before` and `after`: revision of every policy of the group."""

    id: str
    group: str
    what: What
    outcome: Outcome
    who: str
    when: str
    """ISO 8601, UTC."""
    before: Revisions = field(default_factory=dict)
    after: Revisions = field(default_factory=dict)
    wanted: Revisions = field(default_factory=dict)
    """What `after` was meant to be."""
    commit: str = ""
    """The checkout's commit; empty where it is no git checkout."""
    dirty: bool = False
    """Whether the commit does not tell what was published."""
    failed: str = ""
    """Node, resource and reason of the failure."""
    note: str = ""

    @property
    def changes(self) -> dict[str, tuple[str, str]]:
        """Return the policies whose revision changed, with their revisions before and after."""
        pairs = {p: (self.before.get(p, ""), new) for p, new in self.after.items()}
        if self.what is What.VERIFY:
            return {}
        return {policy: pair for policy, pair in pairs.items() if pair[0] != pair[1]}

    @property
    def intended(self) -> Revisions:
        """Return the revisions that it was to change, as they were meant to be."""
        return {p: new for p, new in self.wanted.items() if self.before.get(p, "") != new}


def new_event(group: str, what: What, root: Path | None = None, **values: Any) -> Event:
    """Return an event of now and of this user; with `root`, of that checkout's commit."""
    now = datetime.now(UTC)
    tree = git.look(root, SOURCES) if root else git.Tree("", [])
    values.setdefault("wanted", values.get("after", {}))
    event = Event(
        id=f"{group}-{now:%Y%m%dT%H%M%S%f}Z-{secrets.token_hex(2)}",
        group=group,
        what=what,
        outcome=Outcome.RUNNING,
        who=f"{user()}@{socket.gethostname()}",
        when=now.isoformat(timespec="seconds"),
        commit=tree.commit,
        dirty=tree.dirty,
    )
    return replace(event, **values)


def parse(item: object) -> Event | None:
    """Return the event of a data bag item, None where it is none of ours."""
    if not isinstance(item, dict):
        return None
    known = {f.name for f in fields(Event)}
    values = {name: value for name, value in item.items() if name in known}
    try:
        event = Event(**values)
        maps = [event.before, event.after, event.wanted]
        if not all(isinstance(revisions, dict) for revisions in maps):
            return None
        return replace(event, what=What(event.what), outcome=Outcome(event.outcome))
    except (TypeError, ValueError):
        return None


class Entry:
    """An event that is being written."""

    def __init__(self, history: "History", event: Event) -> None:
        self.history = history
        self.event = event
        history.save(event)

    def update(self, **values: Any) -> None:
        """Change the event, on the server too."""
        self.event = replace(self.event, **values)
        self.history.save(self.event)

    def end(self, outcome: Outcome, failed: str = "") -> None:
        """Say how it ended, with the revisions that the group has now."""
        self.update(outcome=outcome, failed=failed, after=self.history.published())

    def try_end(self, outcome: Outcome, failed: str = "") -> None:
        """Say how it ended, if the server takes it: what happened matters more than its record."""
        with suppress(HubfleetError):
            self.end(outcome, failed)


class History:
    """The events of one policy group of a Chef server."""

    def __init__(self, chef: Chef, group: str) -> None:
        self.chef = chef
        self.group = group

    def published(self) -> Revisions:
        """Return the revision that each of the group's policies has now."""
        return self.chef.policy_groups().get(self.group, {})

    def save(self, event: Event) -> None:
        """Write an event, and forget those that are beyond KEEP."""
        self.chef.save_data_bag_item(BAG, asdict(event))
        old = self._ids()[:-KEEP]
        if old:
            self.chef.delete_data_bag_items(BAG, old)

    @contextmanager
    def entry(self, event: Event) -> Iterator[Entry]:
        """Write an event, and how it ended: an exception is a failure, Ctrl-C an interruption."""
        entry = Entry(self, event)
        try:
            yield entry
        except BaseException as error:
            if entry.event.outcome is Outcome.RUNNING:
                outcome = Outcome.FAILED if isinstance(error, Exception) else Outcome.INTERRUPTED
                words = error.message if isinstance(error, HubfleetError) else str(error)
                entry.try_end(outcome, words)
            raise
        if entry.event.outcome is Outcome.RUNNING:
            entry.end(Outcome.OK)

    def newest(self) -> Iterator[Event]:
        """Yield the events, newest first, each read when it is asked for; foreign items are not."""
        for name in reversed(self._ids()):
            event = parse(self.chef.data_bag_item(BAG, name))
            if event is not None:
                yield event

    def _ids(self) -> list[str]:
        prefix = f"{self.group}-"
        names = self.chef.data_bag_items(BAG)
        mine = (n for n in names if n.startswith(prefix) and _TAIL.fullmatch(n[len(prefix) :]))
        return sorted(mine)


def tell(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return events, oldest first, as JSON objects; with what nobody has recorded between them.

    A revision that an event finds and the one before it did not leave was published by another way,
    such as `chef push`.
    """
    told: list[dict[str, Any]] = []
    last: Revisions | None = None
    for event in events:
        found = event.after if event.what is What.VERIFY else event.before
        if last is not None and (strange := differing(last, found)):
            told.append({"what": "outside", "changes": strange})
        told.append(asdict(event) | {"changes": event.changes})
        last = event.after
    return told


def differing(old: Revisions, new: Revisions) -> dict[str, tuple[str, str]]:
    """Return the policies of `new` whose revision is another one in `old`."""
    return {p: (old.get(p, ""), rev) for p, rev in new.items() if old.get(p, "") != rev}


def lines(told: Iterable[dict[str, Any]]) -> list[str]:
    """Return the story as lines: one for each event, what belongs to it indented under it."""
    return [line for event in told for line in _lines(event)]


def _lines(event: dict[str, Any]) -> Iterator[str]:
    if event["what"] == "outside":
        yield "(published by another way, such as `chef push`)"
    else:
        commit = f"commit {event['commit'][:10]}" if event["commit"] else "no commit"
        edited = " with edits" if event["commit"] and event["dirty"] else ""
        when = event["when"].replace("T", " ")[:19]
        words = f"{when}Z  {event['what']:8}  {event['outcome']:11}  {event['who']}"
        yield words if event["what"] == What.ROLLBACK else f"{words}  {commit}{edited}"
    for policy, (old, new) in event["changes"].items():
        yield f"    {policy} {old[:10] or 'none'} -> {new[:10]}"
    if event["what"] == What.VERIFY:
        of = ", ".join(f"{policy} {revision[:10]}" for policy, revision in event["after"].items())
        yield f"    of {of}"
    for key in ("note", "failed"):
        if event.get(key):
            yield f"    {event[key]}"
