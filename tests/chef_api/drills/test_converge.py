"""chef-client itself, with the rights of a node: it registers, converges, does not move itself."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubfleet.clients import process
from hubfleet.clients.chef_wire import ChefServerError
from hubfleet.state import ROOT
from tests.chef_api.target import PREFIX, Target

NODE = f"{PREFIX}converging"
POLICY = f"{PREFIX}policy"
COOKBOOK = f"{PREFIX}cookbook"
RECIPE = b"log search(:node, 'policy_name:*').map(&:name).join(',')\n"
CONFIG = """
chef_server_url '{url}'
node_name '{node}'
client_key '{directory}/client.pem'
validation_client_name 'bootstrap'
validation_key '{directory}/bootstrap.pem'
authentication_protocol_version '1.3'
policy_name '{policy}'
policy_group '{group}'
ssl_ca_file '{ca}'
trusted_certs_dir '{directory}/trusted'
file_cache_path '{directory}/cache'
file_backup_path '{directory}/backup'
cache_path '{directory}'
lockfile '{directory}/lock'
minimal_ohai true
http_retry_count 0
chef_license 'accept-no-persist'
"""


@pytest.fixture
def lock(target: Target) -> Iterator[dict[str, Any]]:
    """Publish a policy whose one cookbook changes nothing; return its lock."""
    chef = target.operator
    checksum = hashlib.md5(RECIPE, usedforsecurity=False).hexdigest()
    identifier = hashlib.sha1(RECIPE, usedforsecurity=False).hexdigest()
    chef.upload({checksum: RECIPE})
    manifest = {
        "name": COOKBOOK,
        "identifier": identifier,
        "version": "1.0.0",
        "chef_type": "cookbook_version",
        "frozen?": False,
        "metadata": {"name": COOKBOOK, "version": "1.0.0", "dependencies": {}},
        "all_files": [
            {
                "name": "recipes/default.rb",
                "path": "recipes/default.rb",
                "checksum": checksum,
                "specificity": "default",
            }
        ],
    }
    chef.create_cookbook_artifact(COOKBOOK, identifier, manifest)
    lock = {
        "name": POLICY,
        "revision_id": identifier,
        "run_list": [f"recipe[{COOKBOOK}::default]"],
        "cookbook_locks": {
            COOKBOOK: {
                "identifier": identifier,
                "version": "1.0.0",
                "dotted_decimal_identifier": "1.1.1",
            }
        },
        "default_attributes": {},
        "override_attributes": {},
    }
    for group in ("one", "two"):
        chef.assign_policy(PREFIX + group, POLICY, lock)
    yield lock
    for group in ("one", "two"):
        chef.wire.delete(f"/policy_groups/{PREFIX}{group}")
    chef.wire.delete(f"/policies/{POLICY}")
    chef.wire.delete(f"/cookbook_artifacts/{COOKBOOK}/{identifier}")
    chef.delete_node(NODE)
    chef.delete_client(NODE)


def converge(target: Target, directory: Path, group: str) -> process.Completed:
    """Run chef-client once for a policy group, with all its files under `directory`."""
    text = CONFIG.format(
        url=target.url, node=NODE, directory=directory, policy=POLICY, group=group, ca=target.ca
    )
    (directory / "client.rb").write_text(text)
    argv: list[str | Path] = [
        ROOT / "bin" / "_bundle",
        "chef-client",
        "-c",
        directory / "client.rb",
    ]
    argv += ["--no-color", "--no-fork", "-l", "info", "-L", directory / "log"]
    return process.run(argv, cwd=ROOT, timeout=120, check=False)


def test_a_node_registers_and_converges_but_does_not_move_itself(
    target: Target, lock: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copy(target.keys / "bootstrap.pem", tmp_path / "bootstrap.pem")
    first = converge(target, tmp_path, f"{PREFIX}one")
    assert first.returncode == 0, (tmp_path / "log").read_text()
    node = target.operator.node(NODE)
    assert (node["policy_name"], node["policy_group"]) == (POLICY, f"{PREFIX}one")
    assert node["automatic"]["recipes"] == lock["run_list"][0][7:-1].split()

    (tmp_path / "bootstrap.pem").unlink()
    moved = converge(target, tmp_path, f"{PREFIX}two")
    assert moved.returncode != 0
    assert '403 "Forbidden"' in (tmp_path / "log").read_text()
    assert target.operator.node(NODE)["policy_group"] == f"{PREFIX}one"
    shutil.copy(tmp_path / "client.pem", target.keys / f"{NODE}.pem")
    with pytest.raises(ChefServerError, match="an administrator moves it"):
        target.as_client(NODE).wire.object("PUT", f"/nodes/{NODE}", {"name": NODE})

    # An administrator moves it, and then it converges again.
    target.operator.wire.object("PUT", f"/nodes/{NODE}", {**node, "policy_group": f"{PREFIX}two"})
    last = converge(target, tmp_path, f"{PREFIX}two")
    assert last.returncode == 0, (tmp_path / "log").read_text()
    assert target.operator.node(NODE)["policy_group"] == f"{PREFIX}two"
