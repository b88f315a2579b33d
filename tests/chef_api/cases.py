"""The authorization matrix: who may do what on each route, and what a refusal looks like.

Written down from the defaults of Chef Infra Server, not from the server's own table. Cells in which
the embedded server is stricter are marked; another server is not asked about them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.chef_api.world import (
    ARTIFACT,
    CHECKSUM,
    CONTENT,
    COOKBOOK,
    LOCK,
    NEW,
    NODE,
    OTHER,
    POLICY,
    THING,
)

VERBS = ("GET", "POST", "PUT", "DELETE")
UNPROVEN = {"unsigned": (400, 401), "unknown": (401,), "deleted": (401,)}
"""Identities that prove nothing: the same answer everywhere."""


@dataclass(frozen=True)
class Endpoint:
    """A route, asked at `path`; statuses of what each kind of client may do: `GET=200 PUT=200`.

    What is not listed is refused. `stricter`: verbs that the defaults of a Chef Infra Server allow
    to an ordinary client; `own`: the object belongs to the client that asks. `local`: another
    server is not asked.
    """

    path: str
    admin: str = ""
    client: str = ""
    validator: str = ""
    controller: str = ""
    stricter: str = ""
    documents: Any = None
    own: bool = False
    local: bool = False

    def allowed(self, kind: str) -> dict[str, int]:
        """Return the verbs that a kind of client may use, with the status of each."""
        pairs = (item.split("=") for item in getattr(self, kind).split())
        return {verb: int(status) for verb, status in pairs}

    def document(self, verb: str) -> Any:
        """Return what is sent with a verb."""
        if verb not in ("POST", "PUT"):
            return None
        found = (self.documents or {}).get(verb)
        return {"name": THING} if found is None else found


@dataclass(frozen=True)
class Case:
    """A cell: who sends what, and the statuses that may answer it."""

    identity: str
    verb: str
    path: str
    expected: tuple[int, ...]
    document: Any = None
    note: str = ""
    local: bool = False
    """True where the embedded server is stricter, or different, by intention."""

    key: str = ""
    """Key that signs, where it is not the client's own."""

    @property
    def group(self) -> str:
        """Name of the test: each cell has its own, but for those who may do nothing on a route."""
        few = self.identity in ("validator", "controller")
        nothing = self.identity in UNPROVEN or few and not self.note
        verb = "" if nothing and self.path != "clients" else self.verb
        words = [self.identity, verb, self.path.replace("/", ".") or "organization", self.note]
        return "-".join(word for word in words if word).replace("hubfleet-test-", "")

    @property
    def kind(self) -> str:
        """What a write changes: the first word of the path."""
        return self.path.split("/", 1)[0]


KEY = {"name": NEW, "public_key": "@second", "expiration_date": "infinity"}
SECOND = {"name": "second", "public_key": "@second"}
DEFAULT = {"name": "default", "public_key": "@own"}
ITEM = {"id": NEW}
READ = "GET=200"

