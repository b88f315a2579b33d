"""What a node container is made of, on both cgroup versions, and what seeds it."""

from pathlib import Path

import pytest

from hubfleet.clients.engine import TERMINAL, ContainerSpec, overlaps
from hubfleet.errors import PreconditionError, UsageError
from hubfleet.fleet.base import Role
from hubfleet.fleet.capabilities import bounding_set
from hubfleet.fleet.local import LocalFleet, find, free_addresses, inner_subnets
from hubfleet.fleet.seed import new_instance_id, policy_archive, write_seed
from hubfleet.settings import load
from hubfleet.state import Deployment, Ports, write_private

ID = "i-0123456789abcdef0"
NAME = f"hubfleet-local-{ID}"


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    made = Deployment.create("local", "local", Ports.block(9000), tmp_path)
    write_private(made.ca_crt, "ca\n")
    write_private(made.bootstrap_key, "key\n")
    write_private(policy_archive(made), b"\x1f\x8b")
    return made


@pytest.fixture
def fleet(deployment: Deployment) -> LocalFleet:
    return LocalFleet(deployment, load("local"), "hubfleet/node:1")


def test_a_hub_on_cgroup_v1(fleet: LocalFleet) -> None:
    state = fleet.deployment.dir
    assert fleet.spec(Role.HUB, ID, "172.18.0.2", 1, ["NET_ADMIN", "SYS_ADMIN"]) == ContainerSpec(
        name=NAME,
        image="hubfleet/node:1",
        command=["/lib/systemd/systemd", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"],
        hostname=ID,
        network="hubfleet-local",
        address="172.18.0.2",
        aliases=["hub.hubfleet.internal"],
        labels={
            "hubfleet.deployment": "local",
            "hubfleet.role": "hub",
            "hubfleet.instance-id": ID,
        },
        cap_add=["NET_ADMIN", "SYS_ADMIN"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        system_paths_unconfined=True,
        device_cgroup_rules=["a *:* rwm"],
        cgroupns="host",
        tmpfs={"/run": "mode=755", "/tmp": "exec"},
        binds={
            f"{state}/nodes/{ID}": "/var/lib/hubfleet/seed:rw",
            f"{state}/secrets/hub": "/var/lib/hubfleet/secrets/hub:ro",
            f"{state}/secrets/swarm_worker": "/var/lib/hubfleet/secrets/swarm_worker:rw",
            f"{state}/homes": "/srv/homes:rw",
            "/sys/fs/cgroup": "/sys/fs/cgroup:rw",
        },
        volumes={f"{NAME}-docker": "/var/lib/docker"},
        ports={"443/tcp": ("127.0.0.1", 9000)},
        environment={"container": "docker"},
        stop_signal="SIGRTMIN+3",
        restart="unless-stopped",
    )


def test_cgroup_v2_needs_no_mount_of_the_host(fleet: LocalFleet) -> None:
    spec = fleet.spec(Role.SWARM_WORKER, ID, "", 2, [])
    assert spec.cgroupns == "private"
    assert "/sys/fs/cgroup" not in spec.binds
    assert spec.command[:2] == ["/bin/sh", "-c"]
    assert spec.command[2].endswith("exec /lib/systemd/systemd")


def test_a_worker_sees_homes_and_its_own_secrets_and_publishes_nothing(fleet: LocalFleet) -> None:
    spec = fleet.spec(Role.SWARM_WORKER, ID, "", 1, [])
    assert [target for target in spec.binds.values() if "secrets" in target] == [
        "/var/lib/hubfleet/secrets/swarm_worker:ro"
    ]
    assert "/srv/homes:rw" in spec.binds.values()
    assert (spec.ports, spec.aliases) == ({}, [])


def test_the_chef_server_s_data_outlive_the_machine_and_homes_stay_away(fleet: LocalFleet) -> None:
    spec = fleet.spec(Role.CHEF_SERVER, ID, "", 1, [])
    assert spec.volumes == {
        f"{NAME}-docker": "/var/lib/docker",
        "hubfleet-local-chef": "/var/lib/hubfleet-chef",
        "hubfleet-local-registry": "/var/lib/hubfleet-registry",
    }
    assert spec.ports == {"443/tcp": ("127.0.0.1", 9001), "5443/tcp": ("127.0.0.1", 9002)}
    assert spec.aliases == ["chef.hubfleet.internal", "registry.hubfleet.internal"]
    assert not [target for target in spec.binds.values() if "homes" in target]


def test_a_seed_says_who_a_worker_is(deployment: Deployment) -> None:
    write_seed(deployment, load("local"), Role.SWARM_WORKER, ID)
    seed = deployment.node_dir(ID)
    assert (seed / "bootstrap.conf").read_text() == (
        f"NODE_NAME={ID}\n"
        "POLICY_NAME=swarm_worker\n"
        "POLICY_GROUP=local\n"
        "CHEF_SERVER_URL=https://chef.hubfleet.internal/organizations/hubfleet\n"
        "BOOTSTRAP_CLIENT=bootstrap\n"
    )
    assert sorted(path.name for path in seed.iterdir()) == [
        "bootstrap.conf",
        "bootstrap.pem",
        "ca.crt",
    ]


def test_the_chef_server_s_seed_has_its_policy_with_it(deployment: Deployment) -> None:
    write_seed(deployment, load("local"), Role.CHEF_SERVER, ID)
    seed = deployment.node_dir(ID)
    assert (
        "LOCAL_POLICY=/var/lib/hubfleet/seed/policy.tgz\n" in (seed / "bootstrap.conf").read_text()
    )
    assert (seed / "policy.tgz").read_bytes() == b"\x1f\x8b"


def test_instance_ids_look_like_those_of_ec2() -> None:
    ids = {new_instance_id() for _ in range(50)}
    assert len(ids) == 50
    assert {len(one) for one in ids} == {19}


def test_capabilities_are_those_of_the_bounding_set() -> None:
    assert bounding_set("Name:\tx\nCapBnd:\t0000000000201003\n") == [
        "CHOWN",
        "DAC_OVERRIDE",
        "NET_ADMIN",
        "SYS_ADMIN",
    ]
    everything = bounding_set("CapBnd:\t000001ffffffffff\n")
    assert len(everything) == 38
    assert bounding_set("CapBnd:\t000001fffeffffff\n") == [
        name for name in everything if name != "SYS_RESOURCE"
    ]
    with pytest.raises(PreconditionError):
        bounding_set("Name:\tx\n")


def test_what_a_console_holds_for_a_terminal_is_left_out() -> None:
    text = "\x1b[0;1;31mFailed\x1b[0m\r\r\n\x1b[!p\x1b]104\x07\x1b[?7hok\x1b[K\r\n"
    assert TERMINAL.sub("", text) == "Failed\nok\n"


def test_addresses_are_given_out_once_and_not_the_gateway_s() -> None:
    given = free_addresses("10.0.0.0/29", {"10.0.0.3", ""})
    assert [next(given) for _ in range(4)] == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(PreconditionError, match="10.0.0.0/29"):
        next(given)


def test_an_unknown_machine_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no machine is named 'i-1'"):
        find([], "i-1")


def test_a_network_must_not_overlap_what_the_nodes_engines_use() -> None:
    settings = load("local")
    inner = inner_subnets(settings)
    assert overlaps(settings.docker.address_pool.base, inner)
    for network in (settings.swarm.networks.notebooks, settings.swarm.networks.control):
        assert overlaps(network.subnet, inner)
    assert not overlaps("192.0.2.0/24", inner)
