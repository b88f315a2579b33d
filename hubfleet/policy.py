"""Policy locks: are they what the JSON says, make them anew, publish them, export them.

A lock is stale as soon as a role, an environment, images/lock.json or a cookbook differs from what
it was made from; `check_locks` finds that without Ruby. Chef itself would deploy such a lock, or
quietly re-identify its cookbooks, so everything here that hands a lock on refuses a stale one.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubfleet import images
from hubfleet.chef_server import endpoint
from hubfleet.clients import chefcli
from hubfleet.clients.chef import Chef
from hubfleet.console import Console
from hubfleet.cookbooks import identifier
from hubfleet.errors import HubfleetError, PreconditionError, UsageError, nearest
from hubfleet.settings import (
    ROOT,
    environments,
    load,
    named_run_lists,
    policy_attributes,
    run_list,
)
from hubfleet.settings_schema import Json, render_schema
from hubfleet.state import Deployment

FOLDER = "policyfiles"
SCHEMA = "schema/attributes.schema.json"
REMEDY = "run ./invoke policy.update and commit the locks"


@dataclass(frozen=True)
class Change:
    """What became of one policy: its revision before ("" for none) and now."""

    policy: str
    old: str
    new: str

    @property
    def changed(self) -> bool:
        """Say whether the revision is another one."""
        return self.old != self.new


def policies(root: Path = ROOT) -> list[str]:
    """Return the names of all policies, sorted."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.rb"))


def revision(policy: str, root: Path = ROOT) -> str:
    """Return the revision id of a policy's lock, or "" where it has none."""
    return str(_read(root, policy)["revision_id"])


def lock(policy: str, root: Path = ROOT) -> Json:
    """Return a policy's lock; raise PreconditionError where it has none."""
    found = _read(root, policy)
    if not found["revision_id"]:
        raise PreconditionError(f"{_lock(policy)}: missing, or not a policy lock", REMEDY)
    return found


def check_locks(root: Path = ROOT, names: Iterable[str] | None = None) -> list[str]:
    """Return what is stale, as `file: key: why`; empty where every lock is what the JSON says.

    Raises SettingsError where a role or an environment is itself wrong. Needs no Ruby.
    """
    return [
        f"{_lock(policy)}: {problem}"
        for policy in _wanted(names, root)
        for problem in _problems(policy, root)
    ]


def require_fresh(root: Path = ROOT, names: Iterable[str] | None = None) -> None:
    """Raise PreconditionError where a lock is stale."""
    stale = check_locks(root, names)
    if stale:
        raise PreconditionError("stale policy locks:\n" + "\n".join(stale), REMEDY)


def update(
    names: Iterable[str] | None = None, console: Console | None = None, root: Path = ROOT
) -> list[Change]:
    """Bring all that is generated up to date: the attributes' schema, images/lock.json, the locks.

    What is fresh is left alone. Raises SettingsError where a role or an environment is wrong,
    before any policy lock is written, and CommandError with chef-cli's words.
    """
    wanted = _wanted(names, root)
    schema = root / SCHEMA
    if not schema.is_file() or schema.read_text(encoding="utf-8") != render_schema():
        schema.write_text(render_schema(), encoding="utf-8")
    if images.write_lock(root) and console:
        console.say("images/lock.json: updated")
    for environment in environments(root):
        load(environment, root)
    changes = []
    for policy in wanted:
        old = revision(policy, root)
        if _problems(policy, root) or _names_checkout(policy, root):
            chefcli.update(root, f"{FOLDER}/{policy}.rb")
        if problems := _problems(policy, root):
            raise HubfleetError(
                f"{_lock(policy)}: chef-cli made another lock than the JSON says: {problems[0]}",
                "policyfiles/lib and hubfleet/settings*.py must agree: run the tests",
            )
        changes.append(Change(policy, old, revision(policy, root)))
        if console:
            console.say(_sentence(changes[-1]))
    return changes


def push(deployment: Deployment, names: Iterable[str] | None = None) -> list[Change]:
    """Publish policies to the deployment's Chef server, for the group of its environment.

    Returns what the group had and has now; a revision that is there already is not sent again.
    Raises PreconditionError where a lock is stale or the server cannot be reached.
    """
    root = deployment.root
    wanted = _wanted(names, root)
    require_fresh(root, wanted)
    group = connect(deployment).policy_groups().get(deployment.environment, {})
    changes = []
    for policy in wanted:
        change = Change(policy, group.get(policy, ""), revision(policy, root))
        if change.changed:
            with _unchanged_lock(root, policy):
                chefcli.push(
                    root, f"{FOLDER}/{policy}.rb", deployment.environment, deployment.chef_config
                )
        changes.append(change)
    return changes