# Formatting by hand keeps a row a line.
# fmt: off
ENDPOINTS = (
    Endpoint("clients", "GET=200 POST=201", "", "POST=201", READ,
             documents={"POST": {"name": NEW, "public_key": "@second"}}),
    Endpoint(f"clients/{NODE}", "", READ, own=True, stricter="PUT DELETE",
             documents={"PUT": {"name": NODE}}),
    Endpoint(f"clients/{OTHER}", "GET=200 PUT=200 DELETE=200",
             documents={"PUT": {"name": OTHER}}),
    Endpoint("clients/bootstrap", "GET=200"),
    Endpoint(f"clients/{NODE}/keys", "", "GET=200 POST=201", own=True, documents={"POST": KEY}),
    Endpoint(f"clients/{OTHER}/keys", "GET=200 POST=201", stricter="GET",
             documents={"POST": KEY}),
    Endpoint(f"clients/{NODE}/keys/second", "", "GET=200 PUT=200 DELETE=200", own=True,
             documents={"PUT": SECOND}),
    Endpoint(f"clients/{NODE}/keys/default", "", READ, own=True, documents={"PUT": DEFAULT}),
    Endpoint(f"clients/{OTHER}/keys/second", "GET=200 PUT=200 DELETE=200", stricter="GET",
             documents={"PUT": SECOND}),
    Endpoint(f"clients/{OTHER}/keys/default", "GET=200 PUT=200 DELETE=200", stricter="GET",
             documents={"PUT": {"name": "default", "public_key": "@second"}}),
    Endpoint(f"principals/{OTHER}", READ, stricter="GET"),
    Endpoint("nodes", "GET=200 POST=201", READ, controller=READ, stricter="POST",
             documents={"POST": {"name": NEW}}),
    Endpoint(f"nodes/{NODE}", "", "GET=200 PUT=200", controller=READ, own=True, stricter="DELETE",
             documents={"PUT": {"name": NODE, **POLICY}}),
    Endpoint(f"nodes/{OTHER}", "GET=200 PUT=200 DELETE=200", READ, controller=READ,
             documents={"PUT": {"name": OTHER, **POLICY}}),
    Endpoint(f"nodes/{OTHER}/_identifiers", READ, local=True),
    Endpoint("policies", READ, READ),
    Endpoint(f"policies/{THING}", "GET=200 DELETE=200", READ),
    Endpoint(f"policies/{THING}/revisions", "POST=201",
             documents={"POST": {**LOCK, "revision_id": "2"}}),
    Endpoint(f"policies/{THING}/revisions/1", "GET=200 DELETE=200", READ),
    Endpoint("policy_groups", READ, READ),
    Endpoint(f"policy_groups/{THING}", "GET=200 DELETE=200", READ),
    Endpoint(f"policy_groups/{THING}/policies/{THING}", "GET=200 PUT=200 DELETE=200", READ,
             documents={"PUT": LOCK}),
    Endpoint("cookbook_artifacts", READ, READ),
    Endpoint(f"cookbook_artifacts/{THING}", READ, READ),
    Endpoint(f"cookbook_artifacts/{THING}/1", "GET=200 PUT=409 DELETE=200", READ,
             documents={"PUT": ARTIFACT}),
    Endpoint(f"file_store/checksums/{CHECKSUM}", "GET=200 PUT=200", READ, local=True,
             documents={"PUT": CONTENT}),
    Endpoint("sandboxes", "POST=201", documents={"POST": {"checksums": {CHECKSUM: None}}}),
    Endpoint(f"sandboxes/{THING}", "PUT=404", documents={"PUT": {"is_completed": True}}),
    Endpoint("search", READ, stricter="GET"),
    Endpoint("search/node", "GET=200 POST=200", "GET=200 POST=200",
             controller="GET=200 POST=200",
             documents={"POST": {"name": ["name"]}}),
    Endpoint("search/client", "GET=200 POST=200", stricter="GET POST",
             documents={"POST": {"name": ["name"]}}),
    Endpoint(f"search/{THING}", "GET=200 POST=200", stricter="GET POST",
             documents={"POST": {"id": ["id"]}}),
    Endpoint("data", "GET=200 POST=201", stricter="GET", documents={"POST": {"name": NEW}}),
    Endpoint(f"data/{THING}", "GET=200 POST=201 DELETE=200", stricter="GET",
             documents={"POST": ITEM}),
    Endpoint(f"data/{THING}/{THING}", "GET=200 PUT=200 DELETE=200", stricter="GET",
             documents={"PUT": {"id": THING}}),
    Endpoint("roles", "GET=200 POST=201", READ, documents={"POST": {"name": NEW}}),
    Endpoint(f"roles/{THING}", "GET=200 PUT=200 DELETE=200", READ),
    Endpoint(f"roles/{THING}/environments", READ, READ),
    Endpoint(f"roles/{THING}/environments/_default", READ, READ),
    Endpoint("environments", "GET=200 POST=201", READ, documents={"POST": {"name": NEW}}),
    Endpoint(f"environments/{THING}", "GET=200 PUT=200 DELETE=200", READ),
    Endpoint(f"environments/{THING}/cookbooks", READ, READ),
    Endpoint(f"environments/{THING}/cookbooks/{THING}", READ, READ),
    Endpoint(f"environments/{THING}/cookbook_versions", "POST=200", "POST=200",
             documents={"POST": {"run_list": []}}),
    Endpoint(f"environments/{THING}/nodes", READ, READ),
    Endpoint(f"environments/{THING}/recipes", READ, READ),
    Endpoint(f"environments/{THING}/roles/{THING}", READ, READ),
    Endpoint("cookbooks", READ, READ),
    Endpoint(f"cookbooks/{THING}", READ, READ),
    Endpoint(f"cookbooks/{THING}/1.0.0", "GET=200 PUT=200 DELETE=200", READ,
             documents={"PUT": COOKBOOK}),
    Endpoint("universe", READ, stricter="GET"),
    Endpoint("controls", "GET=410 POST=410", local=True),
    Endpoint("", "GET=404", local=True),
    Endpoint("users", READ, local=True),
    Endpoint(f"users/{THING}", "GET=404", local=True),
    Endpoint(f"users/{THING}/keys", "GET=404", local=True),
    Endpoint(f"users/{THING}/keys/default", "GET=404", local=True),
    Endpoint(f"users/{THING}/keys/second", "GET=404", local=True),
    Endpoint("association_requests", READ, local=True),
    Endpoint("association_requests/1", local=True),
    Endpoint("containers", "GET=200 POST=405", local=True),
    Endpoint("containers/nodes", "GET=200 PUT=405 DELETE=405", local=True),
    Endpoint("groups", "GET=200 POST=405", local=True),
    Endpoint("groups/admins", "GET=200 PUT=405 DELETE=405", local=True),
    Endpoint("organization/_acl", READ, local=True),
    Endpoint("organizations/_acl", READ, local=True),
    Endpoint("organization/_acl/read", "PUT=404", local=True),
    Endpoint("organizations/_acl/read", "PUT=404", local=True),
    Endpoint(f"nodes/{NODE}/_acl", READ, stricter="GET"),
    Endpoint(f"nodes/{NODE}/_acl/read", "PUT=404", stricter="PUT", local=True),
    Endpoint("_snapshot", local=True),
    Endpoint("_snapshot/parts/0", local=True),
    Endpoint("required_recipe", "GET=404", "GET=404"),
    Endpoint("data-collector", "POST=404", "POST=404", local=True),
    Endpoint(f"reports/nodes/{NODE}/runs", "", "POST=404", own=True, local=True),
    Endpoint(f"reports/nodes/{OTHER}/runs", "POST=404", local=True),
)
# fmt: on

