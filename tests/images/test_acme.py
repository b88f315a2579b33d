"""A certificate by ACME, with a real authority: asked for once, kept, renewed in time.

The client, nginx and Ruby are those of the node image.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from hubfleet import images
from hubfleet.clients import docker, engine
from tests.images.authority import CHALLENGES, NAME, SECRETS, STATE, Room, binds, prepare

ORDERS = "POST /order-plz"
ACCOUNTS = "accounts in memory"
DAY_S = 86_400
SAVED = "/var/lib/saved"
MINUTES = (1, 10, 100, 1440, 1440)
"""Waits after the first failure, the second, ... (Let's Encrypt, Integration Guide)."""


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("acme")
    prepare(folder)
    made = docker.client().containers.run(
        images.reference("node"),
        ["sleep", "infinity"],
        entrypoint=[],
        volumes=binds(folder),
        network_mode="none",
        init=True,
        detach=True,
    )
    try:
        Room(str(made.id)).start_others()
        yield str(made.id)
    finally:
        engine.remove_container(str(made.id))


@pytest.fixture(scope="module")
def first(container: str) -> dict[str, Any]:
    """Ask for the first certificate, and save what a machine and the store have of it."""
    room = Room(container)
    room.start()
    said = room.ask()
    assert "failed" not in said, said
    said |= {"orders": room.requests(ORDERS), "accounts": room.requests(ACCOUNTS)}
    room.shell(f"mkdir {SAVED} && cp -a {SECRETS} {STATE} {SAVED}/")
    room.stop()
    return said


@pytest.fixture
def room(container: str) -> Iterator[Room]:
    """Return a machine that has nothing, an empty secret store, and an authority that runs."""
    found = Room(container)
    found.shell(f"rm -rf {SECRETS}/hub/* {STATE}/hub/* {STATE}/state.json")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def holder(room: Room, first: dict[str, Any]) -> Room:
    """Return a machine that has the first certificate, as the store does."""
    assert first
    room.shell(f"cp -a {SAVED}/* /var/lib/")
    return room


def until_due(room: Room, first: dict[str, Any]) -> int:
    """Return in how many seconds the first certificate is to be renewed."""
    return int(first["renew_at"]) - int(room.shell("date +%s"))


def test_what_is_issued(first: dict[str, Any]) -> None:
    assert (first["curve"], first["certificates"]) == ("prime256v1", 2)
    assert first["bytes"] <= 4096  # of SSM's standard tier
    assert (first["orders"], first["accounts"]) == (1, 1)


def test_a_certificate_is_asked_for_once(holder: Room, first: dict[str, Any]) -> None:
    assert holder.state()["result"] == "issued"
    again = [holder.ask(), holder.ask(30 * DAY_S)]
    assert [(each["due"], each["serial"]) for each in again] == [(False, first["serial"])] * 2
    assert holder.requests("POST") == 0


def test_the_next_machine_takes_what_is_kept(holder: Room, first: dict[str, Any]) -> None:
    holder.shell(f"rm -rf {STATE}/hub/* {STATE}/state.json")
    second = holder.ask()
    assert (second["due"], second["serial"]) == (False, first["serial"])
    assert holder.requests("POST") == 0


def test_what_the_store_lost_is_put_back(holder: Room, first: dict[str, Any]) -> None:
    holder.shell(f"rm {SECRETS}/hub/acme_certificate")
    assert holder.ask()["serial"] == first["serial"]
    holder.shell(f"cmp {SECRETS}/hub/acme_certificate {STATE}/hub/acme_certificate")
    assert holder.requests("POST") == 0


def test_it_is_renewed_before_it_ends_by_the_same_account(
    holder: Room, first: dict[str, Any]
) -> None:
    account = holder.shell(f"cat {SECRETS}/hub/acme_account")
    assert first["not_after"] - first["renew_at"] == 30 * DAY_S
    assert not holder.ask(until_due(holder, first) - 60)["due"]
    second = holder.ask(until_due(holder, first) + 60)
    assert second["due"]
    assert second["serial"] != first["serial"]
    assert holder.shell(f"cat {SECRETS}/hub/acme_account") == account
    holder.shell(f"cmp {SECRETS}/hub/acme_certificate {STATE}/hub/acme_certificate")
    assert holder.requests(ORDERS) == 1


def test_an_authority_that_is_away_is_asked_less_and_less(
    holder: Room, first: dict[str, Any]
) -> None:
    holder.stop()
    later = until_due(holder, first) + 60
    for failures, minutes in enumerate(MINUTES, start=1):
        failed = holder.ask(later)
        assert (failed["due"], failed["serial"]) == (True, first["serial"])
        assert "next try not before" in failed["failed"]
        assert holder.state()["failures"] == failures
        assert not holder.ask(later + minutes * 60 - 30)["due"]
        later += minutes * 60 + 30
    # Half of all nonces are refused, which is no reason to give up (RFC 8555, 6.5). And this one
    # knows nothing of the account: it is made again, with the same key.
    holder.start(PEBBLE_WFE_NONCEREJECT="50")
    back = holder.ask(later)
    assert "failed" not in back
    assert back["serial"] != first["serial"]
    assert holder.state()["failures"] == 0
    assert holder.requests(ORDERS) >= 1


def test_a_refused_challenge_is_named_and_not_repeated(room: Room) -> None:
    room.dns("set-servfail")
    try:
        refused = room.ask()
        assert refused["due"]
        assert f"gave no certificate for {NAME}: connection: " in refused["failed"]
        assert not room.ask()["due"]
        assert room.requests(ORDERS) == 1
    finally:
        room.dns("clear-servfail")
    assert (room.requests(ORDERS), room.requests(ACCOUNTS)) == (1, 1)


def test_what_is_kept_is_for_root(holder: Room) -> None:
    modes = holder.shell(f"stat -c %a {SECRETS}/hub/* {STATE}/hub/*").split()
    assert modes == ["600", "600", "600"]
    assert "PRIVATE" not in holder.shell(f"cat {STATE}/state.json")
    assert holder.shell(f"ls /tmp {CHALLENGES}").split() == ["/tmp:", f"{CHALLENGES}:"]


def test_port_80_serves_challenges_and_sends_all_else_to_tls(room: Room) -> None:
    room.shell(f"printf proof > {CHALLENGES}/token")
    base = "http://127.0.0.1"
    try:
        assert room.run("curl", "-sf", f"{base}/.well-known/acme-challenge/token") == "proof"
    finally:
        room.shell(f"rm {CHALLENGES}/token")
    argv = ["curl", "-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"]
    for host in (NAME, "elsewhere.test"):
        told = room.run(*argv, "-H", f"Host: {host}", f"{base}/hub/login?next=x")
        assert told == f"301 https://{NAME}/hub/login?next=x"
    room.shell(f"mkdir -p {STATE}/hub && touch {STATE}/hub/key {CHALLENGES}/../key")
    for path in ("", "../key", "..%2fkey", "%2e%2e/key", "none"):
        told = room.run(*argv, f"{base}/.well-known/acme-challenge/{path}")
        # What leaves the directory is another path, which is sent to TLS like all others.
        assert told.split()[0] in {"301", "400", "403", "404"}, path
