"""What hubfleet, chef-cli, knife and chef-client need of a server, whichever one it is.

Rights and signatures are not the subject here, so plain chef-zero passes as well: what both servers
do is what the Chef API is, not what ours happens to be.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from hubfleet import inventory, policy
from hubfleet.clients import chef_wire, chefcli, process
from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_process import ORGANIZATION, running, start_chef_zero
from hubfleet.clients.chef_wire import ChefServerError, Json, Wire
from hubfleet.pki import ensure_rsa_key, public_pem
from tests.chef_api.target import PREFIX, Target, new_keys
from tests.unit.checkout import Checkout

GROUP = f"{PREFIX}group"
POLICY = "swarm_worker"
RECIPE = "file '/proc/never/converged'\n"


@pytest.fixture(scope="session")
def chef_zero(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a plain chef-zero with our organization."""
    directory = tmp_path_factory.mktemp("zero")
    public = new_keys(directory)
    with running(start_chef_zero(directory / "server")) as server:
        root = server.url.split("/organizations/")[0]
        wire = Wire(root, directory / "operator.pem", public["operator"])
        document = {"name": ORGANIZATION, "full_name": ORGANIZATION}
        wire.object("POST", "/organizations", document)
        yield Target(server.url, public["operator"], directory)


@pytest.fixture(params=["server under test", "chef-zero"])
def server(request: pytest.FixtureRequest, target: Target) -> Target:
    """Return each server in turn; the first may be any, see tests/chef_api/target.py."""
    if request.param == "chef-zero":
        found: Target = request.getfixturevalue("chef_zero")
        return found
    return target


@pytest.fixture
def chef(server: Target) -> Chef:
    return server.operator


def status_of(chef: Chef, method: str, path: str, document: Json | None = None) -> int:
    """Return the HTTP status of a request that need not succeed."""
    try:
        chef.wire.call(method, path, document)
    except ChefServerError as error:
        return error.status
    return 200


def raw(chef: Chef, keys: Path, method: str, path: str, **headers: str) -> requests.Response:
    """Send a signed request; return the bare answer."""
    url = chef.url + path
    key = ensure_rsa_key(keys / f"{chef.client}.pem")
    signed = chef_wire.sign(key, chef.client, method, urlsplit(url).path, "", datetime.now(UTC))
    with requests.Session() as session:
        session.trust_env = False
        accept = {"Accept": "application/json", "X-Chef-Version": "18.0.0"}
        return session.request(method, url, headers={**accept, **signed, **headers}, timeout=30)


@pytest.fixture
def node(chef: Chef) -> Iterator[Json]:
    """Return a node object, as chef-client makes it at first; it is deleted in the end."""
    made = new_node(f"{PREFIX}node-{uuid4()}")
    yield made
    # Not twice: a server may refuse a write that is repeated byte for byte.
    if made["name"] in chef.nodes():
        chef.delete_node(made["name"])


def new_node(name: str, policy_name: str = POLICY, group: str = GROUP) -> Json:
    return {
        "name": name,
        "chef_type": "node",
        "json_class": "Chef::Node",
        "chef_environment": "_default",
        "policy_name": policy_name,
        "policy_group": group,
        "run_list": [],
        "automatic": {},
        "normal": {},
        "default": {},
        "override": {},
    }


def test_a_client_is_created_once_shown_and_deleted(server: Target, chef: Chef) -> None:
    name = f"{PREFIX}client"
    public = public_pem(ensure_rsa_key(server.keys / "some.pem"))
    chef.create_client(name, public)
    try:
        assert name in chef.clients()
        shown = chef.wire.object("GET", f"/clients/{name}")
        assert (shown["name"], shown.get("validator", False)) == (name, False)
        assert status_of(chef, "POST", "/clients", {"name": name, "public_key": public}) == 409
    finally:
        assert chef.delete_client(name)
    assert status_of(chef, "GET", f"/clients/{name}") == 404
    assert not chef.delete_client(f"{name}-that-never-was")


def test_a_second_key_comes_beside_the_first(target: Target) -> None:
    # Not chef-zero, which drops the key that a client is created with.
    chef, name = target.operator, f"{PREFIX}keys"
    public = public_pem(ensure_rsa_key(target.keys / "some.pem"))
    chef.create_client(name, public)
    try:
        chef.create_client_key(name, "second", public)
        assert chef.client_keys(name) == {"default": False, "second": False}
        assert chef.client_key(name, "default") == public
        again = {"name": "second", "public_key": public, "expiration_date": "infinity"}
        assert status_of(chef, "POST", f"/clients/{name}/keys", again) == 409
        assert chef.delete_client_key(name, "default")
        assert not chef.delete_client_key(name, "third")
        assert chef.client_key(name, "default") is None
        assert chef.client_keys(name) == {"second": False}
    finally:
        chef.delete_client(name)


