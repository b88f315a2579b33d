"""What a node that converges asks of its Chef server: every call, signed ahead of its time. Pure.

The calls are those of chef-client 18 with an empty cache, in its order; a test compares them with
what a real one sends. It downloads every file of every cookbook before it starts (no_lazy_load).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from hubfleet.clients.chef_load import Call
from hubfleet.clients.chef_wire import API_VERSION, sign

GROUP = "bench"
HEADERS = {"Accept": "application/json", "X-Chef-Version": "18.0.0"}
DOWNLOAD = "GET file_store"
SAVE = "PUT nodes"

Json = dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """A published policy: its cookbooks as (name, identifier), the MD5 sums of their files."""

    name: str
    cookbooks: tuple[tuple[str, str], ...]
    files: tuple[str, ...]

    @classmethod
    def of(cls, lock: Json, manifests: Sequence[Json]) -> "Policy":
        """Return the policy of a lock and of its cookbooks' manifests, as the server has them."""
        cookbooks = tuple(
            (name, entry["identifier"]) for name, entry in lock["cookbook_locks"].items()
        )
        files = tuple(file["checksum"] for each in manifests for file in each["all_files"])
        return cls(lock["name"], cookbooks, files)


@dataclass(frozen=True)
class Signer:
    """One client of a server: its name, and its key; without a key its calls are not signed."""

    root: str
    """Path of the organization."""

    name: str
    key: rsa.RSAPrivateKey | None

    def call(
        self,
        method: str,
        path: str,
        at: datetime,
        status: int,
        document: Json | None = None,
        checksum: str = "",
    ) -> Call:
        """Return a call to a path below the organization that will be sent about the time `at`."""
        body = b"" if document is None else json.dumps(document).encode()
        full = f"{self.root}/{path}"
        headers = {**HEADERS, "X-Ops-Server-API-Version": API_VERSION, "X-Ops-UserId": self.name}
        if checksum:
            headers["Accept"] = "*/*"
        if body:
            headers["Content-Type"] = "application/json"
        if self.key:
            headers |= sign(self.key, self.name, method, full, body, at)
        kind = f"{method} {path.split('/')[0]}"
        return Call(kind, method, full, headers, status, body, checksum)


@dataclass(frozen=True)
class Converge:
    """The calls of one run of chef-client: some in a row, the downloads side by side, the rest."""

    before: tuple[Call, ...]
    downloads: tuple[Call, ...]
    after: tuple[Call, ...]

    def __len__(self) -> int:
        return len(self.before) + len(self.downloads) + len(self.after)


@dataclass(frozen=True)
class Member:
    """A replayed node of the fleet: its client, and the policy that it converges."""

    signer: Signer
    policy: Policy

    def document(self, node: Json) -> Json:
        """Return what another node has saved, as a node object of this one."""
        own = {"name": self.signer.name, "policy_name": self.policy.name, "policy_group": GROUP}
        return {**node, **own}

    def converge(self, node: Json, at: datetime) -> Converge:
        """Return the first run of this node, which its server does not know yet.

        `node` is what a real chef-client has saved.
        """
        name, call = self.signer.name, self.signer.call
        empty: Json = {"automatic": {}, "normal": {}, "default": {}, "override": {}}
        before = [
            call("GET", f"nodes/{name}", at, 404),
            call("POST", "nodes", at, 201, {**self.document(node), **empty}),
            call("GET", f"policy_groups/{GROUP}/policies/{self.policy.name}", at, 200),
        ]
        before += [
            call("GET", f"cookbook_artifacts/{cookbook}/{identifier}", at, 200)
            for cookbook, identifier in self.policy.cookbooks
        ]
        downloads = tuple(
            call("GET", f"file_store/checksums/{checksum}", at, 200, checksum=checksum)
            for checksum in self.policy.files
        )
        after = (call("GET", "required_recipe", at, 404), self.save(node, at, 1))
        return Converge(tuple(before), downloads, after)

    def save(self, node: Json, at: datetime, number: int) -> Call:
        """Return a save of this node; `number` makes it differ from its others, as time does."""
        automatic = {**node.get("automatic", {}), "ohai_time": at.timestamp() + number}
        document = {**self.document(node), "automatic": automatic}
        return self.signer.call("PUT", f"nodes/{self.signer.name}", at, 200, document)


def names(count: int) -> list[str]:
    """Return names of nodes as the fleet gives them."""
    return [f"i-{number:017x}" for number in range(1, count + 1)]


def arrivals(nodes: Sequence[str], seconds: float) -> Mapping[str, float]:
    """Return when each node starts, in seconds from 0 to `seconds`.

    As systemd's fixed splay does, a hash of its name tells a node how long to wait: some meet.
    """
    return {name: seconds * _fraction(name) for name in nodes}


def _fraction(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64
