"""What one group has proven goes to another, byte for byte: the same locks, cookbooks and images.

The locks are read from the source's Chef server and not from the checkout, so nothing is made anew.
One lock serves both: it holds the attributes of all environments, and a node takes its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hubfleet.clients.chef import Chef
from hubfleet.errors import PreconditionError
from hubfleet.history import Event, Outcome, Revisions, What, differing, new_event
from hubfleet.policy_group import PolicyGroup, images_of
from hubfleet.settings_schema import Json

FILES_AT_ONCE = 50
"""Files of a cookbook that are held in memory together; they are small."""


@dataclass(frozen=True)
class Plan:
    """What a promotion is to do."""

    before: Revisions
    """Of the target."""
    locks: dict[str, Json]
    """Those of the source, as its server holds them."""
    cookbooks: Sequence[tuple[str, str]]
    """Name and identifier of what the target's server lacks."""
    images: Sequence[str]
    """All that the target's nodes will run."""
    proof: str
    """Who verified the source, and when; empty where nobody has and that was said to be fine."""

    @property
    def after(self) -> Revisions:
        """Return the target's revisions as they will be."""
        return self.before | {name: str(lock["revision_id"]) for name, lock in self.locks.items()}

    @property
    def changes(self) -> dict[str, tuple[str, str]]:
        """Policies that become others."""
        return differing(self.before, self.after)

    def words(self) -> list[str]:
        """Return it as lines for the user."""
        lines = [
            f"{p} {old[:10] or 'none'} -> {new[:10]}" for p, (old, new) in self.changes.items()
        ]
        lines += [f"copy cookbook {name} {id_[:10]}" for name, id_ in self.cookbooks]
        return [self.proof or "unverified", *(lines or ["nothing to promote"])]

    def as_json(self) -> Json:
        """Return it as one JSON object."""
        return {
            "changes": {p: {"old": old, "new": new} for p, (old, new) in self.changes.items()},
            "cookbooks": [{"name": name, "identifier": id_} for name, id_ in self.cookbooks],
            "images": list(self.images),
            "proof": self.proof,
        }


def plan(
    source: PolicyGroup, target: PolicyGroup, groups: Sequence[str], unverified: bool = False
) -> Plan:
    """Return what is to be done; `groups` are all that have attributes of their own in a lock.

    Raises PreconditionError where the source has no policies, or, without `unverified`, where
    nobody has verified exactly these revisions there.
    """
    published = source.published()
    if not published:
        raise PreconditionError(
            f"group {source.name} of {source.chef.url} has no policies", "deploy there first"
        )
    proof = _proof(source, published)
    if not proof and not unverified:
        revisions = ", ".join(f"{p} {revision[:10]}" for p, revision in sorted(published.items()))
        raise PreconditionError(
            f"group {source.name} has no passed verify of what it has now: {revisions}",
            "run ./invoke verify there, or add --unverified, which the history records",
        )
    locks = {name: source.lock(name, revision) for name, revision in published.items()}
    for lock in locks.values():
        source.require_cookbooks(lock)
    held = target.chef.cookbook_artifacts()
    wanted = {
        (name, cookbook["identifier"])
        for lock in locks.values()
        for name, cookbook in lock["cookbook_locks"].items()
    }
    missing = [(name, id_) for name, id_ in sorted(wanted) if id_ not in held.get(name, ())]
    running = {
        reference
        for lock in locks.values()
        for reference in images_of(lock, target.name, groups).values()
    }
    return Plan(target.published(), locks, missing, sorted(running), proof)


def promote(
    source: PolicyGroup, target: PolicyGroup, todo: Plan, provide: Callable[[str], None]
) -> Event | None:
    """Do it; return its event, None where the target had all of it.

    `provide` makes sure that the target's registry has an image ("repository:tag"), or raises: it
    is asked first, so that nothing is published which no node could run.
    """
    for reference in todo.images:
        provide(reference)
    if not todo.changes:
        return None
    note = f"from {source.name}, " + (todo.proof or "unverified")
    event = new_event(target.name, What.PROMOTE, before=todo.before, after=todo.after, note=note)
    with target.history.entry(event) as entry:
        for name, identifier in todo.cookbooks:
            copy_cookbook(source.chef, target.chef, name, identifier)
        for name, lock in todo.locks.items():
            target.assign(name, lock)
    return entry.event


def copy_cookbook(source: Chef, target: Chef, name: str, identifier: str) -> None:
    """Copy a cookbook with its files; raise PreconditionError where the source lacks it."""
    manifest = source.cookbook_artifact(name, identifier)
    if manifest is None:
        raise PreconditionError(f"{source.url} lacks cookbook {name} {identifier[:10]}")
    urls = dict(_files(manifest))
    checksums = sorted(urls)
    for start in range(0, len(checksums), FILES_AT_ONCE):
        chunk = checksums[start : start + FILES_AT_ONCE]
        target.upload({checksum: source.wire.download(urls[checksum]) for checksum in chunk})
    target.create_cookbook_artifact(name, identifier, without_urls(manifest))


def without_urls(value: Any) -> Any:
    """Return a manifest without the addresses that one server has added for its files."""
    if isinstance(value, dict):
        is_file = "checksum" in value
        return {k: without_urls(v) for k, v in value.items() if not (is_file and k == "url")}
    if isinstance(value, list):
        return [without_urls(item) for item in value]
    return value


def _files(value: Any) -> Iterator[tuple[str, str]]:
    """Yield checksum and address of every file of a manifest, however it groups them."""
    if isinstance(value, dict):
        if "checksum" in value and "url" in value:
            yield value["checksum"], value["url"]
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _files(item)


def _proof(source: PolicyGroup, published: Revisions) -> str:
    """Return who has verified what is published now; empty where the newest such look failed.

    Only a look at exactly these revisions counts, whenever it was.
    """
    for event in source.history.newest():
        if event.what is What.VERIFY and event.after == published:
            passed = event.outcome is Outcome.OK
            return f"verified by {event.who}, {event.when}" if passed else ""
    return ""