def test_a_node_comes_back_as_it_was_saved(chef: Chef, node: Json) -> None:
    node["automatic"] = {"motd": "grüße, 学生 🐳", "quote": 'a"b\\c', "none": None, "number": 1.5}
    node["normal"] = {"": "an empty key", "a.b/c d": [[], {}, [1, {"x": False}]]}
    chef.wire.object("POST", "/nodes", node)
    saved = chef.node(node["name"])
    assert {key: saved[key] for key in node} == node
    assert node["name"] in chef.nodes()


def test_a_node_of_a_megabyte_is_saved_and_replaced_as_a_whole(chef: Chef, node: Json) -> None:
    chef.wire.object("POST", "/nodes", node)
    node["automatic"] = {f"package-{number}": "x" * 100 for number in range(10_000)}
    chef.wire.object("PUT", f"/nodes/{node['name']}", node)
    assert chef.node(node["name"])["automatic"] == node["automatic"]
    node["automatic"] = {"one": 1}
    chef.wire.object("PUT", f"/nodes/{node['name']}", node)
    assert chef.node(node["name"])["automatic"] == {"one": 1}


def test_what_is_there_and_what_is_not(chef: Chef, node: Json) -> None:
    path = f"/nodes/{node['name']}"
    assert status_of(chef, "GET", path) == 404
    assert status_of(chef, "DELETE", f"{path}-that-never-was") == 404
    chef.wire.object("POST", "/nodes", node)
    assert status_of(chef, "POST", "/nodes", {**node, "normal": {"another": 1}}) == 409
    assert chef.node(node["name"])["normal"] == {}
    assert chef.delete_node(node["name"])
    assert status_of(chef, "GET", path) == 404
    for missing in ("/policies/none", "/policy_groups/none", "/data/none", "/clients/none/keys"):
        assert status_of(chef, "GET", missing) == 404, missing
    assert status_of(chef, "GET", "/cookbook_artifacts/none/0123") == 404


def test_head_answers_like_get_without_a_body(server: Target, chef: Chef, node: Json) -> None:
    chef.wire.object("POST", "/nodes", node)
    there = raw(chef, server.keys, "HEAD", f"/nodes/{node['name']}")
    assert (there.status_code, there.content) == (200, b"")
    assert raw(chef, server.keys, "HEAD", "/nodes/none").status_code == 404


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_every_version_of_the_api_that_clients_ask_for(
    server: Target, chef: Chef, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chef_wire, "API_VERSION", version)
    answer = raw(chef, server.keys, "GET", "/nodes")
    told = json.loads(answer.headers["X-Ops-Server-API-Version"])
    assert answer.status_code == 200
    assert int(told["min_version"]) <= int(version) <= int(told["max_version"])


def test_a_version_of_the_future_is_refused_so_that_clients_can_step_down(
    server: Target, chef: Chef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chef_wire, "API_VERSION", "99")
    assert raw(chef, server.keys, "GET", "/nodes").status_code == 406


@contextmanager
def five_nodes(chef: Chef) -> Iterator[list[str]]:
    """Yield the names of five nodes: three workers and a hub here, a worker in another group."""
    wanted = [(POLICY, GROUP)] * 3 + [("hub", GROUP), (POLICY, f"{GROUP}2")]
    prefix = f"{PREFIX}{uuid4().hex}"
    names = [f"{prefix}{number}" for number in range(len(wanted))]
    for name, (policy_name, group) in zip(names, wanted, strict=True):
        chef.wire.object("POST", "/nodes", new_node(name, policy_name, group))
    try:
        yield names
    finally:
        for name in names:
            chef.delete_node(name)


def found(chef: Chef, query: str) -> list[str]:
    return sorted(row["name"] for row in chef.search("node", query, {"name": ["name"]}))


