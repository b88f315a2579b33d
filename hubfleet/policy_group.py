"""A policy group of a Chef server: what it has now, what it had, what its nodes are given."""

import json
from collections.abc import Sequence
from typing import Any

from hubfleet.clients.chef import Chef
from hubfleet.errors import PreconditionError
from hubfleet.history import History, Revisions
from hubfleet.settings_documents import merge
from hubfleet.settings_schema import Json
from hubfleet.state import Deployment

ADDED_BY_SERVER = "policy_group_list"
"""What a server adds to the revision that it is asked for; no part of the lock."""


class PolicyGroup:
    """The policy group `name` of a Chef server."""

    def __init__(self, chef: Chef, name: str) -> None:
        self.chef = chef
        self.name = name
        self.history = History(chef, name)

    def published(self) -> Revisions:
        """Return the revision of each of its policies."""
        return self.history.published()

    def lock(self, policy: str, revision: str) -> Json:
        """Return the lock of a revision, of this group now or not.

        Raises PreconditionError where the server does not hold it, or not all of its cookbooks.
        """
        found = self.chef.policy_revision(policy, revision)
        if found is None:
            raise PreconditionError(
                f"the Chef server no longer holds revision {revision[:10]} of policy {policy}",
                "it was removed, as `chef clean-policy-revisions` does with what no group uses:"
                " check out the commit that it came from, and publish that",
            )
        return {key: value for key, value in found.items() if key != ADDED_BY_SERVER}

    def require_cookbooks(self, lock: Json) -> None:
        """Raise PreconditionError where the server lacks a cookbook that the lock names."""
        held = self.chef.cookbook_artifacts()
        missing = [
            name
            for name, cookbook in lock["cookbook_locks"].items()
            if cookbook["identifier"] not in held.get(name, ())
        ]
        if missing:
            raise PreconditionError(
                f"the Chef server no longer holds the cookbooks of {lock['name']}"
                f" {lock['revision_id'][:10]}: {', '.join(missing)}",
                "check out the commit that it came from, and publish that",
            )

    def assign(self, policy: str, lock: Json) -> None:
        """Make a lock the group's policy; raise PreconditionError where it was stored otherwise."""
        self.chef.assign_policy(self.name, policy, lock)
        stored = self.lock(policy, lock["revision_id"])
        if canonical(stored) != canonical(lock):
            raise PreconditionError(
                f"the Chef server holds another document as revision {lock['revision_id'][:10]}"
                f" of policy {policy}",
                f"remove it: chef delete-policy {policy}, and publish it again",
            )


def of(deployment: Deployment, chef: Chef) -> PolicyGroup:
    """Return the group of a deployment: that of its environment."""
    return PolicyGroup(chef, deployment.environment)


def canonical(document: Any) -> str:
    """Return the one text of a JSON document: two are equal where their texts are."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def hoisted(lock: Json, group: str, groups: Sequence[str]) -> Json:
    """Return the attributes that nodes of `group` see: default below override, the group's hoisted.

    `groups` are all policy groups that may have attributes of their own in the lock.
    """
    seen: Json = {}
    for level in ("default_attributes", "override_attributes"):
        own = dict(lock.get(level) or {})
        special = {name: own.pop(name, {}) for name in {*groups, group}}
        seen = merge(seen, merge(own, special[group]))
    return seen


def images_of(lock: Json, group: str, groups: Sequence[str]) -> dict[str, str]:
    """Return the images that nodes of `group` run by this lock, as name -> `repository:tag`."""
    named = hoisted(lock, group, groups).get("images", {})
    return {name: f"{image['repository']}:{image['tag']}" for name, image in named.items()}
