"""The migration drill: knife uploads a server's export to others, which then hold the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubfleet.chef_export import export
from hubfleet.clients import process
from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_process import running, start_chef_zero
from hubfleet.clients.chef_wire import Json
from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.pki import ensure_rsa_key, public_pem
from hubfleet.state import ROOT
from tests.chef_api.servers import Machine, md5, push

METADATA = b"name 'web'\nversion '0.0.1'\n"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine.new(tmp_path / "first", tmp_path / "keys")
    yield made
    made.stop()


def populate(machine: Machine) -> None:
    """Something of every kind that an export knows."""
    chef = machine.operator
    machine.target.new_client("worker")
    chef.create_client_key(
        "worker", "second", public_pem(ensure_rsa_key(machine.keys / "spare.pem"))
    )
    node = {"name": "worker", "policy_name": "web", "policy_group": "group", "run_list": []}
    chef.wire.object("POST", "/nodes", {**node, "automatic": {"memory": {"total": "1kB"}}})
    files = {
        "metadata.rb": METADATA,
        "metadata.json": json.dumps({"name": "web", "version": "0.0.1"}).encode(),
        "recipes/default.rb": b"package 'nginx'\n",
        "files/default/logo.png": bytes(range(256)),
        "libraries/deep/er/unit.rb": b"module Web; end\n",
    }
    push(chef, "group", "web", 1, files)
    push(chef, "other", "web", 1, files)
    chef.save_data_bag_item("bag", {"id": "item", "text": "ü", "nested": {"a": [1, None]}})


def held(chef: Chef) -> Json:
    """What a server holds, as far as servers agree on how they say it."""
    artifacts = {
        (name, identifier): sorted(
            (file["path"], md5(chef.wire.download(file["url"])))
            for file in (chef.cookbook_artifact(name, identifier) or {})["all_files"]
        )
        for name, identifiers in chef.cookbook_artifacts().items()
        for identifier in identifiers
    }
    locks = ("name", "revision_id", "run_list", "cookbook_locks")
    attributes = ("name", "policy_name", "policy_group", "automatic", "normal", "run_list")
    found: dict[str, Any] = {
        "nodes": [{key: chef.node(name).get(key) for key in attributes} for name in chef.nodes()],
        "keys": {
            name: (chef.client_key(name, "default") or "").strip()
            for name in ("worker", "bootstrap")
        },
        "groups": {group: found for group, found in chef.policy_groups().items() if found},
        "policies": [
            {key: (chef.policy_revision(name, revision) or {})[key] for key in locks}
            for name, revisions in chef.policies().items()
            for revision in revisions
        ],
        "artifacts": artifacts,
        "bags": {
            bag: [chef.data_bag_item(bag, item) for item in chef.data_bag_items(bag)]
            for bag in chef.data_bags()
        },
    }
    return found


def knife_upload(repository: Path, chef: Chef, key: Path, config: Path) -> None:
    """Run knife as its user does."""
    lines = [
        f"node_name '{chef.client}'",
        f"client_key '{key}'",
        f"chef_server_url '{chef.url}'",
        "authentication_protocol_version '1.3'",
    ]
    config.write_text("\n".join(lines) + "\n")
    layout = ["--chef-repo-path", ".", "--repo-mode", "hosted_everything"]
    # As docs/howto says it: the groups need the policies.
    for paths in (
        ["/clients", "/nodes", "/data_bags", "/cookbook_artifacts", "/policies"],
        ["/policy_groups"],
    ):
        process.run(
            [ROOT / "bin/_bundle", "knife", "upload", *paths, *layout, "--config", config],
            cwd=repository,
            timeout=120,
        )


def test_an_export_makes_the_same_of_other_servers(machine: Machine, tmp_path: Path) -> None:
    populate(machine)
    repository = tmp_path / "repository"
    counts = export(machine.operator, repository)
    assert counts == {
        "client_keys": 1,
        "clients": 3,
        "cookbook_artifacts": 1,
        "data_bags": 1,
        "nodes": 1,
        "policies": 1,
        "policy_groups": 2,
    }
    wanted = held(machine.operator)
    machine.stop()
    key, ca = machine.keys / "operator.pem", machine.public["operator"]

    with running(start_chef_zero(tmp_path / "zero")) as zero:
        plain = Chef(zero.url, key, ca)
        organizations = Chef(zero.url.rpartition("/organizations")[0], key, ca)
        organizations.wire.call("POST", "/organizations", {"name": "hubfleet", "full_name": "h"})
        knife_upload(repository, plain, key, tmp_path / "zero.rb")
        assert held(plain) == wanted

    fresh = Machine.new(tmp_path / "second", tmp_path / "keys")
    with running(fresh.process or pytest.fail()):
        knife_upload(repository, fresh.operator, key, tmp_path / "embedded.rb")
        assert held(fresh.operator) == wanted
        assert fresh.damage() == []
        # Its own key opens the new server to the node.
        assert fresh.target.as_client("worker").node("worker")["name"] == "worker"


def test_what_is_there_already_is_not_mixed_with_an_export(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("")
    with pytest.raises(PreconditionError, match="not an empty directory"):
        export(machine.operator, tmp_path / "used")


def test_no_name_of_a_server_leads_out_of_the_repository(machine: Machine, tmp_path: Path) -> None:
    push(machine.operator, "group", "web", 1, {"../../../evil.rb": b"x"})
    with pytest.raises(HubfleetError, match="outside the repository"):
        export(machine.operator, tmp_path / "repository")
    assert not list(tmp_path.rglob("evil.rb"))