UNKNOWN = ("nothing", "nodes/a/b", "_validator_key", "clients/a/b/c", "authenticate_user")
"""Paths below the organization that are no routes of ours, whatever chef-zero does with some."""

OUTSIDE = ("/", "/users", "/organizations", "/license", "/system_recovery", "/authenticate_user",
           "/organizations/other/nodes", "/version", "/server_api_version", "/dummy",
           "/users/x/keys")  # fmt: skip
"""Paths outside the organization: none of them is served."""


def cells() -> Iterator[Case]:
    """Yield a case for each cell: the table, unknown paths, paths outside, and what bodies tell."""
    for endpoint in ENDPOINTS:
        for verb in VERBS:
            yield from _row(endpoint, verb)
    for path in UNKNOWN:
        for verb in VERBS:
            for identity, expected in (("admin", 404), ("validator", 403), ("client", 403)):
                yield Case(identity, verb, path, (expected,), {"name": THING}, local=True)
    for path in OUTSIDE:
        for identity in ("admin", "client"):
            yield Case(identity, "GET", path, (404,), local=True)
        yield Case("unsigned", "GET", path, UNPROVEN["unsigned"], local=True)
    yield from BODIES


def _row(endpoint: Endpoint, verb: str) -> Iterator[Case]:
    document = endpoint.document(verb)
    cell = Case("", verb, endpoint.path, (), document, local=endpoint.local)
    if not endpoint.own:
        status = endpoint.allowed("admin").get(verb)
        if status is not None:
            yield replace(cell, identity="admin", expected=(status,))
    status = endpoint.allowed("client").get(verb, 403)
    stricter = endpoint.local or verb in endpoint.stricter.split()
    yield replace(cell, identity="client", expected=(status,), local=stricter)
    status = endpoint.allowed("validator").get(verb, 403)
    # The defaults let a validator read what clients may read: our bootstrap key reads nothing.
    stricter = endpoint.local or not endpoint.path.startswith("clients") or verb == "GET"
    yield replace(cell, identity="validator", expected=(status,), local=stricter)
    status = endpoint.allowed("controller").get(verb, 403)
    yield replace(cell, identity="controller", expected=(status,), local=True)
    for identity, expected in UNPROVEN.items():
        yield replace(cell, identity=identity, expected=expected)


def _self(verb: str, path: str, expected: int, document: Any, note: str, **more: Any) -> Case:
    return Case("client", verb, path, (expected,), document, note, **more)


def _mint(expected: int, document: Any, note: str, identity: str = "validator") -> Case:
    return Case(identity, "POST", "clients", (expected,), {"name": NEW, **document}, note)


