"""What the matrix is asked about: clients with keys, and one object of each kind."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from hubfleet.pki import ensure_rsa_key, public_pem
from tests.chef_api.raw import Raw
from tests.chef_api.target import PREFIX

Json = dict[str, Any]
CONTENT = b"what a recipe needs"
CHECKSUM = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
NAMES = {
    name: f"{PREFIX}{name}"
    for name in ("node", "other", "new", "deleted", "unknown", "thing", "second", "evil")
}
NODE, OTHER, NEW, THING = (NAMES[name] for name in ("node", "other", "new", "thing"))
POLICY = {"policy_name": THING, "policy_group": THING}
LOCK = {
    "name": THING,
    "revision_id": "1",
    "run_list": ["recipe[a::default]"],
    "cookbook_locks": {},
}
METADATA = {"name": THING, "version": "1.0.0"}
ARTIFACT = {"name": THING, "identifier": "1", "version": "1.0.0", "metadata": METADATA}
COOKBOOK = {
    "name": f"{THING}-1.0.0",
    "cookbook_name": THING,
    "version": "1.0.0",
    "json_class": "Chef::CookbookVersion",
    "chef_type": "cookbook_version",
    "frozen?": False,
    "all_files": [],
    "metadata": METADATA,
}


@dataclass
class World:
    """The objects of the tests on a server, kept by its operator."""

    raw: Raw
    public: dict[str, str] = field(default_factory=dict)

    def public_key(self, name: str) -> str:
        """Return the public key (PEM) that belongs to keys/NAME.pem, made on the first call."""
        if name not in self.public:
            key = ensure_rsa_key(self.raw.target.keys / f"{name}.pem")
            self.public[name] = public_pem(key)
        return self.public[name]

    def key_document(self, name: str, owner: str = "second") -> Json:
        """Return the document of a key that does not expire."""
        public = self.public_key(NAMES.get(owner, owner))
        return {"name": name, "public_key": public, "expiration_date": "infinity"}

    def build(self, *, objects: bool = True) -> None:
        """Create the clients, two of which cannot sign, their nodes, and all other objects."""
        for name in (NAMES["deleted"], NODE, OTHER):
            self.operator("DELETE", f"clients/{name}")
            document = {"name": name, "public_key": self.public_key(name)}
            self.operator("POST", "clients", document, (201,))
        self.operator("DELETE", f"clients/{NAMES['deleted']}", None, (200,))
        self.public_key(NAMES["unknown"])
        self.ensure("" if objects else "nodes")

    def ensure(self, kind: str = "") -> None:
        """Put every object, or those of a kind, into the state that the cases begin with."""
        for path in self.unwanted():
            if path.startswith(kind):
                self.operator("DELETE", path)
        if kind in ("", "clients", "nodes"):
            self.ensure_nodes()
        for verb, path, document in self.objects():
            if path.startswith(kind[:5]):
                self.operator(verb, path, document)

    def ensure_nodes(self) -> None:
        """Put the two nodes and their clients into the state that the cases begin with."""
        for name in (OTHER, NODE):
            client = {"name": name, "public_key": self.public_key(name)}
            self.operator("POST", "clients", client)
            self.operator("POST", f"clients/{name}/keys", self.key_document("default", name))
            self.operator("POST", f"clients/{name}/keys", self.key_document("second"))
            node = {"name": name, "run_list": [], **POLICY}
            if self.operator("PUT", f"nodes/{name}", node) == 404:
                self.operator("POST", "nodes", node, (201,))

    def unwanted(self) -> list[str]:
        """Return the paths of what the cases create."""
        lists = ("clients", "nodes", "roles", "environments", "data")
        keys = [f"clients/{name}/keys/{NEW}" for name in (NODE, OTHER)]
        return [f"{kind}/{NEW}" for kind in lists] + keys + [f"data/{THING}/{NEW}"]

    def objects(self) -> list[tuple[str, str, Any]]:
        """Return the requests that make one object of each kind."""
        return [
            ("PUT", f"file_store/checksums/{CHECKSUM}", CONTENT),
            ("PUT", f"cookbook_artifacts/{THING}/1", ARTIFACT),
            ("PUT", f"cookbooks/{THING}/1.0.0", COOKBOOK),
            ("PUT", f"policy_groups/{THING}/policies/{THING}", LOCK),
            ("POST", "roles", {"name": THING, "env_run_lists": {}}),
            ("POST", "environments", {"name": THING}),
            ("POST", "data", {"name": THING}),
            ("POST", f"data/{THING}", {"id": THING}),
        ]

    def destroy(self) -> None:
        """Remove everything that the tests have made."""
        kinds = ("nodes", "clients", "roles", "environments", "data")
        names = (NODE, OTHER, THING)
        paths = [f"{kind}/{name}" for kind in kinds for name in names] + [
            f"policy_groups/{THING}",
            f"policies/{THING}",
            f"cookbooks/{THING}/1.0.0",
            f"cookbook_artifacts/{THING}/1",
        ]
        for path in [*self.unwanted(), *paths]:
            self.operator("DELETE", path)

    def operator(
        self, verb: str, path: str, document: Any = None, expected: tuple[int, ...] = ()
    ) -> int:
        """Ask as the operator; an error of the server's own, or an unexpected answer, ends it."""
        answer = self.raw.ask("operator", verb, path, document)
        wanted = expected or (200, 201, 404, 409)
        assert answer.status in wanted, f"{verb} {path}: {answer.status} {answer.text}"
        return answer.status
