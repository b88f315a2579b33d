"""The deployment's authority: what it signs is accepted by OpenSSL, and renewed in time."""

import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hubfleet import pki
from hubfleet.errors import PreconditionError
from hubfleet.pki import Authority, describe, ensure_rsa_key

NAMES = ["hub.hubfleet.internal", "localhost", "127.0.0.1", "::1"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.ensure(tmp_path / "ca.crt", tmp_path / "ca.key", "test CA")


def handshake(authority_file: Path, chain: tuple[str, str], name: str, folder: Path) -> None:
    """Shake hands in memory, with strict verification as Python 3.13 has it by default."""
    (folder / "server.pem").write_text("".join(chain))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / "server.pem")
    client_context = ssl.create_default_context(cafile=str(authority_file))
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    client.getpeercert()


@pytest.mark.parametrize("name", NAMES)
def test_clients_accept_every_name(authority: Authority, tmp_path: Path, name: str) -> None:
    handshake(tmp_path / "ca.crt", authority.issue(NAMES), name, tmp_path)


def test_clients_refuse_another_name_and_another_authority(
    authority: Authority, tmp_path: Path
) -> None:
    chain = authority.issue(NAMES)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(tmp_path / "ca.crt", chain, "chef.hubfleet.internal", tmp_path)
    other = tmp_path / "other.crt"
    Authority.ensure(other, tmp_path / "other.key", "other CA")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other, chain, "localhost", tmp_path)


def test_an_authority_is_made_once_and_lasts_ten_years(
    authority: Authority, tmp_path: Path
) -> None:
    again = Authority.ensure(tmp_path / "ca.crt", tmp_path / "ca.key", "test CA")
    assert again.certificate == authority.certificate
    assert describe("ca", tmp_path / "ca.crt").days_left > 3650
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_a_key_of_another_authority_is_noticed(authority: Authority, tmp_path: Path) -> None:
    Authority.ensure(tmp_path / "b.crt", tmp_path / "b.key", "other")
    with pytest.raises(PreconditionError, match="is not the key of"):
        Authority.ensure(tmp_path / "ca.crt", tmp_path / "b.key", "test CA")


def test_a_killed_first_run_is_completed(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("half a k")
    Authority.ensure(tmp_path / "ca.crt", tmp_path / "ca.key", "test CA")


def test_what_is_kept_and_what_is_replaced(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = authority.issue(NAMES)
    assert authority.accepts(certificate, key, NAMES)
    assert not authority.accepts(certificate, key, NAMES[:2])
    assert not authority.accepts(certificate, authority.issue(NAMES)[1], NAMES)
    assert not authority.accepts(certificate[:200], key, NAMES)
    other = Authority.ensure(tmp_path / "o.crt", tmp_path / "o.key", "test CA")
    assert not other.accepts(certificate, key, NAMES)
    monkeypatch.setattr(pki, "SERVER_LIFE", timedelta(days=29))
    assert not authority.accepts(*authority.issue(NAMES), NAMES)


def test_chef_keys_are_rsa_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "operator.pem"
    key = ensure_rsa_key(file)
    assert key.key_size == 2048
    assert pki.public_pem(ensure_rsa_key(file)) == pki.public_pem(key)
    file.write_bytes(pki._private_pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(PreconditionError, match="not an RSA key"):
        ensure_rsa_key(file)