def test_nodes_are_found_by_policy_and_group(chef: Chef) -> None:
    here = f"policy_group:{GROUP}"
    with five_nodes(chef) as names:
        assert found(chef, f"policy_name:{POLICY} AND {here}") == names[:3]
        assert found(chef, f"{here} AND (policy_name:hub OR policy_name:{POLICY})") == names[:4]
        assert found(chef, f"{here} AND NOT policy_name:hub") == names[:3]
        assert found(chef, f"name:{names[0][:-1]}*") == names
        assert found(chef, "policy_name:none") == []
        assert set(inventory.chef_nodes(chef, GROUP)) == set(names[:4])


def test_search_is_paged(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not chef-zero, which returns nothing from the second page on.
    chef = target.operator
    monkeypatch.setattr("hubfleet.clients.chef.SEARCH_ROWS", 2)
    with five_nodes(chef) as names:
        assert found(chef, f"name:{names[0][:-1]}*") == names
        page = chef.wire.object("GET", f"/search/node?q=name:{names[0][:-1]}*&rows=2&start=4")
        assert (page["total"], page["start"], len(page["rows"])) == (5, 4, 1)
        assert page["rows"][0]["policy_name"] in {POLICY, "hub"}


def test_data_bags(chef: Chef) -> None:
    bag = f"{PREFIX}contract"
    try:
        chef.save_data_bag_item(bag, {"id": "one", "words": "größe"})
        assert bag in chef.data_bags()
        assert (chef.data_bag_item(bag, "one") or {})["words"] == "größe"
        assert status_of(chef, "POST", "/data", {"name": bag}) == 409
        assert status_of(chef, "POST", f"/data/{bag}", {"id": "one"}) == 409
        assert status_of(chef, "GET", f"/data/{bag}/two") == 404
    finally:
        chef.wire.delete(f"/data/{bag}")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a checkout whose cookbooks are empty but for one recipe, with a lock."""
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.add_tools()
    made.add_cookbooks()
    made.add_recipe("notebook_worker", text=RECIPE)
    policy.update([POLICY], root=made.root)
    return made


@pytest.fixture
def pushed(checkout: Checkout, server: Target, tmp_path: Path) -> Iterator[Path]:
    """Publish the policy with chef-cli; return the configuration that did."""
    config = tmp_path / "config.rb"
    config.write_text(
        f"chef_server_url '{server.url}'\nnode_name 'operator'\n"
        f"client_key '{server.keys / 'operator.pem'}'\nauthentication_protocol_version '1.3'\n"
        f"trusted_certs_dir '{tmp_path}'\nssl_ca_file '{server.ca}'\n"
    )
    chefcli.push(checkout.root, f"policyfiles/{POLICY}.rb", GROUP, config)
    yield config
    server.operator.wire.delete(f"/policy_groups/{GROUP}")
    server.operator.wire.delete(f"/policies/{POLICY}")


def test_a_pushed_policy_is_there_with_its_cookbooks_byte_for_byte(
    checkout: Checkout, chef: Chef, pushed: Path
) -> None:
    lock = json.loads((checkout.root / f"policyfiles/{POLICY}.lock.json").read_text())
    revision = lock["revision_id"]
    assert chef.policy_groups()[GROUP] == {POLICY: revision}
    assert chef.policies()[POLICY] == [revision]
    stored = chef.wire.object("GET", f"/policy_groups/{GROUP}/policies/{POLICY}")
    revisions = chef.policy_revision(POLICY, revision) or {}
    assert stored == {key: value for key, value in revisions.items() if key in stored}
    assert (stored["run_list"], stored["default_attributes"]) == (
        lock["run_list"],
        lock["default_attributes"],
    )
    for name, entry in lock["cookbook_locks"].items():
        assert entry["identifier"] in chef.cookbook_artifacts()[name]
    identifier = lock["cookbook_locks"]["notebook_worker"]["identifier"]
    manifest = chef.cookbook_artifact("notebook_worker", identifier) or {}
    assert manifest["frozen?"] in (True, False)
    files = manifest.get("all_files") or [*manifest["recipes"], *manifest["root_files"]]
    [recipe] = [entry for entry in files if entry["path"] == "recipes/default.rb"]
    content = chef.wire.download(recipe["url"])
    assert content == RECIPE.encode()
    assert recipe["checksum"] == hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_chef_cli_shows_what_was_pushed(checkout: Checkout, pushed: Path) -> None:
    program = str(checkout.root / "bin" / "chef")
    argv = [program, "show-policy", POLICY, GROUP, "--config", str(pushed)]
    done = process.run(argv, cwd=checkout.root)
    assert policy.revision(POLICY, checkout.root)[:10] in done.stdout
