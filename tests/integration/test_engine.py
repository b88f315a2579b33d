"""Hub and workers: the engine as the policy has it, homes, images, and the students' isolation."""

import socket

import pytest

from hubfleet.fleet.base import Role
from tests.integration.subject import Subject, eventually

pytestmark = pytest.mark.roles(Role.HUB, Role.SWARM_WORKER)

FIREWALL = "/usr/local/sbin/hubfleet-firewall"

GUARD = ("hubfleet-overlay-guard.path", "hubfleet-overlay-guard.timer")
"""What puts rules back in place."""

CLOSED = (2375, 2376, 8001, 8081)
"""The engine's own ports, the proxy's API, the hub's API: never on a node's address."""


def test_the_engines_configuration_is_the_policys(node: Subject) -> None:
    wanted = node.settings.docker
    pool = {"base": wanted.address_pool.base, "size": wanted.address_pool.size}
    assert node.json("/etc/docker/daemon.json") == {
        "default-address-pools": [pool],
        "live-restore": False,
        "log-driver": "json-file",
        "log-opts": {"max-file": str(wanted.log_max_files), "max-size": wanted.log_max_size},
        "no-new-privileges": wanted.no_new_privileges,
        "node-generic-resources": [f"seat={node.settings.fleet.workers.seats}"],
    }


def test_the_engine_runs_with_that_configuration(node: Subject) -> None:
    [info] = node.lines("docker", "info", "--format", "{{json .}}")
    pool = node.settings.docker.address_pool
    assert info["LoggingDriver"] == "json-file"
    assert info["DefaultAddressPools"] == [{"Base": pool.base, "Size": pool.size}]
    assert info["Warnings"] is None or not [w for w in info["Warnings"] if "insecure" in w.lower()]
    assert not node.host.file("/var/lib/hubfleet/docker-restart-pending").exists


@pytest.mark.parametrize("service", ["docker", "hubfleet-firewall"])
def test_its_services_run_and_start_at_boot(node: Subject, service: str) -> None:
    shown = node.unit(f"{service}.service", "ActiveState", "UnitFileState")
    assert shown == {"ActiveState": "active", "UnitFileState": "enabled"}


def test_the_engine_trusts_the_registry_by_the_deployments_ca(node: Subject) -> None:
    place = f"/etc/docker/certs.d/registry.{node.settings.fleet.zone}/ca.crt"
    assert node.run("cat", place) == node.deployment.ca_crt.read_text()


def test_homes_are_a_mount_that_nobody_lists(node: Subject) -> None:
    homes = node.settings.storage.homes
    assert node.run("findmnt", "--noheadings", "--output=TARGET", homes).strip() == homes
    directory = node.host.file(homes)
    assert (directory.user, directory.mode) == ("root", 0o711)


def test_the_rules_are_in_place(node: Subject) -> None:
    assert node.settings.firewall.enabled
    node.run(FIREWALL, "check")


def test_the_guard_of_the_overlays_is_awake(node: Subject) -> None:
    for unit in GUARD:
        shown = node.unit(unit, "ActiveState", "UnitFileState")
        assert shown == {"ActiveState": "active", "UnitFileState": "enabled"}


def test_ports_behind_nginx_are_closed_on_the_network(node: Subject) -> None:
    for port in (*CLOSED, node.settings.hub.port):
        with pytest.raises(OSError):
            socket.create_connection((node.address, port), timeout=3).close()


@pytest.mark.kitchen
def test_missing_rules_are_seen_and_put_back(node: Subject) -> None:
    node.run("systemctl", "stop", *GUARD)
    try:
        node.run("iptables", "--flush", "DOCKER-USER")
        assert node.try_run(FIREWALL, "check").rc == 1
    finally:
        node.run("systemctl", "start", *GUARD)
    eventually(lambda: node.try_run(FIREWALL, "check").rc == 0, "nobody put the rules back")


@pytest.mark.kitchen
def test_the_rules_hold_after_a_restart_of_the_engine(node: Subject) -> None:
    node.restart_engine()
    # The node's rules are there before any container; those of an overlay come just after it.
    assert "node4" not in node.try_run(FIREWALL, "check").stderr
    eventually(lambda: node.try_run(FIREWALL, "check").rc == 0, "nobody put the rules back")