SELF = f"nodes/{NODE}"
KEYS = f"clients/{NODE}/keys"
BODIES = (
    Case("controller", "DELETE", f"nodes/{OTHER}", (403,), note="no-worker", local=True),
    Case("controller", "DELETE", f"clients/{OTHER}", (403,), note="no-worker", local=True),
    Case("controller", "DELETE", "nodes/i-0123456789abcdef0", (404,), note="gone", local=True),
    Case("controller", "DELETE", "clients/i-0123456789abcdef0", (404,), note="gone", local=True),
    _mint(403, {"controller": True}, "a-controller"),
    _mint(403, {"validator": True}, "another-validator"),
    _mint(403, {"admin": True}, "an-admin"),
    _mint(403, {"admin": "true"}, "an-admin-in-words"),
    _mint(201, {"admin": False, "validator": False, "public_key": "@second"}, "plain"),
    _mint(201, {"admin": True, "public_key": "@second"}, "an-admin", "admin"),
    _mint(201, {"validator": True, "public_key": "@second"}, "a-validator", "admin"),
    _mint(400, {"name": "../nodes/x"}, "no-name", "admin"),
    _mint(400, {"public_key": "nonsense"}, "no-key", "admin"),
    Case("validator", "POST", "clients", (409,),
         {"name": OTHER, "public_key": "@evil"}, "takeover"),
    Case("validator", "PUT", f"clients/{OTHER}", (403,),
         {"name": OTHER, "public_key": "@evil"}, "takeover"),
    _self("PUT", f"clients/{NODE}", 403, {"name": NODE, "admin": True}, "admin", local=True),
    _self("PUT", f"clients/{NODE}", 403, {"name": NODE, "validator": True}, "promoted", local=True),
    _self("PUT", f"clients/{NODE}", 403, {"name": OTHER}, "name", local=True),
    _self("POST", "nodes", 409, {"name": NODE}, "itself-again"),
    _self("POST", "nodes", 403, {"name": OTHER}, "another", local=True),
    _self("POST", "nodes", 403, {}, "nameless", local=True),
    _self("PUT", SELF, 403, {"name": OTHER, **POLICY}, "renamed", local=True),
    _self("PUT", SELF, 403, {**POLICY}, "nameless", local=True),
    _self("PUT", SELF, 403, {"name": NODE, **POLICY, "policy_name": "hub"}, "policy", local=True),
    _self("PUT", SELF, 403, {"name": NODE, **POLICY, "policy_group": "x"}, "group", local=True),
    _self("PUT", SELF, 403, {"name": NODE, **POLICY, "policy_name": None}, "null", local=True),
    _self("PUT", SELF, 403, {"name": NODE}, "without-policy", local=True),
    _self("PUT", f"nodes/{OTHER}", 403, {"name": NODE, **POLICY}, "as-another"),
    _self("PUT", SELF.replace("-", "%2D"), 200, {"name": NODE, **POLICY}, "escaped", local=True),
    _self("PUT", f"{SELF}%2F..%2F{OTHER}", 400, {"name": NODE}, "way-out", local=True),
    # What these do is backup's own matter: here they are let through.
    Case("admin", "GET", "_snapshot", (200,), local=True),
    Case("admin", "PUT", "_snapshot", (400, 409), {}, local=True),
    Case("admin", "PUT", "_snapshot/parts/0", (200,), {}, local=True),
    _self("GET", "search/node?q=name:*&rows=1", 200, None, "paged"),
    _self("GET", "search/node?q=(", 400, None, "broken", local=True),
    _self("GET", "search/node?rows=-1", 400, None, "negative", local=True),
    _self("GET", f"search/client%2Fnode?q={THING}", 400, None, "way-out", local=True),
    _self("POST", KEYS, 403, {"name": NEW, "create_key": True, "expiration_date": "infinity"},
          "made-by-the-server", local=True),
    _self("POST", KEYS, 400, {"name": NEW, "public_key": "@second"}, "endless", local=True),
    _self("DELETE", f"{KEYS}/default", 403, None, "signing"),
    _self("DELETE", f"{KEYS}/second", 403, None, "signing", key="second"),
    _self("PUT", f"{KEYS}/second", 403, SECOND, "signing", key="second"),
    _self("PUT", f"{KEYS}/second", 403, {"name": "second"}, "without-a-key", local=True),
    _self("PUT", f"{KEYS}/default", 200, DEFAULT, "with-another", key="second"),
    _self("DELETE", f"{KEYS}/default", 200, None, "with-another", key="second"),
)  # fmt: skip
