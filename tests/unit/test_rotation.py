"""Key rotation: where a rotation is, told from files; what is left to do; who is revoked."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubfleet import identity
from hubfleet.bringup import Health, make_plan, without_revoked
from hubfleet.ca_rotation import Phase, phase
from hubfleet.errors import ConvergeError, PartialError, PreconditionError
from hubfleet.fleet.base import Instance, Role, State
from hubfleet.pki import Authority, certificates_in, fingerprint
from hubfleet.rotation import Rotated, require_rotated, words
from hubfleet.secrets import SecretStore
from hubfleet.settings import load
from hubfleet.state import Deployment, Ports, write_private


def machine(number: int, role: Role = Role.SWARM_WORKER) -> Instance:
    now = datetime.now(UTC)
    return Instance(f"i-{number:017x}", role, State.RUNNING, "10.0.0.1", now, f"node-{number}")


@pytest.mark.parametrize(
    ("trusted", "coming", "expected"),
    [
        (["old"], None, Phase.NONE),
        (["old"], "new", Phase.TRUST_BOTH),
        (["old", "new"], "new", Phase.TRUST_BOTH),
        (["new", "old"], "new", Phase.CHANGE_OVER),
        (["new", "old"], None, Phase.FORGET),
    ],
)
def test_files_tell_where_a_rotation_is(
    trusted: list[str], coming: str | None, expected: Phase
) -> None:
    assert phase(trusted, coming) is expected


def test_the_authority_that_vouches_comes_first_and_all_are_made_known(tmp_path: Path) -> None:
    deployment = Deployment.create("keys", "local", Ports(), tmp_path)
    settings = load("local")
    identity.ensure(deployment, settings)
    old = deployment.ca_crt.read_text()
    new_key = tmp_path / "new.key"
    Authority.ensure(tmp_path / "new.crt", new_key, "new")
    new = (tmp_path / "new.crt").read_text()

    write_private(deployment.ca_crt, old + new)
    assert identity.ensure(deployment, settings) == []

    write_private(deployment.ca_crt, new + old)
    with pytest.raises(PreconditionError, match="is not the key of") as cut_off:
        identity.ensure(deployment, settings)
    assert "chef.rotate ca" in cut_off.value.hint

    write_private(deployment.ca_key, new_key.read_bytes())
    assert sorted(identity.ensure(deployment, settings)) == ["chef_server", "fleet", "hub"]
    assert certificates_in(deployment.ca_crt) == [new, old]
    store = SecretStore(deployment.secrets_dir)
    for role in Role:
        bundle = store.read(role, "ca_crt")
        assert bundle is not None
        assert bundle.reveal() == new + old


def test_a_key_is_known_by_its_sum(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unable to load PEM|deserialize"):
        fingerprint("no key")


def test_a_machine_whose_client_is_gone_is_replaced() -> None:
    hub, good, revoked = machine(0, Role.HUB), machine(1), machine(2)
    chef = machine(3, Role.CHEF_SERVER)
    found = [(each, Health.OK) for each in (chef, hub, good, revoked)]
    known = without_revoked(found, {chef.id, hub.id, good.id})
    assert [state for _, state in known] == [Health.OK] * 3 + [Health.REVOKED]
    plan = make_plan(known, workers=2)
    assert plan.replace == [revoked]
    assert plan.launch[Role.SWARM_WORKER] == 1


def test_a_server_that_knows_nobody_revokes_nobody() -> None:
    found = [(machine(1), Health.OK), (machine(2), Health.BUSY)]
    assert without_revoked(found, []) == found
    assert without_revoked(found, {machine(2).id}) == found


def test_a_machine_that_comes_up_is_not_taken_for_a_revoked_one() -> None:
    found = [(machine(1), Health.OK), (machine(2), Health.BUSY)]
    assert without_revoked(found, {machine(1).id}) == found


def test_some_and_all_failures_differ() -> None:
    good, bad = Rotated(machine(1), "key-1", ""), Rotated(machine(2), "", "401 refused")
    require_rotated([good])
    with pytest.raises(PartialError, match="1 of 2 nodes kept their keys: .*401 refused"):
        require_rotated([good, bad])
    with pytest.raises(ConvergeError):
        require_rotated([bad])


def test_a_dry_run_names_every_step() -> None:
    lines = words(("nodes", "operator", "ca"), [machine(1)], ["trust both authorities"])
    assert [line.split(":")[0] for line in lines] == [
        f"new key for swarm_worker {machine(1).id}, made there",
        "new key for operator; the Chef server converges",
        "certificate authority",
    ]
