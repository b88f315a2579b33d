"""The authorization matrix, cell by cell.

No route is without a cell, and no control without a cell that goes red when it is off.
"""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hubfleet.state import ROOT
from tests.chef_api.cases import Case, cells
from tests.chef_api.raw import Answer, Raw
from tests.chef_api.target import Target
from tests.chef_api.world import NAMES, NODE, World

NOT_SERVED = {
    "file_store/**": "checksums alone",
    "_validator_key": "there is no such key",
    "users/*/keys/default": "as users/*/keys/*",
    "clients/*/keys/default": "as clients/*/keys/*",
    "organization/_acl/*": "rights are the table",
    "organizations/_acl/*": "rights are the table",
    "*/*/_acl/*": "rights are the table",
    "association_requests/*": "there are no users",
}
"""Routes of chef-zero that are no rows of the table."""

READ_ONLY = ("", "users", "users/*", "association_requests", "containers", "containers/*",
             "groups", "groups/*")  # fmt: skip
"""Routes of which chef-zero would let an administrator change what nothing reads."""

CELLS = list(cells())
"""All of them, a test for each; but for clients that prove nothing, one for each route."""

CLIENTS = {
    "admin": "operator",
    "validator": "bootstrap",
    "controller": "fleet",
    "client": NODE,
    "unknown": NAMES["unknown"],
    "deleted": NAMES["deleted"],
}


@pytest.fixture(scope="module")
def world(target: Target) -> Iterator[World]:
    """Return the objects that the cells are about, on the server of the run."""
    world = World(Raw(target))
    world.build()
    yield world
    world.destroy()
    world.raw.close()


def asked(world: World, case: Case) -> Answer:
    """Send what a case says."""
    document = _with_keys(world, case.document)
    if case.identity == "unsigned":
        body = document if isinstance(document, bytes) else "{}" if document else ""
        return world.raw.send(case.verb, case.path, {"Content-Type": "application/json"}, body)
    key = NAMES[case.key] if case.key else ""
    return world.raw.ask(CLIENTS[case.identity], case.verb, case.path, document, key=key)


def groups() -> list[list[Case]]:
    """Return the cells as they are tested together."""
    found: dict[str, list[Case]] = {}
    for case in CELLS:
        found.setdefault(case.group, []).append(case)
    return list(found.values())


@pytest.mark.parametrize("group", groups(), ids=lambda group: group[0].group)
def test_cell(world: World, group: list[Case]) -> None:
    for case in group:
        if case.local and os.environ.get("HUBFLEET_CHEF_URL"):
            pytest.skip("the embedded server's own rule")
        answer = asked(world, case)
        if answer.status < 300 and case.verb != "GET":
            world.ensure(case.kind)
        assert answer.status in case.expected, f"{case.verb} {answer}"


def _matches(route: str, path: str) -> bool:
    parts = route.split("/")
    pattern = "/".join("[^/]+" if part in ("*", ":self") else re.escape(part) for part in parts)
    return re.fullmatch(pattern, path) is not None


@pytest.fixture(scope="module")
def routes(loosened: Target) -> dict[str, Any]:
    """Return the routes of chef-zero and of the server's table, as Ruby knows them."""
    file = loosened.keys.parent / "loosened" / "data.routes.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_the_table_knows_every_route_that_chef_zero_answers(routes: dict[str, Any]) -> None:
    prefix = "/organizations/*"
    zero = {route.removeprefix(prefix).removeprefix("/"): set(verbs)
            for route, verbs in routes["zero"] if route.startswith(prefix)}  # fmt: skip
    table: dict[str, set[str]] = {}
    for path, rights in routes["table"]:
        if "admin" in rights:
            table[path] = set(rights["admin"])
    assert sorted(set(zero) - set(table)) == sorted(NOT_SERVED)
    for path in set(zero) & set(table):
        expected = {"GET"} if path in READ_ONLY else zero[path]
        assert table[path] == expected, path


