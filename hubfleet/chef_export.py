"""A Chef server's content as a knife repository, through the ordinary API of any Chef server.

The layout is that of `knife download` (Chef::ChefFS, repo_mode hosted_everything), so that
`knife upload` puts it on another server:

    clients/NAME.json                    with the public key; not the client that exports
    cookbook_artifacts/NAME-IDENTIFIER/  the cookbook's files
    data_bags/BAG/ITEM.json
    nodes/NAME.json
    policies/NAME-REVISION.json
    policy_groups/NAME.json

A client's further keys, which that layout has no place for, are in client_keys/NAME/KEY.json.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hubfleet.clients.chef import Chef
from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.state import make_private_dir, write_private

DEFAULT_KEY = "default"


def export(chef: Chef, target: Path) -> dict[str, int]:
    """Write everything below `target`; return how many objects of each kind there are.

    Raises PreconditionError where `target` holds anything already, HubfleetError where the server
    names something that would lie outside of it.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PreconditionError(f"{target} is not an empty directory", "name another one")
    make_private_dir(target)
    written: Counter[str] = Counter()
    for name, content in _objects(chef):
        write_private(_below(target, f"{name}.json"), _text(content))
        written[name.split("/")[0]] += 1
    for name, files in _artifacts(chef):
        for path, content in files:
            write_private(_below(target, f"cookbook_artifacts/{name}/{path}"), content)
        written["cookbook_artifacts"] += 1
    return dict(sorted(written.items()))


def _objects(chef: Chef) -> Iterator[tuple[str, Any]]:
    for name in chef.nodes():
        yield f"nodes/{name}", chef.node(name)
    yield from _clients(chef)
    for name, revisions in chef.policies().items():
        for revision in revisions:
            lock = chef.policy_revision(name, revision) or {}
            # What a server adds when it is asked; the groups say it themselves.
            yield f"policies/{name}-{revision}", {**lock, "policy_group_list": None}
    for group, policies in chef.policy_groups().items():
        if policies:
            members = {name: {"revision_id": revision} for name, revision in policies.items()}
            yield f"policy_groups/{group}", {"name": group, "policies": members}
    for bag in chef.data_bags():
        for item in chef.data_bag_items(bag):
            yield f"data_bags/{bag}/{item}", chef.data_bag_item(bag, item)


def _clients(chef: Chef) -> Iterator[tuple[str, Any]]:
    for name in chef.clients():
        if name == chef.client:
            continue
        found = chef.wire.object("GET", f"/clients/{name}")
        keys = [key for key in chef.client_keys(name) if key != DEFAULT_KEY]
        yield (
            f"clients/{name}",
            {
                "name": name,
                "validator": bool(found.get("validator")),
                "admin": bool(found.get("admin")),
                "public_key": chef.client_key(name, DEFAULT_KEY),
            },
        )
        for key in keys:
            yield (
                f"client_keys/{name}/{key}",
                chef.wire.object("GET", f"/clients/{name}/keys/{key}"),
            )


def _artifacts(chef: Chef) -> Iterator[tuple[str, Iterator[tuple[str, bytes]]]]:
    for name, identifiers in chef.cookbook_artifacts().items():
        for identifier in identifiers:
            yield f"{name}-{identifier}", _files(chef, name, identifier)


def _files(chef: Chef, name: str, identifier: str) -> Iterator[tuple[str, bytes]]:
    manifest = chef.cookbook_artifact(name, identifier) or {}
    for file in manifest.get("all_files", []):
        yield file["path"], chef.wire.download(file["url"])


def _below(target: Path, name: str) -> Path:
    """Return a path below `target`; names come from a server, and may not lead out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise HubfleetError(f"the Chef server names a file outside the repository: {name!r}")
    return target / path


def _text(content: Any) -> str:
    """Return JSON as knife writes it; what has no value is left out at the top."""
    kept = {key: value for key, value in content.items() if value is not None}
    return json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
