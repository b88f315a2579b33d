"""Locks made, exported, converged and published by the real chef-cli, chef-client and chef-zero."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hubfleet import policy, settings
from hubfleet.clients import chefcli
from hubfleet.errors import CommandError
from hubfleet.state import Deployment, Ports, write_private
from tests.unit.checkout import Checkout

BUNDLE = settings.ROOT / "bin" / "_bundle"
LOCAL = "environments/local.json"
START_TIMEOUT_S = 30


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a git checkout in which roles and environment meet at both levels, with a lock."""
    made = Checkout(tmp_path_factory.mktemp("a checkout"))
    made.add_tools()
    made.add_cookbooks()
    made.set("roles/hub.json", "default_attributes.hub.admin_users", ["ann", "bob"])
    made.set(LOCAL, "default_attributes.hub.admin_users", ["eve"])
    made.set("roles/base.json", "override_attributes.chef_client.splay_s", 63)
    made.set(LOCAL, "override_attributes.chef_client.interval_s", 64)
    made.set(LOCAL, "default_attributes.chef_client.splay_s", 65)
    git(made, "init", "--quiet")
    changes = policy.update(["hub"], root=made.root)
    assert [(change.policy, change.old) for change in changes] == [("hub", "")]
    commit(made)
    return made


def git(checkout: Checkout, *args: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *who, *args], cwd=checkout.root, check=True, capture_output=True, text=True
    )
    return done.stdout


def commit(checkout: Checkout) -> None:
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "state")


def test_the_same_input_gives_the_same_lock(checkout: Checkout) -> None:
    (change,) = policy.update(["hub"], root=checkout.root)
    assert not change.changed
    chefcli.update(checkout.root, "policyfiles/hub.rb")
    assert git(checkout, "status", "--short") == ""


def test_an_edit_makes_a_new_revision_and_its_revert_the_old_one(checkout: Checkout) -> None:
    before = checkout.read("roles/base.json")
    checkout.set("roles/base.json", "default_attributes.docker.log_max_files", 7)
    (there,) = policy.update(["hub"], root=checkout.root)
    checkout.set_text("roles/base.json", json.dumps(before, indent=2))
    (back,) = policy.update(["hub"], root=checkout.root)
    assert there.changed and (there.old, there.new) == (back.new, back.old)
    assert git(checkout, "status", "--short") == ""


def test_chef_shows_what_is_wrong_with_a_role(checkout: Checkout) -> None:
    before = checkout.read("roles/hub.json")
    checkout.set("roles/hub.json", "default_attributes.hub.prt", 1)
    with pytest.raises(CommandError) as raised:
        chefcli.update(checkout.root, "policyfiles/hub.rb")
    checkout.set_text("roles/hub.json", json.dumps(before, indent=2))
    assert "hub.prt: unknown key (did you mean 'port'?)" in raised.value.output


def test_a_converged_node_has_the_attributes_that_python_computes(
    checkout: Checkout, tmp_path: Path
) -> None:
    archive = policy.export("hub", tmp_path, root=checkout.root)
    assert git(checkout, "status", "--short") == ""
    written = archive.stat().st_mtime_ns
    assert policy.export("hub", tmp_path, root=checkout.root).stat().st_mtime_ns == written
    (tmp_path / "repo").mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path / "repo"], check=True)
    node = converge(tmp_path / "repo")
    expected = settings.expected_attributes("hub", "local", checkout.root)
    assert without_chefs_own(node["default"]) == expected["default"]
    assert node["override"] == expected["override"]
    merged = node_view(node)
    wanted = settings.role_settings("hub", "local", checkout.root)
    assert {key: merged[key] for key in wanted} == wanted
    assert merged["chef_client"] == {"interval_s": 64, "splay_s": 63}
    assert merged["hub"]["admin_users"] == ["eve"]
    groups = set(settings.environments(checkout.root))
    assert set(without_chefs_own(merged)) == {
        *wanted,
        *groups,
        *node["automatic"],
        "tags",
    }


VIEW = """
require 'chef'
node = Chef::Node.from_hash(JSON.parse($stdin.read))
puts JSON.generate(node.attributes.merged_attributes.to_h)
"""


def without_chefs_own(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return `attributes` without those that chef-client itself brings (audit mode, vaults)."""
    return {key: value for key, value in attributes.items() if key not in ("audit", "chef-vault")}


def node_view(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node's attributes as recipes see them: merged by Chef itself."""
    done = subprocess.run(
        [BUNDLE, "ruby", "-e", VIEW],
        input=json.dumps(node),
        check=True,
        capture_output=True,
        text=True,
    )
    merged: dict[str, Any] = json.loads(done.stdout)
    return merged


def converge(repo: Path) -> dict[str, Any]:
    """Run chef-client in local mode and return the node object that it saved."""
    options = ["--local-mode", "--config", ".chef/config.rb", "--node-name", "probe"]
    done = subprocess.run(
        [BUNDLE, "chef-client", *options, "--minimal-ohai", "--lockfile", repo / "lock"],
        cwd=repo,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    node: dict[str, Any] = json.loads((repo / "nodes" / "probe.json").read_text())
    return node


class OnChefZero(Deployment):
    """A deployment whose Chef server is a chef-zero without TLS."""

    @property
    def chef_server_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.chef}"


@pytest.fixture
def deployment(checkout: Checkout) -> Iterator[Deployment]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = OnChefZero("local", "local", checkout.root, Ports(chef=port))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    for file in (made.operator_key, made.ca_crt, made.chef_config):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_private(made.operator_key, pem)
    write_private(made.ca_crt, "unused without TLS\n")
    config = f"chef_server_url '{made.chef_server_url}'\nnode_name 'operator'\n"
    write_private(made.chef_config, f"{config}client_key '{made.operator_key}'\n")
    server = subprocess.Popen(
        [BUNDLE, "chef-zero", "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield made
    finally:
        server.terminate()
        server.wait(10)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("chef-zero has not started")


def test_a_policy_is_published_once(checkout: Checkout, deployment: Deployment) -> None:
    (first,) = policy.push(deployment, ["hub"])
    assert first == policy.Change("hub", "", policy.revision("hub", checkout.root))
    server = policy.connect(deployment)
    assert server.policy_groups() == {"local": {"hub": first.new}}
    assert server.policies() == {"hub": [first.new]}
    (second,) = policy.push(deployment, ["hub"])
    assert not second.changed
    assert git(checkout, "status", "--short", "policyfiles") == ""
