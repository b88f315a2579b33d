"""`kill -9` of the embedded server at any moment: nothing acknowledged is lost, nothing is broken.

$HUBFLEET_CRASH_SEED repeats a run (the seed is in the log of a failed one), $HUBFLEET_CRASH_KILLS
makes it longer.
"""

import logging
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_wire import ChefServerError
from hubfleet.errors import PreconditionError
from hubfleet.pki import ensure_rsa_key, public_pem
from tests.chef_api.servers import Machine, push

KILLS = int(os.environ.get("HUBFLEET_CRASH_KILLS", "8"))
SEED = int(os.environ.get("HUBFLEET_CRASH_SEED") or secrets.randbelow(10**9))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine.new(tmp_path / "server", tmp_path / "keys")
    yield made
    made.stop()


@dataclass
class Writer:
    """Writes one thing again and again, and knows what the server must hold of it."""

    chef: Chef
    write: Callable[[Chef, int], None]
    """Stores number n; may be called again for the same number."""
    stored: Callable[[Chef], int]
    """Returns the number that the server holds, 0 for none."""
    acknowledged: int = 0
    problems: list[str] = field(default_factory=list)

    def once(self) -> None:
        """Write the next number."""
        self.write(self.chef, self.acknowledged + 1)
        self.acknowledged += 1

    def until_killed(self, progress: threading.Semaphore) -> None:
        """Write until the server is gone; what it did not acknowledge comes first next time."""
        try:
            while True:
                self.once()
                progress.release()
        except PreconditionError:
            return
        except ChefServerError as error:
            self.problems.append(f"number {self.acknowledged + 1}: {error.message}")

    def check(self) -> None:
        """The server has what it acknowledged, or what it was given after that."""
        found = self.stored(self.chef)
        assert found in (self.acknowledged, self.acknowledged + 1)
        assert not self.problems


def again(action: Callable[[], None], done: int = 409) -> None:
    """Do what may have been done before."""
    try:
        action()
    except ChefServerError as error:
        if error.status != done:
            raise


def node(chef: Chef, name: str) -> Writer:
    document = {"name": name, "run_list": [], "policy_name": "p", "policy_group": "g"}
    again(lambda: chef.wire.call("POST", "/nodes", document))

    def write(chef: Chef, number: int) -> None:
        automatic = {"number": number, "ohai": [number] * 1_000}
        chef.wire.object("PUT", f"/nodes/{name}", {**document, "automatic": automatic})

    def stored(chef: Chef) -> int:
        found = chef.node(name)["automatic"]
        assert found.get("ohai", []) == [found["number"]] * 1_000 if found else True
        return int(found.get("number", 0))

    return Writer(chef, write, stored)


def item(chef: Chef, bag: str) -> Writer:
    def write(chef: Chef, number: int) -> None:
        chef.save_data_bag_item(bag, {"id": "it", "number": number, "text": "x" * 5_000})

    def stored(chef: Chef) -> int:
        found = chef.data_bag_item(bag, "it") or {"number": 0, "text": "x" * 5_000}
        assert found["text"] == "x" * 5_000
        return int(found["number"])

    return Writer(chef, write, stored)


def keys(chef: Chef, name: str, pem: str) -> Writer:
    """A client gets a new key, then loses the one before."""
    again(lambda: chef.create_client(name, pem))

    def write(chef: Chef, number: int) -> None:
        again(lambda: chef.create_client_key(name, f"k{number}", pem))
        chef.delete_client_key(name, f"k{number - 1}")

    def stored(chef: Chef) -> int:
        found = [int(key[1:]) for key in chef.client_keys(name) if key != "default"]
        assert len(found) in (0, 1) or sorted(found) == [max(found) - 1, max(found)]
        assert all(chef.client_key(name, f"k{number}") == pem for number in found)
        return max(found, default=0)

    return Writer(chef, write, stored)


def reborn(chef: Chef, name: str, pem: str) -> Writer:
    """A client is made, gets a second key, is deleted, made again: with its first key alone."""

    def write(chef: Chef, number: int) -> None:
        chef.delete_client(name)
        chef.create_client(name, pem)
        assert list(chef.client_keys(name)) == ["default"]
        chef.create_client_key(name, "second", pem)

    def stored(chef: Chef) -> int:
        return writer.acknowledged

    writer = Writer(chef, write, stored)
    return writer


