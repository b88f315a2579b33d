"""The status on AWS asks a real Chef server, behind TLS, at the other end of a session."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from moto import mock_aws

from hubfleet.aws import tunnel
from hubfleet.aws.status import status
from hubfleet.clients.aws import Aws
from hubfleet.clients.chef_process import free_port, running, start_embedded
from hubfleet.settings import load
from hubfleet.state import ROOT, Deployment, Ports
from tests.chef_api.target import Target, new_keys
from tests.chef_api.tls import behind_tls
from tests.unit.session_manager import answering, gone, install, notes
from tests.unit.test_aws_status import NEW, machine

ENVIRONMENT = "staging"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    for name in ("roles", "environments", "images"):
        (tmp_path / name).symlink_to(ROOT / name)
    return Deployment.create(ENVIRONMENT, ENVIRONMENT, Ports(1, free_port(), 3), tmp_path)


@pytest.fixture
def chef(tmp_path: Path, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a server whose first clients have the deployment's keys, and its CA."""
    keys = tmp_path / "keys"
    keys.mkdir()
    public = new_keys(keys)
    deployment.operator_key.parent.mkdir(parents=True)
    shutil.copy(keys / "operator.pem", deployment.operator_key)
    deployment.pki_dir.mkdir()
    with (
        running(start_embedded(tmp_path / "server", public)) as server,
        behind_tls(server.url, deployment.pki_dir) as (url, _),
    ):
        monkeypatch.setattr(tunnel, "HTTPS", urlsplit(url).port)
        yield server.url


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with mock_aws():
        yield Aws(load(ENVIRONMENT).fleet.aws.region)


def converged(target: Target, name: str, ago_s: float) -> None:
    """Save a node as chef-client does after a converge that began so long ago."""
    node = {
        "name": name,
        "json_class": "Chef::Node",
        "chef_type": "node",
        "chef_environment": "_default",
        "policy_name": "hub",
        "policy_group": ENVIRONMENT,
        "normal": {},
        "default": {},
        "override": {},
        "automatic": {"ohai_time": time.time() - ago_s, "policy_revision": "ab" * 32},
        "run_list": [],
    }
    target.operator.wire.object("POST", "/nodes", node)


def test_revisions_converges_and_who_is_missing(
    deployment: Deployment,
    chef: str,
    aws: Aws,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = install(tmp_path, monkeypatch)
    settings = load(ENVIRONMENT)
    server, hub, other = (machine(aws, role, NEW) for role in ("chef_server", "hub", "hub"))
    target = Target(chef, deployment.ca_crt, tmp_path / "keys")
    converged(target, hub, 60)
    converged(target, other, 86400)
    converged(target, "i-gone", 60)
    outputs = {
        "url": "https://localhost:1",
        "machines": {"chef_server": server},
        "images": {},
        "queue": "none",
        "dead_letters": "none",
        "homes": {"file_system": "fs-0123456789abcdef0"},
    }
    with answering(aws, tunnel.HTTPS, deployment.ports.chef, server) as stub:
        found = status(ENVIRONMENT, settings, outputs, aws, deployment)
        stub.assert_no_pending_responses()
    assert found["chef"] == {
        "problem": "",
        "revisions": {},
        "missing": [server],
        "strays": ["i-gone"],
    }
    nodes = {node["id"]: node for node in found["nodes"]}
    assert 60 <= nodes[hub]["converged_s_ago"] < 120
    assert (nodes[hub]["in_chef"], nodes[hub]["problem"]) == (True, "")
    assert nodes[hub]["policy_revision"] == "ab" * 32
    assert nodes[server]["in_chef"] is False
    text = "\n".join(found["problems"])
    assert f"hub {other} has not converged successfully for 1 d" in text
    assert f"chef_server {server} is no node of the Chef server" in text
    assert "Chef node i-gone has no machine" in text
    assert gone(notes(noted)["pid"])


def test_without_the_plugin_the_rest_is_there_and_it_says_why(
    deployment: Deployment, aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    hub = machine(aws, "hub", NEW)
    outputs = {
        "url": "https://localhost:1",
        "machines": {"chef_server": "i-c"},
        "images": {"hub": NEW},
        "queue": "none",
        "dead_letters": "none",
        "homes": {"file_system": "fs-0123456789abcdef0"},
    }
    found = status(ENVIRONMENT, load(ENVIRONMENT), outputs, aws, deployment)
    assert "session-manager-plugin is not installed" in found["chef"]["problem"]
    assert found["chef"]["revisions"] is None
    assert [(node["id"], node["in_chef"]) for node in found["nodes"]] == [(hub, None)]
    assert not [problem for problem in found["problems"] if "Chef" in problem]
