"""What `hubfleet.clients.chef` can do, done to a server."""

import hashlib

from hubfleet.pki import ensure_rsa_key, public_pem
from tests.chef_api.target import PREFIX, Target

NODE = f"{PREFIX}node"
BAG = f"{PREFIX}bag"


def test_a_client_changes_its_key_without_a_moment_in_which_none_is_good(target: Target) -> None:
    client = target.new_client(NODE)
    try:
        fresh = public_pem(ensure_rsa_key(target.keys / "fresh.pem"))
        target.operator.create_client_key(NODE, "fresh", fresh)
        assert client.wire.find(f"/clients/{NODE}") is not None
        assert target.operator.client_keys(NODE) == {"default": False, "fresh": False}
        assert target.operator.client_key(NODE, "fresh") == fresh
        assert target.operator.delete_client_key(NODE, "default")
        assert target.operator.client_keys(NODE) == {"fresh": False}
    finally:
        assert target.operator.delete_client(NODE)
        assert not target.operator.delete_client(NODE)


def test_nodes_are_found_by_what_they_are(target: Target) -> None:
    chef = target.new_client(NODE)
    node = {"name": NODE, "policy_name": "hub", "policy_group": "local", "run_list": []}
    chef.wire.object("POST", "/nodes", {**node, "automatic": {"memory": {"total": "1kB"}}})
    try:
        keys = {"name": ["name"], "memory": ["memory", "total"], "none": ["no", "such"]}
        found = target.operator.search("node", f"policy_name:hub AND name:{NODE}", keys)
        assert found == [{"name": NODE, "memory": "1kB", "none": None}]
        assert target.operator.node(NODE)["policy_name"] == "hub"
    finally:
        target.operator.delete_node(NODE)
        target.operator.delete_client(NODE)


def test_an_item_makes_its_data_bag_and_replaces_itself(target: Target) -> None:
    chef = target.operator
    assert chef.data_bag_items(BAG) == []
    try:
        for value in (1, 2):
            chef.save_data_bag_item(BAG, {"id": "one", "value": value})
        assert chef.data_bag_items(BAG) == ["one"]
        assert (chef.data_bag_item(BAG, "one") or {})["value"] == 2
        assert chef.data_bag_item(BAG, "two") is None
        chef.delete_data_bag_items(BAG, ["one", "two"])
        assert chef.data_bag_items(BAG) == []
    finally:
        chef.wire.delete(f"/data/{BAG}")


def test_files_are_uploaded_once(target: Target) -> None:
    content = b"what a recipe needs"
    files = {hashlib.md5(content, usedforsecurity=False).hexdigest(): content}
    for _ in range(2):
        target.operator.upload(files)
