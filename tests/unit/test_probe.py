"""The judge of the isolation probe: every rule turns red by itself."""

import copy
from typing import Any

import pytest

from hubfleet import settings
from hubfleet.probe import METADATA, cell, judge, targets

GOOD: dict[str, Any] = {
    "reached": [["hub", 8081, "open"], ["10.0.0.2", 443, "refused"], [METADATA, 80, "filtered"]],
    "rights": {
        "CapEff": "0000000000000000",
        "CapBnd": "0000000000000000",
        "NoNewPrivs": "1",
        "uid": 1000,
        "sockets": [],
        "homes": ["student"],
        "environment_writable": False,
    },
}


def test_an_isolated_kernel_breaks_no_rule() -> None:
    assert judge(GOOD, 8081, 1000) == []


@pytest.mark.parametrize("host", ["10.0.0.2", METADATA, "chef.hubfleet.internal"])
def test_whatever_is_open_is_named(host: str) -> None:
    found = copy.deepcopy(GOOD)
    found["reached"].append([host, 443, "open"])
    assert judge(found, 8081, 1000) == [f"a student's kernel reaches {host}:443"]


def test_a_hub_that_cannot_be_reached_is_a_fault_of_the_probe_or_the_rules() -> None:
    found = copy.deepcopy(GOOD)
    found["reached"][0][2] = "filtered"
    assert len(judge(found, 8081, 1000)) == 1


@pytest.mark.parametrize(
    ("right", "value"),
    [
        ("CapEff", "00000000a80425fb"),
        ("CapBnd", "0000000000000001"),
        ("NoNewPrivs", "0"),
        ("uid", 0),
        ("sockets", ["/var/run/docker.sock"]),
        ("homes", ["ann", "bob"]),
        ("environment_writable", True),
    ],
)
def test_every_right_too_many_is_named(right: str, value: Any) -> None:
    found = copy.deepcopy(GOOD)
    found["rights"][right] = value
    assert len(judge(found, 8081, 1000)) == 1


def test_the_probe_tries_every_machine_the_metadata_and_the_other_students() -> None:
    local = settings.load("local")
    tried = targets(local, ["10.0.0.2"], ["10.89.0.9"])
    for target in (
        ["10.0.0.2", local.swarm.manager_port],
        ["10.0.0.2", local.registry.push_port],
        ["10.0.0.2", local.chef_server.port],
        [METADATA, 80],
        ["10.89.0.9", 8888],
        ["proxy-api", 8001],
        ["chef.hubfleet.internal", 443],
    ):
        assert target in tried
    assert "TARGETS = " in cell(tried)