def export(policy: str, target_dir: Path, group: str = "local", root: Path = ROOT) -> Path:
    """Return an archive of the policy for `chef-client --local-mode`, made where it is not there.

    Raises PreconditionError where the lock is stale.
    """
    require_fresh(root, _wanted([policy], root))
    folder = target_dir / group
    archive = folder / f"{policy}-{revision(policy, root)}.tgz"
    if not archive.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with _unchanged_lock(root, policy):
            chefcli.export(root, f"{FOLDER}/{policy}.rb", folder, group)
        if not archive.is_file():
            raise HubfleetError(f"chef export has not written {archive}")
    return archive


def connect(deployment: Deployment) -> Chef:
    """Return the deployment's Chef server, as the operator."""
    server = endpoint(deployment)
    return Chef(server.url, deployment.operator_key, server.ca, server.operator)


def _wanted(names: Iterable[str] | None, root: Path) -> list[str]:
    known = policies(root)
    wanted = known if names is None else list(names)
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"there is no policy '{name}'{nearest(name, known)}",
                f"policies: {', '.join(known)}",
            )
    return wanted


def _lock(policy: str) -> str:
    return f"{FOLDER}/{policy}.lock.json"


def _read(root: Path, policy: str) -> Json:
    """Return a lock's content; `{"revision_id": ""}` where it is missing or broken."""
    try:
        lock = json.loads((root / _lock(policy)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        lock = None
    return lock if isinstance(lock, dict) and "revision_id" in lock else {"revision_id": ""}


def _problems(policy: str, root: Path) -> list[str]:
    attributes = policy_attributes(policy, root)
    lock = _read(root, policy)
    if not lock["revision_id"]:
        return ["missing, or not a policy lock"]
    found = []
    if lock.get("name") != policy:
        found.append(f"name: the lock is of policy '{lock.get('name')}'")
    if lock.get("run_list") != run_list(policy, root):
        found.append("run_list: not that of the roles")
    if lock.get("named_run_lists", {}) != named_run_lists(policy, root):
        found.append("named_run_lists: not the recipes `image` of its cookbooks")
    for level, wanted in attributes.items():
        key = f"{level}_attributes"
        found += _differences(lock.get(key), wanted, key)
    return found + list(_stale_cookbooks(lock.get("cookbook_locks", {}), root))


def _differences(have: Any, wanted: Any, path: str) -> Iterator[str]:
    if isinstance(have, dict) and isinstance(wanted, dict):
        for key in sorted(have.keys() | wanted.keys()):
            if key not in have:
                yield f"{path}.{key}: not in the lock"
            elif key not in wanted:
                yield f"{path}.{key}: only in the lock"
            else:
                yield from _differences(have[key], wanted[key], f"{path}.{key}")
    # As text: to Python 1, 1.0 and True are equal.
    elif json.dumps(have) != json.dumps(wanted):
        yield f"{path}: the lock has {json.dumps(have)}, the JSON says {json.dumps(wanted)}"


def _stale_cookbooks(locks: Json, root: Path) -> Iterator[str]:
    for name, lock in locks.items():
        folder = root / FOLDER / lock["source"]
        if not folder.is_dir():
            yield f"cookbook_locks.{name}: there is no such cookbook any more"
        elif identifier(folder) != lock["identifier"]:
            yield f"cookbook_locks.{name}: the cookbook has been edited"


def _names_checkout(policy: str, root: Path) -> bool:
    """Say whether a lock names the git commit that it was made in (policyfiles/lib has the why)."""
    return any(lock["scm_info"] for lock in _read(root, policy)["cookbook_locks"].values())


@contextmanager
def _unchanged_lock(root: Path, policy: str) -> Iterator[None]:
    """Put a lock back as it was: chef-cli writes it anew even where the revision is the same."""
    file = root / _lock(policy)
    before, old = file.read_bytes(), revision(policy, root)
    try:
        yield
    finally:
        if revision(policy, root) == old and file.read_bytes() != before:
            file.write_bytes(before)
    if revision(policy, root) != old:
        raise PreconditionError(f"{_lock(policy)}: a cookbook was edited meanwhile", REMEDY)


def _sentence(change: Change) -> str:
    if not change.changed:
        return f"{change.policy}: unchanged ({change.new[:10]})"
    return f"{change.policy}: {change.old[:10] or 'none'} -> {change.new[:10]}"