def test_every_row_of_the_table_has_cells(routes: dict[str, Any]) -> None:
    for path, rights in routes["table"]:
        for kind, verbs in rights.items():
            given = [case for case in CELLS if case.identity == kind and _matches(path, case.path)]
            assert {case.verb for case in given} >= set(verbs), (path, kind)


@pytest.fixture(scope="module")
def loose(loosened: Target) -> Iterator[World]:
    """Return the objects of the cells on a server that lets everybody do everything."""
    world = World(Raw(loosened, "rights"))
    world.build()
    yield world
    world.raw.close()


def refusals() -> list[Case]:
    """Return the cells that authorization refuses by 403."""
    return [case for case in CELLS if case.expected == (403,)]


def test_every_refusal_is_missed_when_rights_are_off(loose: World) -> None:
    for case in refusals():
        answer = asked(loose, case)
        assert answer.status not in case.expected, f"{case} cannot fail"
        if case.kind == "clients" and case.verb in ("PUT", "DELETE"):
            loose.ensure_nodes()


CONDITIONS = {
    "plain_client": ["another-validator", "an-admin", "an-admin-in-words", "a-controller"],
    "of_a_worker": ["no-worker"],
    "brings_public_key": ["made-by-the-server"],
    "another_key": ["signing"],
    "replaces_another_key": ["signing", "without-a-key"],
    "named_as_client": ["another"],
    "keeps_its_policy": ["renamed", "policy", "group", "null", "without-policy"],
}
"""Condition of the server's table -> notes of the cells that are about it."""


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_cells_of_a_condition_are_missed_when_it_is_off(
    loosened: Target, condition: str
) -> None:
    world = World(Raw(loosened, f"condition:{condition}"))
    world.build(objects=False)
    verb = {"another_key": "DELETE", "replaces_another_key": "PUT"}.get(condition)
    about = [case for case in refusals() if case.note in CONDITIONS[condition]
             and case.identity != "admin" and verb in (None, case.verb)
             and not case.path.startswith("clients/" if verb is None else "nodes")]  # fmt: skip
    if condition == "brings_public_key":
        about = [case for case in refusals() if case.note == "made-by-the-server"]
    assert about
    for case in about:
        assert asked(world, case).status not in case.expected, f"{case} cannot fail"
        world.ensure_nodes()
    world.raw.close()


def test_conditions_are_all_tested(routes: dict[str, Any]) -> None:
    file = ROOT / "cookbooks/chef_api/files/default/hubfleet-chef-api/lib/chef_api/authorization.rb"
    assert set(re.findall(r"=> :(\w+)", file.read_text())) == set(CONDITIONS)


@pytest.mark.parametrize(("policy", "status"), [("swarm_worker", 200), ("hub", 403)])
def test_the_controller_deletes_workers_and_no_other_machine(
    world: World, policy: str, status: int
) -> None:
    if os.environ.get("HUBFLEET_CHEF_URL"):
        pytest.skip("the embedded server's own rule")
    name = "i-0123456789abcdef1"
    key = world.public_key(NAMES["second"])
    world.operator("POST", "clients", {"name": name, "public_key": key}, (201,))
    world.operator("POST", "nodes", {"name": name, "policy_name": policy, "policy_group": "x"})
    try:
        for kind in ("clients", "nodes"):
            answer = world.raw.ask("fleet", "DELETE", f"{kind}/{name}", None)
            assert answer.status == status, answer
    finally:
        world.operator("DELETE", f"nodes/{name}")
        world.operator("DELETE", f"clients/{name}")


def _with_keys(world: World, document: Any) -> Any:
    """Return a document with the public keys that it speaks of by name."""
    if not isinstance(document, dict) or "public_key" not in document:
        return document
    given = document["public_key"]
    names = {"@own": NODE, "@second": NAMES["second"], "@evil": NAMES["evil"]}
    public = world.public_key(names[given]) if given in names else given
    return {**document, "public_key": public}
