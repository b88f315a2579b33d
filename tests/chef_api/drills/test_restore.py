"""The restore drill: a server in use is backed up, lost, and comes back on an empty one."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfleet import backup
from hubfleet.backup_file import BackupFileError
from hubfleet.clients import chef_snapshot
from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_process import running, start_chef_zero
from hubfleet.clients.chef_wire import ChefServerError, Json
from hubfleet.errors import PreconditionError
from hubfleet.pki import ensure_rsa_key, public_pem
from hubfleet.state import Deployment, Ports
from tests.chef_api.servers import Machine, push

LONG = "n" * 150


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine.new(tmp_path / "first", tmp_path / "keys")
    yield made
    made.stop()


@pytest.fixture
def empty(tmp_path: Path, machine: Machine) -> Iterator[Machine]:
    made = Machine.new(tmp_path / "second", tmp_path / "keys")
    yield made
    made.stop()


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.create("local", "local", Ports(), tmp_path / "checkout")


def populate(machine: Machine) -> None:
    """Something of every kind."""
    chef = machine.operator
    pem = public_pem(ensure_rsa_key(machine.keys / "spare.pem"))
    for name in ("worker", LONG):
        machine.target.new_client(name)
        chef.wire.object("POST", "/nodes", {"name": name, "run_list": [], "normal": {"n": 0}})
    chef.create_client_key("worker", "second", pem)
    push(
        chef, "group", "web", 1, {"recipes/default.rb": b"one", "files/logo.png": bytes(range(256))}
    )
    push(chef, "group", "web", 2, {"recipes/default.rb": b"two"})
    push(chef, "other", "db", 1, {"recipes/default.rb": b"one"})
    chef.save_data_bag_item("bag", {"id": "item", "text": "ü"})
    chef.wire.object("POST", "/data", {"name": "empty"})


def everything(chef: Chef) -> Json:
    """All that a server holds, with the content of the files, without its own address."""
    artifacts = {
        f"{name}-{identifier}": {
            file["path"]: chef.wire.download(file["url"])
            for file in (chef.cookbook_artifact(name, identifier) or {})["all_files"]
        }
        for name, identifiers in chef.cookbook_artifacts().items()
        for identifier in identifiers
    }
    return {
        "nodes": [chef.node(name) for name in chef.nodes()],
        "keys": {
            client: {key: chef.client_key(client, key) for key in chef.client_keys(client)}
            for client in chef.clients()
        },
        "kinds": {name: chef.wire.object("GET", f"/clients/{name}") for name in chef.clients()},
        "groups": chef.policy_groups(),
        "policies": {
            f"{name}-{revision}": chef.policy_revision(name, revision)
            for name, revisions in chef.policies().items()
            for revision in revisions
        },
        "artifacts": artifacts,
        "bags": {
            bag: [chef.data_bag_item(bag, item) for item in chef.data_bag_items(bag)]
            for bag in chef.data_bags()
        },
    }


def test_a_lost_server_comes_back_whole(
    machine: Machine, empty: Machine, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chef_snapshot, "PART_BYTES", 1000)
    populate(machine)
    done = backup.take(deployment, chef=machine.operator)
    assert done.file.stat().st_mode & 0o777 == 0o600
    assert done.objects["nodes"] == 2
    before = everything(machine.operator)
    machine.kill()
    found = backup.open_backup(deployment, done.file)
    assert backup.restore(deployment, found, [], chef=empty.operator) == sum(found.objects.values())
    assert everything(empty.operator) == before
    assert empty.damage() == []
    # The clients' own keys open it, and it is still so for the next process.
    assert empty.target.as_client("worker").node("worker")["name"] == "worker"
    empty.kill()
    empty.start()
    assert everything(empty.operator) == before


def test_a_backup_is_of_one_moment_while_others_write(
    machine: Machine, empty: Machine, deployment: Deployment
) -> None:
    """Two nodes are saved one after the other: no copy may hold the second one's save alone."""
    populate(machine)
    stop = threading.Event()
    failures: list[Exception] = []

    def write() -> None:
        chef = machine.operator
        try:
            number = 0
            while not stop.is_set():
                number += 1
                for name in ("worker", LONG):
                    node = {"name": name, "run_list": [], "normal": {"n": number}}
                    chef.wire.object("PUT", f"/nodes/{name}", node)
                push(chef, "group", "web", 10 + number, {"recipes/default.rb": b"%d" % number})
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [chef_snapshot.take(machine.operator) for _ in range(8)]
    finally:
        stop.set()
        writer.join()
    assert not failures
    seen = set()
    for copy in copies:
        chef_snapshot.put_back(empty.operator, copy, force=True)
        first, second = (empty.operator.node(name)["normal"]["n"] for name in ("worker", LONG))
        assert first - second in (0, 1)
        assert empty.damage() == []
        seen.add(first)
    assert len(seen) > 1
    assert machine.damage() == []


