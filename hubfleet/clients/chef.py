"""What a Chef organization holds: nodes, clients and keys, policies, cookbooks, data bags."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

from hubfleet.clients.chef_wire import TIMEOUT_S, ChefServerError, Json, Wire

SEARCH_ROWS = 1000
"""Rows of one search request; more are asked for page by page."""


class Chef:
    """A Chef organization at `url`, as client `client` with its private key.

    Methods raise PreconditionError where the server cannot be reached or is not the pinned one,
    ChefServerError where it refuses. What is deleted may be gone already.
    """

    def __init__(
        self, url: str, key: Path, ca: Path, client: str = "operator", timeout: float = TIMEOUT_S
    ) -> None:
        self.url = url
        self.client = client
        self.wire = Wire(url, key, ca, client, timeout)

    def nodes(self) -> list[str]:
        """Return the names of all nodes, sorted."""
        return sorted(self.wire.object("GET", "/nodes"))

    def node(self, name: str) -> Json:
        """Return a node object as chef-client has saved it."""
        return self.wire.object("GET", f"/nodes/{name}")

    def delete_node(self, name: str) -> bool:
        """Delete a node object; return whether there was one."""
        return self.wire.delete(f"/nodes/{name}")

    def search(self, index: str, query: str, keys: Mapping[str, Sequence[str]]) -> list[Json]:
        """Return all rows that match; `keys`: name in a row -> path of the attribute under it."""
        rows: list[Json] = []
        while True:
            page = urlencode({"q": query, "start": len(rows), "rows": SEARCH_ROWS})
            wanted = {name: list(path) for name, path in keys.items()}
            found = self.wire.object("POST", f"/search/{index}?{page}", wanted)
            rows += [row["data"] for row in found["rows"]]
            if not found["rows"] or len(rows) >= found["total"]:
                return rows

    def clients(self) -> list[str]:
        """Return the names of all clients, sorted."""
        return sorted(self.wire.object("GET", "/clients"))

    def create_client(self, name: str, public_key: str) -> None:
        """Create a client whose public key (PEM) is known, so that no private key travels."""
        self.wire.object("POST", "/clients", {"name": name, "public_key": public_key})

    def delete_client(self, name: str) -> bool:
        """Delete a client and its keys; return whether there was one."""
        return self.wire.delete(f"/clients/{name}")

    def client_keys(self, client: str) -> dict[str, bool]:
        """Return the names of a client's keys, and whether each has expired."""
        found = self.wire.call("GET", f"/clients/{client}/keys")
        return {key["name"]: bool(key["expired"]) for key in found}

    def client_key(self, client: str, key: str) -> str | None:
        """Return a client's public key (PEM) by its name, None where it has none of that name."""
        found = self.wire.find(f"/clients/{client}/keys/{key}")
        return None if found is None else str(found["public_key"])

    def create_client_key(self, client: str, key: str, public_key: str) -> None:
        """Add a public key (PEM), which is good for signing beside the others and never expires."""
        document = {"name": key, "public_key": public_key, "expiration_date": "infinity"}
        self.wire.object("POST", f"/clients/{client}/keys", document)

    def delete_client_key(self, client: str, key: str) -> bool:
        """Delete one key of a client; return whether there was one."""
        return self.wire.delete(f"/clients/{client}/keys/{key}")

    def policies(self) -> dict[str, list[str]]:
        """Return the revisions that the server holds of each policy, sorted."""
        found = self.wire.object("GET", "/policies")
        return {name: sorted(policy["revisions"]) for name, policy in found.items()}

    def policy_groups(self) -> dict[str, dict[str, str]]:
        """Return for each policy group the revision of each of its policies."""
        found = self.wire.object("GET", "/policy_groups")
        return {
            group: {
                policy: entry["revision_id"] for policy, entry in data.get("policies", {}).items()
            }
            for group, data in found.items()
        }

    def policy_revision(self, policy: str, revision: str) -> Json | None:
        """Return the lock that the server holds under a revision, None where it does not."""
        return self.wire.find(f"/policies/{policy}/revisions/{revision}")

    def assign_policy(self, group: str, policy: str, lock: Json) -> None:
        """Make a lock the policy of a group; the cookbooks it names must be there."""
        self.wire.object("PUT", f"/policy_groups/{group}/policies/{policy}", lock)

    def cookbook_artifacts(self) -> dict[str, list[str]]:
        """Return the identifiers that the server holds of each cookbook, sorted."""
        found = self.wire.object("GET", "/cookbook_artifacts")
        return {
            name: sorted(version["identifier"] for version in cookbook["versions"])
            for name, cookbook in found.items()
        }

    def cookbook_artifact(self, name: str, identifier: str) -> Json | None:
        """Return a cookbook's manifest, None where there is none; its files have `url`s."""
        return self.wire.find(f"/cookbook_artifacts/{name}/{identifier}")

    def create_cookbook_artifact(self, name: str, identifier: str, manifest: Json) -> None:
        """Store a cookbook's manifest, whose files must have been uploaded."""
        self.wire.object("PUT", f"/cookbook_artifacts/{name}/{identifier}", manifest)

    def upload(self, files: Mapping[str, bytes]) -> None:
        """Upload files by their MD5 sums in hexadecimal; those that are there are not sent."""
        sums = dict.fromkeys(files)
        sandbox = self.wire.object("POST", "/sandboxes", {"checksums": sums})
        for checksum, entry in sandbox["checksums"].items():
            if entry["needs_upload"]:
                self.wire.upload(entry["url"], files[checksum])
        document = {"is_completed": True}
        self.wire.object("PUT", f"/sandboxes/{sandbox['sandbox_id']}", document)

    def data_bags(self) -> list[str]:
        """Return the names of all data bags, sorted."""
        return sorted(self.wire.object("GET", "/data"))

    def data_bag_items(self, bag: str) -> list[str]:
        """Return the ids of a data bag's items, sorted; none where there is no such bag."""
        return sorted(self.wire.find(f"/data/{bag}") or ())

    def data_bag_item(self, bag: str, item: str) -> Json | None:
        """Return an item of a data bag, None where there is none."""
        return self.wire.find(f"/data/{bag}/{item}")

    def save_data_bag_item(self, bag: str, item: Json) -> None:
        """Create or replace an item (its `id` names it), and the data bag where it is missing."""
        try:
            self.wire.object("PUT", f"/data/{bag}/{item['id']}", item)
        except ChefServerError as error:
            if error.status != 404:
                raise
            self._create_item(bag, item)

    def delete_data_bag_items(self, bag: str, items: Iterable[str]) -> None:
        """Delete items of a data bag."""
        for item in items:
            self.wire.delete(f"/data/{bag}/{item}")

    def _create_item(self, bag: str, item: Json) -> None:
        try:
            self.wire.object("POST", "/data", {"name": bag})
        except ChefServerError as error:
            if error.status != 409:
                raise
        self.wire.object("POST", f"/data/{bag}", item)