def policy(chef: Chef, name: str, rng: random.Random) -> Writer:
    sizes = [rng.randrange(1, 150_000) for _ in range(4)]
    revisions: dict[str, int] = {}

    def write(chef: Chef, number: int) -> None:
        files = {
            f"recipes/{i}.rb": f"{number} {i} ".encode() * (size // 8)
            for i, size in enumerate(sizes)
        }
        revisions[push(chef, "group", name, number, files)] = number

    def stored(chef: Chef) -> int:
        revision = chef.policy_groups().get("group", {}).get(name)
        if revision is None:
            return 0
        identifier = (chef.policy_revision(name, revision) or {})["cookbook_locks"][name][
            "identifier"
        ]
        manifest = chef.cookbook_artifact(name, identifier) or {}
        number = int(manifest["version"].rpartition(".")[2])
        for i, size in enumerate(sizes):
            entry = next(e for e in manifest["all_files"] if e["path"] == f"recipes/{i}.rb")
            assert chef.wire.download(entry["url"]) == f"{number} {i} ".encode() * (size // 8)
        return number

    return Writer(chef, write, stored)


def test_killed_at_any_moment_it_has_all_that_it_acknowledged(machine: Machine) -> None:
    logging.warning("HUBFLEET_CRASH_SEED=%s HUBFLEET_CRASH_KILLS=%s", SEED, KILLS)
    rng = random.Random(SEED)
    pem = public_pem(ensure_rsa_key(machine.keys / "spare.pem"))
    writers = [
        *(node(machine.operator, f"node-{i}") for i in range(2)),
        item(machine.operator, "bag"),
        keys(machine.operator, "rotating", pem),
        reborn(machine.operator, "reborn", pem),
        *(policy(machine.operator, f"policy-{i}", rng) for i in range(2)),
    ]
    for writer in writers:
        writer.once()
    for _ in range(KILLS):
        progress = threading.Semaphore(0)
        threads = [
            threading.Thread(target=writer.until_killed, args=[progress]) for writer in writers
        ]
        for thread in threads:
            thread.start()
        # By what was done, not by the clock: so it is the same on a busy machine.
        for _ in range(rng.randrange(25)):
            progress.acquire(timeout=10)
        time.sleep(rng.uniform(0, 0.1))
        machine.kill()
        for thread in threads:
            thread.join()
        machine.start()
        for writer in writers:
            writer.check()
        assert machine.damage() == []
    logging.warning("acknowledged: %s", [writer.acknowledged for writer in writers])
    # What the last kill interrupted is completed by doing it again.
    for writer in writers:
        writer.once()
        writer.check()


def test_a_key_of_a_client_that_was_being_deleted_is_good_for_nobody(machine: Machine) -> None:
    """The kill falls between the two writes of a deletion, which no timing can promise."""
    chef = machine.operator
    old = machine.target.new_client("phoenix")
    second = public_pem(ensure_rsa_key(machine.keys / "second.pem"))
    chef.create_client_key("phoenix", "second", second)
    thief = Chef(old.url, machine.keys / "second.pem", machine.public["operator"], "phoenix")
    assert thief.wire.find("/clients/phoenix")
    (machine.files / "clients" / "phoenix").unlink()
    # Even before a restart: its deletion failed, and it is made again.
    machine.target.new_client("phoenix")
    with pytest.raises(ChefServerError, match="401"):
        thief.wire.find("/clients/phoenix")
    chef.create_client_key("phoenix", "second", second)
    (machine.files / "clients" / "phoenix").unlink()
    machine.kill()
    machine.start()
    assert machine.damage() == []
    assert not (machine.files / "client_keys" / "phoenix").exists()


def test_a_cookbook_without_its_files_is_refused(machine: Machine) -> None:
    """Another cookbook's deletion takes files away that no stored one names, uploaded or not."""
    files = {"recipes/default.rb": b"what both have"}
    chef = machine.operator
    identifier = push(chef, "group", "first", 1, files)
    manifest = chef.cookbook_artifact("first", identifier) or {}
    assert chef.wire.delete(f"/cookbook_artifacts/first/{identifier}")
    with pytest.raises(ChefServerError, match="hasn't been uploaded"):
        chef.create_cookbook_artifact("second", "a" * 40, {**manifest, "name": "second"})
    assert "second" not in chef.cookbook_artifacts()
