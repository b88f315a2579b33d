"""Every node: a healthy systemd, a chef-client with nothing left to do, no secret in sight."""

import re
import stat
from pathlib import PurePosixPath
from typing import Any

import pytest

from hubfleet import policy
from hubfleet.clients import engine
from hubfleet.fleet.base import Role
from hubfleet.settings import expected_attributes
from tests.integration.subject import KITCHEN_NODES, REPORT, Subject

MINE_AND_OTHERS = {Role.HUB: {Role.HUB, Role.SWARM_WORKER}}
"""Whose secrets a role sees: its own; the hub leaves the token among those of workers."""

CHEFS_OWN = ("audit", "chef-vault")
"""Attributes that chef-client itself adds to a node object."""

PUBLIC = (
    *("ca_crt", "tls_crt"),
    *("operator_public_key", "bootstrap_public_key", "fleet_public_key"),
)
"""What lies among the secrets and is none."""

METRICS = "/var/lib/hubfleet/metrics/converge.prom"

SWARM_GOSSIP = 7946
"""Port of the engine's node-to-node gossip; it cannot be changed."""


@pytest.fixture(scope="module")
def report(node: Subject) -> dict[str, Any]:
    """What the last converge did: Kitchen's second, or one more on a deployed node."""
    if not node.kitchen:
        node.run("chef-client")
    found: dict[str, Any] = node.json(REPORT)
    return found


@pytest.fixture(scope="module")
def node_object(node: Subject, report: dict[str, Any]) -> dict[str, Any]:
    """The node object that the last converge has saved."""
    if not node.kitchen:
        return policy.connect(_open(node)).node(node.id)
    [name] = node.run("ls", KITCHEN_NODES).split()
    found: dict[str, Any] = node.json(f"{KITCHEN_NODES}/{name}")
    return found


def test_systemd_has_no_failed_unit(node: Subject) -> None:
    state = node.try_run("systemctl", "is-system-running", "--wait").stdout.strip()
    failed = node.run("systemctl", "list-units", "--failed", "--no-legend", "--plain")
    assert (state, failed) == ("running", "")


def test_another_converge_changes_nothing(report: dict[str, Any]) -> None:
    assert report["status"] == "success", report
    assert (report["updated"], report["updated_resources"]) == (0, [])
    assert (report["failed_resource"], report["exception"]) == (None, None)


def test_the_converge_is_a_metric_for_the_textfile_collector(
    node: Subject, report: dict[str, Any]
) -> None:
    found = metrics(node)
    info = "hubfleet_converge_info{" + ",".join(
        f'{label}="{report[key]}"'
        for label, key in (
            ("policy_name", "policy_name"),
            ("policy_group", "policy_group"),
            ("revision", "policy_revision"),
        )
    )
    assert found.pop(info + "}") == 1
    ended = report["ended"]["timestamp"]
    assert found == {
        "hubfleet_converge_last_run_timestamp_seconds": ended,
        "hubfleet_converge_last_success_timestamp_seconds": ended,
        "hubfleet_converge_success": 1,
        "hubfleet_converge_duration_seconds": report["seconds"],
        'hubfleet_converge_resources{state="total"}': report["total"],
        'hubfleet_converge_resources{state="updated"}': 0,
        'hubfleet_converge_resources{state="failed"}': 0,
    }
    assert report["total"] > 10
    # The collector belongs to another user.
    assert _mode(node, METRICS) == 0o644
    assert node.run("ls", str(PurePosixPath(METRICS).parent)).split() == ["converge.prom"]


@pytest.mark.kitchen
def test_a_run_that_dies_before_its_handlers_counts_as_failed(
    node: Subject, report: dict[str, Any]
) -> None:
    # In Kitchen there is no client.rb, so that no handler is ever configured.
    kept = [REPORT, METRICS]
    for file in kept:
        node.run("cp", "--archive", file, f"{file}.kept")
    try:
        assert node.try_run("systemctl", "start", "chef-client.service").rc != 0
        found = node.json(REPORT)
        assert (found["status"], found["last_success"]) == ("failed", report["last_success"])
        assert "before it could report (exit-code" in found["exception"]
        samples = metrics(node)
        assert samples["hubfleet_converge_success"] == 0
        good = samples["hubfleet_converge_last_success_timestamp_seconds"]
        assert good == report["last_success"]["timestamp"]
    finally:
        for file in kept:
            node.run("mv", f"{file}.kept", file)
        node.run("systemctl", "reset-failed", "chef-client.service")


def test_the_converge_was_of_the_committed_policy(node: Subject, report: dict[str, Any]) -> None:
    found = report["policy_name"], report["policy_group"], report["policy_revision"]
    assert found == (node.role, node.environment, policy.revision(node.role))


def test_the_nodes_attributes_are_what_the_settings_compute(
    node: Subject, node_object: dict[str, Any]
) -> None:
    for level, expected in expected_attributes(node.role, node.environment).items():
        saved = {k: v for k, v in node_object.get(level, {}).items() if k not in CHEFS_OWN}
        assert saved == expected, level


def test_chef_client_runs_on_its_timer(node: Subject) -> None:
    wanted = node.settings.chef_client
    shown = node.unit(
        "chef-client.timer", "ActiveState", "UnitFileState", "RandomizedDelayUSec", "Unit"
    )
    assert shown.pop("RandomizedDelayUSec") == _systemd_time(wanted.splay_s)
    assert shown == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "Unit": "chef-client.service",
    }
    timers = node.run("systemctl", "show", "chef-client.timer", "--property=TimersMonotonic")
    assert f"OnUnitInactiveUSec={_systemd_time(wanted.interval_s)} " in timers
    assert "next_elapse=infinity" not in timers.splitlines()[0]


