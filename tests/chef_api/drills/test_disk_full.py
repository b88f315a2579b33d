"""A full disk is an error, not damage: the server runs on a small file system that fills up."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hubfleet.clients import chef_snapshot
from hubfleet.clients.chef_wire import ChefServerError
from hubfleet.pki import ensure_rsa_key, public_pem
from tests.chef_api.servers import Machine, md5, push

SIZE = "4m"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A server whose data, settings and log lie on a file system of 4 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "hubfleet-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system; the specs of the store limit files")
    made = Machine.new(place / "server", tmp_path / "keys")
    try:
        yield made
    finally:
        made.stop()
        subprocess.run(["umount", str(place)], check=True)


def refused(action: Callable[[], object]) -> None:
    with pytest.raises(ChefServerError, match="disk is full: this was not stored") as caught:
        action()
    assert caught.value.status == 507


def fill(file: Path) -> None:
    """Take what room there is, to the last byte."""
    with file.open("ab", buffering=0) as stream:
        for size in (65536, 4096, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk_is_an_error_and_no_damage(machine: Machine) -> None:
    chef = machine.operator
    pem = public_pem(ensure_rsa_key(machine.keys / "spare.pem"))
    chef.create_client("worker", pem)
    node = {"name": "worker", "run_list": [], "automatic": {"number": 0}}
    chef.wire.object("POST", "/nodes", node)
    revision = push(chef, "group", "first", 1, {"recipes/default.rb": b"first"})
    snapshot = chef_snapshot.take(chef)
    ballast = machine.directory / "ballast"
    ballast.write_bytes(b"x" * 2**19)
    stored = 0
    with pytest.raises(ChefServerError, match="disk is full"):
        while stored < 1000:
            chef.save_data_bag_item("bag", {"id": f"i{stored}", "text": f"{stored} " * 40_000})
            stored += 1
    assert 10 < stored < 1000

    fill(ballast)  # Not even a line of the log finds room now.
    attempts: list[Callable[[], object]] = [
        lambda: chef.wire.object("PUT", "/nodes/worker", {**node, "automatic": {"number": 1}}),
        lambda: chef.create_client("other", pem),
        lambda: chef.create_client_key("worker", "k1", pem),
        lambda: chef.save_data_bag_item("bag", {"id": "i0", "text": "replaced"}),
        lambda: chef.save_data_bag_item("other", {"id": "new", "text": "x"}),
        lambda: push(chef, "new-group", "second", 1, {"recipes/default.rb": b"second"}),
        lambda: chef.assign_policy("new-group", "first", {"revision_id": revision}),
        lambda: chef.wire.upload(f"{chef.url}/file_store/checksums/{md5(b'new')}", b"new"),
        lambda: chef_snapshot.put_back(chef, snapshot, force=True),
    ]
    for _ in range(2):
        for attempt in attempts:
            refused(attempt)
        everything_is_there(machine, revision, stored)
        machine.kill()
        machine.start()  # Recovery needs no room either.
    assert machine.damage() == []

    ballast.unlink()
    chef.wire.object("PUT", "/nodes/worker", {**node, "automatic": {"number": 1}})
    assert chef.node("worker")["automatic"] == {"number": 1}
    push(chef, "new-group", "second", 1, {"recipes/default.rb": b"second"})
    everything_is_there(machine, revision, stored)
    assert machine.damage() == []


def everything_is_there(machine: Machine, revision: str, stored: int) -> None:
    chef = machine.operator
    assert chef.nodes() == ["worker"]
    assert "other" not in chef.clients()
    assert chef.client_keys("worker") == {"default": False}
    assert chef.policy_groups()["group"] == {"first": revision}
    manifest = chef.cookbook_artifact("first", revision) or {}
    assert chef.wire.download(manifest["all_files"][0]["url"]) == b"first"
    assert len(chef.data_bag_items("bag")) == stored
    for number in range(stored):
        found = chef.data_bag_item("bag", f"i{number}") or {}
        assert found["text"] == f"{number} " * 40_000
