"""The form of a backup file: no damage goes unnoticed, and each says what it is."""

import secrets
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hubfleet import backup, backup_file
from hubfleet.backup_file import MAGIC, BackupFileError, Header, describe, seal, unseal
from hubfleet.errors import HubfleetError, PreconditionError, UsageError
from hubfleet.fleet.base import Role
from hubfleet.secrets import Secret
from hubfleet.state import Deployment, Ports
from tests.unit.test_bringup import machine

CONTENT = secrets.token_bytes(3000)
PASSPHRASE = Secret("correct horse")
HEADER = Header("local", datetime(2026, 11, 23, 8, 0, tzinfo=UTC))


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return seal(CONTENT, PASSPHRASE, HEADER)


def body(data: bytes) -> int:
    """Return where the content begins."""
    length = struct.unpack(">I", data[len(MAGIC) + 1 : len(MAGIC) + 5])[0]
    return len(MAGIC) + 5 + int(length) + backup_file.CHECKSUM_BYTES


def test_what_was_sealed_comes_out_again(sealed: bytes) -> None:
    assert describe(sealed) == HEADER
    assert unseal(sealed, PASSPHRASE) == CONTENT
    assert CONTENT[:16] not in sealed
    assert sealed != seal(CONTENT, PASSPHRASE, HEADER)


def test_another_passphrase_says_so(sealed: bytes) -> None:
    with pytest.raises(PreconditionError, match="passphrase is wrong"):
        unseal(sealed, Secret("correct horse "))


def test_every_altered_byte_is_noticed(sealed: bytes) -> None:
    """Of each region: all bytes up to the content, and some of content and tag."""
    start = body(sealed)
    for place in [*range(start), start, start + 1000, len(sealed) - 16, len(sealed) - 1]:
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(BackupFileError) as caught:
            unseal(bytes(altered), PASSPHRASE)
        if place < len(MAGIC):
            expected = "no backup of a Chef server"
        elif place == len(MAGIC):
            expected = "format"
        elif place < len(MAGIC) + 5:
            expected = "altered|truncated"
        else:
            expected = "altered"
        assert any(word in caught.value.message for word in expected.split("|")), place


def test_a_header_altered_with_its_checksum_is_noticed(sealed: bytes) -> None:
    """The checksum finds accidents; an attack is found by the encryption."""
    import hashlib

    start = body(sealed)
    head = sealed[: start - backup_file.CHECKSUM_BYTES].replace(b'"local"', b'"lokal"')
    forged = head + hashlib.sha256(head).digest() + sealed[start:]
    assert describe(forged).deployment == "lokal"
    with pytest.raises(BackupFileError, match="altered"):
        unseal(forged, PASSPHRASE)


def test_every_cut_is_noticed(sealed: bytes) -> None:
    for length in (1, len(MAGIC), len(MAGIC) + 3, 100, body(sealed), len(sealed) - 1):
        with pytest.raises(BackupFileError, match="truncated"):
            unseal(sealed[:length], PASSPHRASE)
    with pytest.raises(BackupFileError, match="no backup"):
        unseal(b"", PASSPHRASE)
    with pytest.raises(BackupFileError, match="altered"):
        unseal(sealed + b"x", PASSPHRASE)


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_file, "MAX_BYTES", 10)
    with pytest.raises(HubfleetError, match="at most 10"):
        seal(b"x" * 11, PASSPHRASE, HEADER)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.create("local", "local", Ports(), tmp_path)


def test_another_deployment_s_backup_needs_force(deployment: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "b.hfb"
    file.write_bytes(seal(CONTENT, PASSPHRASE, Header("other", HEADER.time)))
    word = tmp_path / "passphrase"
    word.write_text("correct horse\n")
    with pytest.raises(PreconditionError, match="is of deployment 'other', not 'local'"):
        backup.open_backup(deployment, file, word)
    assert backup.open_backup(deployment, file, word, force=True).content == CONTENT


def test_a_missing_file_or_passphrase_is_named(deployment: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "b.hfb"
    with pytest.raises(UsageError, match=r"b\.hfb cannot be read"):
        backup.open_backup(deployment, file)
    file.write_bytes(seal(CONTENT, PASSPHRASE, HEADER))
    with pytest.raises(PreconditionError, match="passphrase cannot be read") as caught:
        backup.open_backup(deployment, file)
    assert "--passphrase-file" in caught.value.hint


def test_a_server_that_knows_none_of_the_machines_is_a_new_one(deployment: Deployment) -> None:
    kept = [machine(1, Role.CHEF_SERVER), machine(2, Role.HUB), machine(3)]
    names = [each.id for each in kept]
    backup.require_known(deployment, kept, names)
    backup.require_known(deployment, kept, [names[0], names[1]])  # the third has been revoked
    backup.require_known(deployment, kept[:1], [])
    with pytest.raises(PreconditionError, match="none of the 2 machines") as caught:
        backup.require_known(deployment, kept, [names[0], "operator"])
    assert "there is no backup: run ./invoke destroy" in caught.value.hint
    for day in ("20261122", "20261123"):
        file = backup.directory(deployment) / f"chef-{day}T080000Z.hfb"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"")
    with pytest.raises(PreconditionError) as caught:
        backup.require_known(deployment, kept, [])
    assert "chef.restore" in caught.value.hint
    assert "chef-20261123T080000Z.hfb" in caught.value.hint