def test_only_what_must_listen_listens(node: Subject) -> None:
    settings = node.settings
    wanted = {
        Role.CHEF_SERVER: {443, settings.registry.push_port},
        Role.HUB: {443, settings.hub.port, settings.swarm.manager_port, SWARM_GOSSIP},
        Role.SWARM_WORKER: {SWARM_GOSSIP},
    }
    assert _listening(node) == wanted[node.role]


def test_secrets_are_readable_by_root_alone_and_those_of_this_role_only(node: Subject) -> None:
    base = node.settings.secrets.path
    roles = set(node.run("ls", base).split())
    assert roles == {str(role) for role in MINE_AND_OTHERS.get(node.role, {node.role})}
    for role in roles:
        assert _mode(node, f"{base}/{role}") == 0o700
        for name in node.run("ls", f"{base}/{role}").split():
            assert _mode(node, f"{base}/{role}/{name}") == 0o600, name


def test_no_secret_is_in_logs_processes_or_what_chef_keeps(
    node: Subject, node_object: dict[str, Any]
) -> None:
    texts = {
        "journal": node.run("journalctl", "--no-pager", "--output=cat"),
        "console": engine.logs(node.container),
        "log files": printable(node, "find /var/log -type f -exec cat {} +"),
        "command lines": printable(node, "cat /proc/[0-9]*/cmdline 2>/dev/null"),
        "report": node.run("cat", REPORT),
        "node object": str(node_object),
    }
    leaked = [
        f"{name} in {where}"
        for name, value in _canaries(node).items()
        for where, text in texts.items()
        if value in text
    ]
    assert not leaked


@pytest.mark.deployed
def test_client_rb_pins_the_ca_and_the_protocol(node: Subject) -> None:
    settings, path = node.settings, "/etc/chef/client.rb"
    lines = node.run("cat", path).splitlines()
    organization = settings.chef_server.organization
    for line in (
        f'chef_server_url "https://chef.{settings.fleet.zone}/organizations/{organization}"',
        f'node_name "{node.id}"',
        f'policy_name "{node.role}"',
        f'policy_group "{node.environment}"',
        "authentication_protocol_version '1.3'",
        "ssl_verify_mode :verify_peer",
        'ssl_ca_file "/etc/chef/trusted_certs/hubfleet-ca.crt"',
    ):
        assert line in lines
    assert _mode(node, path) == 0o644


@pytest.mark.deployed
def test_the_node_has_its_own_key_and_no_bootstrap_key(node: Subject) -> None:
    assert _mode(node, "/etc/chef/client.pem") == 0o600
    assert node.run("ls", "/etc/chef/trusted_certs").split() == ["hubfleet-ca.crt"]
    assert not node.host.file("/var/lib/hubfleet/seed/bootstrap.pem").exists
    assert not node.host.file("/etc/chef/validation.pem").exists
    assert node.id in policy.connect(_open(node)).clients()


@pytest.mark.deployed
def test_the_chef_servers_certificate_verifies_with_the_deployments_ca_alone(node: Subject) -> None:
    url = f"https://chef.{node.settings.fleet.zone}/_status"
    ca = "/etc/chef/trusted_certs/hubfleet-ca.crt"
    node.run("curl", "--silent", "--fail", "--cacert", ca, url)
    assert node.try_run("curl", "--silent", "--fail", url).rc == 60


def metrics(node: Subject) -> dict[str, float]:
    """Return the samples of the node's metrics by their name and labels."""
    lines = [line for line in node.run("cat", METRICS).splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def printable(node: Subject, command: str) -> str:
    """Return what a shell command prints, without what is not text."""
    return node.run("sh", "-c", f"{{ {command}; }} | LC_ALL=C tr -c '[:print:]\\n' ' '")


def _open(node: Subject) -> Any:
    return type(node.deployment).open(node.deployment.name)


def _mode(node: Subject, path: str) -> int:
    file = node.host.file(path)
    return stat.S_IMODE(file.mode)


def _systemd_time(seconds: int) -> str:
    """Return a time span as systemd prints it."""
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "min"), (seconds % 60, "s")]
    return " ".join(f"{number}{unit}" for number, unit in parts if number) or "0"


def _listening(node: Subject) -> set[int]:
    """Return the TCP ports that answer to others than the node itself."""
    found = set()
    for line in node.run("ss", "--no-header", "--listening", "--tcp", "--numeric").splitlines():
        host, _, port = line.split()[3].rpartition(":")
        if not re.match(r"127\.|\[::1\]|\[::ffff:127\.", host):
            found.add(int(port))
    return found


def _canaries(node: Subject) -> dict[str, str]:
    """Return a tell-tale text of every secret of the deployment, by its name."""
    found = {}
    for path in sorted(node.deployment.secrets_dir.glob("*/*")):
        if path.name not in PUBLIC:
            lines = path.read_text().strip().splitlines()
            # A key's first lines are alike in many keys; a password file's line has the user first.
            found[f"{path.parent.name}/{path.name}"] = lines[len(lines) // 2].split(":")[-1]
    for key in (node.deployment.operator_key, node.deployment.bootstrap_key):
        found[key.name] = key.read_text().splitlines()[5]
    return found