def test_a_server_in_use_is_not_overwritten_unless_told(
    machine: Machine, deployment: Deployment
) -> None:
    populate(machine)
    done = backup.take(deployment, chef=machine.operator)
    machine.operator.delete_node("worker")
    machine.target.new_client("later")
    before = everything(machine.operator)
    found = backup.open_backup(deployment, done.file)
    with pytest.raises(PreconditionError, match="in use: it has 3 clients") as caught:
        backup.restore(deployment, found, [], chef=machine.operator)
    assert "--force" in caught.value.hint
    assert everything(machine.operator) == before
    backup.restore(deployment, found, [], force=True, chef=machine.operator)
    assert "later" not in machine.operator.clients()
    assert "worker" in machine.operator.nodes()


def test_what_exists_from_the_start_and_what_is_kept_stay_as_they_are_here(
    machine: Machine, deployment: Deployment, tmp_path: Path
) -> None:
    populate(machine)
    done = backup.take(deployment, chef=machine.operator)
    machine.stop()
    # Another operator's key, and a machine of the same name that has registered there.
    fresh = Machine.new(tmp_path / "third", tmp_path / "other-keys")
    with running(fresh.process or pytest.fail()):
        ours = fresh.target.new_client("worker")
        ours.wire.object("POST", "/nodes", {"name": "worker", "run_list": [], "normal": {"n": 7}})
        found = backup.open_backup(deployment, done.file)
        backup.restore(deployment, found, ["worker"], chef=fresh.operator)
        assert ours.node("worker")["normal"] == {"n": 7}
        assert fresh.operator.client_keys("worker") == {"default": False}
        assert LONG in fresh.operator.nodes()
        with pytest.raises(ChefServerError, match="401"):
            Chef(ours.url, machine.keys / "worker.pem", ours_ca(fresh), "worker").nodes()
        with pytest.raises(ChefServerError, match="401"):
            Chef(ours.url, machine.keys / "operator.pem", ours_ca(fresh)).nodes()


def ours_ca(machine: Machine) -> Path:
    return machine.public["operator"]


def test_only_an_administrator_takes_or_restores(machine: Machine) -> None:
    worker = machine.target.new_client("worker")
    for chef in (worker, machine.target.as_client("bootstrap")):
        with pytest.raises(ChefServerError, match="403"):
            chef_snapshot.take(chef)
        for upload in ("/_snapshot/parts/0", "/_snapshot"):
            with pytest.raises(ChefServerError, match="403"):
                chef.wire.upload(f"{chef.url}{upload}", b"{}")


def test_what_is_no_whole_snapshot_changes_nothing(machine: Machine, empty: Machine) -> None:
    populate(machine)
    good = chef_snapshot.take(machine.operator)
    before = everything(empty.operator)
    for bad in (b"x", good[: len(good) // 2], good[:-9], good[:500] + b"?" + good[501:]):
        with pytest.raises(ChefServerError, match="not a snapshot") as caught:
            chef_snapshot.put_back(empty.operator, bad)
        assert caught.value.status == 400
    assert everything(empty.operator) == before
    assert empty.damage() == []


def test_a_server_without_snapshots_says_so(tmp_path: Path, machine: Machine) -> None:
    with running(start_chef_zero(tmp_path / "zero")) as zero:
        machine.stop()
        plain = Chef(zero.url, machine.keys / "operator.pem", machine.public["operator"])
        with pytest.raises(PreconditionError, match="has no snapshots") as caught:
            chef_snapshot.take(plain)
        assert "chef.export" in caught.value.hint


def test_a_damaged_backup_touches_no_server(machine: Machine, deployment: Deployment) -> None:
    done = backup.take(deployment, chef=machine.operator)
    done.file.write_bytes(done.file.read_bytes()[:-1] + b"?")
    with pytest.raises(BackupFileError):
        backup.open_backup(deployment, done.file)
