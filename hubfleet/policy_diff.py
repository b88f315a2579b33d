"""What each kind of node would get: the published lock of a group beside the checkout's.

A lock is compared as the group's nodes see it. Of the cookbooks that differ, the files are compared
by their checksums; text that changed is fetched and shown.
"""

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hubfleet import cookbooks, policy
from hubfleet.clients.chef import Chef
from hubfleet.console import Console
from hubfleet.policy_group import PolicyGroup, hoisted, images_of
from hubfleet.settings import environments
from hubfleet.settings_schema import Json

LARGEST_TEXT = 100_000
"""Bytes of a file up to which its lines are compared."""


@dataclass(frozen=True)
class Value:
    """One value that changed; None is "not there"."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class File:
    """A file that is `added`, `removed` or `changed`; `diff` is unified, for text that changed."""

    path: str
    state: str
    diff: str = ""


@dataclass(frozen=True)
class PolicyDiff:
    """What differs for the nodes of one policy; `old` is empty where none is published."""

    policy: str
    old: str
    new: str
    run_list: list[str] = field(default_factory=list)
    """Lines that begin with `-` or `+`, in their order."""
    cookbooks: dict[str, list[File]] = field(default_factory=dict)
    attributes: list[Value] = field(default_factory=list)
    images: list[Value] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Say whether the revision is another one."""
        return self.old != self.new

    def as_json(self) -> Json:
        """Return it as a JSON object."""
        return asdict(self) | {"changed": self.changed}


def compare(group: PolicyGroup, root: Path, names: Iterable[str] | None = None) -> list[PolicyDiff]:
    """Compare a group with the checkout. Raises PreconditionError where a lock is stale."""
    wanted = list(names) if names is not None else policy.policies(root)
    policy.require_fresh(root, wanted)
    published = group.published()
    found = []
    for name in wanted:
        new = policy.lock(name, root)
        old = group.lock(name, published[name]) if name in published else {}
        found.append(_compare(group, root, name, old, new))
    return found


def _compare(group: PolicyGroup, root: Path, name: str, old: Json, new: Json) -> PolicyDiff:
    revisions = str(old.get("revision_id", "")), str(new["revision_id"])
    if revisions[0] == revisions[1]:
        return PolicyDiff(name, *revisions)
    groups = environments(root)
    seen = [_plain(hoisted(lock, group.name, groups)) for lock in (old, new)]
    images = [images_of(lock, group.name, groups) for lock in (old, new)]
    return PolicyDiff(
        name,
        *revisions,
        list_diff(old.get("run_list", []), new["run_list"]),
        _cookbooks(group.chef, root, old.get("cookbook_locks", {}), new["cookbook_locks"]),
        values_diff(seen[0], seen[1]),
        values_diff(images[0], images[1]),
    )


def _plain(attributes: Json) -> Json:
    """Return attributes without what is shown as images."""
    return {key: value for key, value in attributes.items() if key != "images"}


def list_diff(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Return the lines of a unified comparison that were taken out (`-`) or put in (`+`)."""
    return [line for line in difflib.ndiff(old, new) if line[0] in "-+"]


def values_diff(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[Value]:
    """Return what differs in two trees, each with its dotted path; lists are compared whole."""
    found: list[Value] = []
    for key in sorted(old.keys() | new.keys()):
        here = f"{path}.{key}" if path else key
        mine, theirs = old.get(key), new.get(key)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found += values_diff(mine, theirs, here)
        elif isinstance(mine, dict) and key not in new:
            found += values_diff(mine, {}, here)
        elif isinstance(theirs, dict) and key not in old:
            found += values_diff({}, theirs, here)
        elif (key in old) != (key in new) or repr(mine) != repr(theirs):
            # As text: to Python 1, 1.0 and True are equal.
            found.append(Value(here, mine, theirs))
    return found


def files_diff(old: Mapping[str, str], new: Mapping[str, str]) -> list[File]:
    """Return which files differ; both map paths to checksums."""
    states = {
        path: "added" if path not in old else "removed" if path not in new else "changed"
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    }
    return [File(path, state) for path, state in states.items()]


def text_diff(path: str, old: bytes, new: bytes) -> str:
    """Return a unified comparison; empty for what is no text, or too large for a screen."""
    if max(len(old), len(new)) > LARGEST_TEXT or b"\0" in old + new:
        return ""
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return ""
    names = (f"published/{path}", f"checkout/{path}")
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm=""))


def _cookbooks(chef: Chef, root: Path, old: Json, new: Json) -> dict[str, list[File]]:
    found = {}
    for name in sorted(old.keys() | new.keys()):
        ids = [locks.get(name, {}).get("identifier", "") for locks in (old, new)]
        if ids[0] != ids[1]:
            manifest = (chef.cookbook_artifact(name, ids[0]) if ids[0] else None) or {}
            folder = root / policy.FOLDER / new[name]["source"] if ids[1] else None
            found[name] = list(_files(chef, name, manifest, folder))
    return found


def _files(chef: Chef, name: str, manifest: Json, folder: Path | None) -> Iterator[File]:
    published = {file["path"]: file for file in manifest.get("all_files", [])}
    old = {path: str(file["checksum"]) for path, file in published.items()}
    new = {}
    for path in cookbooks.uploaded(folder) if folder else ():
        content = (folder / path).read_bytes() if folder else b""
        new[path] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for file in files_diff(old, new):
        if file.state != "changed" or folder is None:
            yield file
            continue
        before = chef.wire.download(published[file.path]["url"])
        diff = text_diff(f"{name}/{file.path}", before, (folder / file.path).read_bytes())
        yield File(file.path, file.state, diff)


def show(console: Console, found: Sequence[PolicyDiff], group: str) -> None:
    """Print it on stdout."""
    changed = [diff for diff in found if diff.changed]
    if not changed:
        console.out(f"no differences: group {group} has what this checkout describes")
    shown: dict[str, str] = {}
    for diff in changed:
        was = diff.old[:10] or "not published"
        console.out(f"{diff.policy}: {was} -> {diff.new[:10]}")
        lines = list(_lines(diff, shown))
        for line in lines or [f"nothing that nodes of group {group} see"]:
            console.out(f"  {line}")


def _lines(diff: PolicyDiff, shown: dict[str, str]) -> Iterator[str]:
    """Yield what differs; `shown` maps cookbooks to the policy that has shown their files."""
    yield from (f"run list {line}" for line in diff.run_list)
    for name, files in diff.cookbooks.items():
        if (first := shown.setdefault(name, diff.policy)) != diff.policy:
            yield f"cookbook {name}: as for {first}"
            continue
        for file in files:
            yield f"cookbook {name}: {file.state} {file.path}"
            yield from (f"    {line}" for line in file.diff.splitlines())
    for kind, values in (("", diff.attributes), ("image ", diff.images)):
        for value in values:
            yield f"{kind}{value.path}: {_shown(value.old)} -> {_shown(value.new)}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value) if isinstance(value, str) else repr(value)
