"""A deployment's own authority, certificates, keys and secrets: made once, for the right eyes."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from hubfleet import identity, pki
from hubfleet.errors import PreconditionError
from hubfleet.fleet.base import Role
from hubfleet.secrets import SecretStore
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment, Ports


@pytest.fixture(autouse=True)
def small_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the real size take most of a second each."""
    monkeypatch.setattr(pki, "RSA_BITS", 1024)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment.create("local", "local", Ports.block(9000), tmp_path)


@pytest.fixture
def settings() -> Settings:
    return load("local")


def contents(deployment: Deployment) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in deployment.dir.rglob("*") if path.is_file()}


def test_each_role_gets_its_secrets_and_nothing_more(
    deployment: Deployment, settings: Settings
) -> None:
    assert identity.ensure(deployment, settings) == ["chef_server", "hub", "fleet"]
    found = {
        directory.name: sorted(path.name for path in directory.iterdir())
        for directory in deployment.secrets_dir.iterdir()
    }
    assert found == {
        "chef_server": [
            "bootstrap_public_key",
            "ca_crt",
            "fleet_public_key",
            "operator_public_key",
            "registry_htpasswd",
            "tls_crt",
            "tls_key",
        ],
        "fleet": ["tls_crt", "tls_key"],
        "hub": [
            "ca_crt",
            "cookie_secret",
            "fleet_api_token",
            "fleet_key",
            "fleet_token",
            "login_password",
            "proxy_token",
            "tls_crt",
            "tls_key",
        ],
        "operator": ["fleet_faults_token", "registry_password"],
        "swarm_worker": ["ca_crt"],
    }


def test_everything_is_private(deployment: Deployment, settings: Settings) -> None:
    identity.ensure(deployment, settings)
    for path in deployment.dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_second_time_nothing_changes(deployment: Deployment, settings: Settings) -> None:
    identity.ensure(deployment, settings)
    before = contents(deployment)
    assert identity.ensure(deployment, settings) == []
    assert contents(deployment) == before


def test_certificates_are_for_the_zone_and_this_machine(
    deployment: Deployment, settings: Settings
) -> None:
    identity.ensure(deployment, settings)
    names = {
        certificate.name: certificate.names for certificate in identity.certificates(deployment)
    }
    here = ("localhost", "127.0.0.1", "::1")
    assert names == {
        "ca": (),
        "chef_server": ("chef.hubfleet.internal", "registry.hubfleet.internal", *here),
        "hub": ("hub.hubfleet.internal", *here),
        "fleet": ("fleet.hubfleet.internal", *here),
    }


def test_on_aws_the_hubs_certificate_names_its_public_host_too(deployment: Deployment) -> None:
    aws = load("production")
    made = SecretStore(deployment.secrets_dir)
    for name in ("oauth_client_id", "oauth_client_secret"):
        made.ensure(Role.HUB, name, lambda: "given")
    identity.ensure(deployment, aws)
    names = {each.name: each.names for each in identity.certificates(deployment)}
    assert aws.fleet.aws.host in names["hub"]
    assert aws.fleet.aws.host not in names["chef_server"]


def test_a_certificate_that_ends_soon_is_replaced_with_its_key(
    deployment: Deployment, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pki, "SERVER_LIFE", timedelta(days=20))
        identity.ensure(deployment, settings)
    store = SecretStore(deployment.secrets_dir)
    old = store.read(Role.HUB, "tls_key")
    assert identity.ensure(deployment, settings) == ["chef_server", "hub", "fleet"]
    assert store.read(Role.HUB, "tls_key") != old


def test_a_lost_password_makes_a_new_password_file(
    deployment: Deployment, settings: Settings
) -> None:
    identity.ensure(deployment, settings)
    store = SecretStore(deployment.secrets_dir)
    old = store.read(Role.CHEF_SERVER, "registry_htpasswd")
    store.path(identity.OPERATOR, "registry_password").unlink()
    identity.ensure(deployment, settings)
    assert store.read(Role.CHEF_SERVER, "registry_htpasswd") != old


def test_the_registry_is_asked_with_the_password_and_hides_it(
    deployment: Deployment, settings: Settings
) -> None:
    identity.ensure(deployment, settings)
    registry = identity.registry(deployment, settings)
    assert (registry.address, registry.user) == ("localhost:9002", "publisher")
    assert registry.password not in repr(registry)


def test_knife_s_configuration_names_server_key_and_authority(
    deployment: Deployment, settings: Settings
) -> None:
    identity.ensure(deployment, settings)
    lines = deployment.chef_config.read_text().splitlines()
    assert 'chef_server_url "https://localhost:9001/organizations/hubfleet"' in lines
    assert f'client_key "{deployment.operator_key}"' in lines
    assert 'authentication_protocol_version "1.3"' in lines
    assert "ssl_verify_mode :verify_peer" in lines


def test_an_oauth_provider_needs_what_only_its_owner_knows(
    deployment: Deployment, settings: Settings
) -> None:
    hub = settings.hub.model_copy(update={"authenticator": "github"})
    github = settings.model_copy(update={"hub": hub})
    with pytest.raises(PreconditionError, match="oauth_client_id"):
        identity.ensure(deployment, github)
    store = SecretStore(deployment.secrets_dir)
    for name in ("oauth_client_id", "oauth_client_secret"):
        store.path(Role.HUB, name).write_text("x")
    identity.ensure(deployment, github)
    assert store.read(Role.HUB, "login_password") is None
