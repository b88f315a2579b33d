"""Everything a deployment keeps to itself: its authority, certificates, keys and secrets.

Made once; a server certificate is made again when it ends soon or its names have changed.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from hubfleet import chef_server
from hubfleet.backends import require_local
from hubfleet.chef_server import Endpoint, endpoint, require_files, trust
from hubfleet.clients.registry import Registry
from hubfleet.errors import PreconditionError
from hubfleet.fleet.base import Role
from hubfleet.fleet.service.files import FAULTS_ROLE, FAULTS_TOKEN, TLS_ROLE, TOKEN, TOKEN_ROLE
from hubfleet.pki import (
    LOCAL_NAMES,
    Authority,
    CertificateInfo,
    describe,
    ensure_rsa_key,
    public_pem,
)
from hubfleet.secrets import (
    Secret,
    SecretStore,
    htpasswd_line,
    htpasswd_matches,
    random_hex,
    random_password,
)
from hubfleet.settings import Settings
from hubfleet.state import Deployment, make_private_dir, write_private

OPERATOR = chef_server.OPERATOR
"""Role, and Chef client, of whoever runs the commands: its secrets reach no node."""

CERTIFICATES: Mapping[str, tuple[str, ...]] = {
    Role.CHEF_SERVER.value: ("chef", "registry"),
    Role.HUB.value: ("hub",),
    TLS_ROLE: ("fleet",),
}
"""Who serves TLS, and the names in the zone that they answer to; the fleet's service locally."""


def ensure(deployment: Deployment, settings: Settings) -> list[str]:
    """Make what is missing; return the roles whose server certificate is new."""
    store = SecretStore(deployment.secrets_dir)
    authority = Authority.ensure(
        deployment.ca_crt, deployment.ca_key, f"hubfleet {deployment.name} CA"
    )
    renewed = [
        role
        for role, names in CERTIFICATES.items()
        if (role != TLS_ROLE or settings.fleet.backend == "local")
        and _ensure_certificate(store, authority, role, _names_of(role, names, settings))
    ]
    server = endpoint(deployment, settings)
    _ensure_chef_keys(deployment, server, store)
    _ensure_htpasswd(store, settings.registry.user)
    store.ensure(Role.HUB, "cookie_secret", random_hex)
    store.ensure(Role.HUB, "proxy_token", random_hex)
    store.ensure(Role.HUB, "fleet_api_token", random_hex)
    if settings.fleet.backend == "local":
        store.ensure(TOKEN_ROLE, TOKEN, random_hex)
        store.ensure(FAULTS_ROLE, FAULTS_TOKEN, random_hex)
    if settings.hub.authenticator == "dummy":
        store.ensure(Role.HUB, "login_password", random_password)
    else:
        _require_oauth(store, settings)
    publish_authorities(deployment, settings)
    make_private_dir(deployment.homes_dir)
    return renewed


def publish_authorities(deployment: Deployment, settings: Settings) -> None:
    """Tell every role, knife and chef which authorities are to be trusted."""
    store = SecretStore(deployment.secrets_dir)
    for role in Role:
        store.write(role, "ca_crt", Secret(trust(deployment, settings).decode()))
    _write_chef_config(deployment, endpoint(deployment, settings))


def server_names(names: tuple[str, ...], zone: str) -> list[str]:
    """Return all names of a server certificate: those in the zone and those of this machine."""
    return [*(f"{name}.{zone}" for name in names), *LOCAL_NAMES]


def _names_of(role: str, names: tuple[str, ...], settings: Settings) -> list[str]:
    """Return the names of a role's certificate; on AWS the hub has a public one, too.

    A browser that trusts the deployment's authority then reaches the hub at any time, also before
    an authority that all browsers trust has issued one (tls.source acme).
    """
    public = [settings.fleet.aws.host] if settings.fleet.backend == "aws" else []
    return server_names(names, settings.fleet.zone) + (public if role == Role.HUB else [])


def registry(deployment: Deployment, settings: Settings) -> Registry:
    """Return the writing side of the deployment's own registry, with its password.

    Raises PreconditionError where its environment is on AWS.
    """
    require_local(deployment.environment, settings)
    store = SecretStore(deployment.secrets_dir)
    password = store.ensure(OPERATOR, "registry_password", random_password)
    return Registry(
        deployment.registry_push, deployment.ca_crt, settings.registry.user, password.reveal()
    )


def certificates(deployment: Deployment) -> list[CertificateInfo]:
    """Return the deployment's certificates, as far as they exist."""
    store = SecretStore(deployment.secrets_dir)
    files = {"ca": deployment.ca_crt} | {role: store.path(role, "tls_crt") for role in CERTIFICATES}
    return [describe(name, file) for name, file in files.items() if file.exists()]


def _require_oauth(store: SecretStore, settings: Settings) -> None:
    """Raise PreconditionError where a provider's client id or secret has not been put in place."""
    if settings.hub.authenticator not in {"github", "oidc"}:
        return
    for name in ("oauth_client_id", "oauth_client_secret"):
        if store.read(Role.HUB, name) is None:
            raise PreconditionError(
                f"authenticator {settings.hub.authenticator!r} needs the secret {name}",
                f"write it to {store.path(Role.HUB, name)}",
            )


def _ensure_certificate(
    store: SecretStore, authority: Authority, role: str, names: list[str]
) -> bool:
    certificate, key = store.read(role, "tls_crt"), store.read(role, "tls_key")
    if certificate and key and authority.accepts(certificate.reveal(), key.reveal(), names):
        return False
    new_certificate, new_key = authority.issue(names)
    store.write(role, "tls_key", Secret(new_key))
    store.write(role, "tls_crt", Secret(new_certificate))
    return True


def _ensure_chef_keys(deployment: Deployment, server: Endpoint, store: SecretStore) -> None:
    """Make the keys of the first two clients, and give the public ones to the server's machine.

    Those of an external server are its administrator's: PreconditionError where they are missing.
    The controller's key is made here for every server; its administrator tells an external one.
    """
    controller = public_pem(ensure_rsa_key(store.path(Role.HUB, "fleet_key")))
    if server.external:
        require_files(deployment)
        return
    for name, file in (
        ("operator_public_key", deployment.operator_key),
        ("bootstrap_public_key", deployment.bootstrap_key),
    ):
        store.write(Role.CHEF_SERVER, name, Secret(public_pem(ensure_rsa_key(file))))
    store.write(Role.CHEF_SERVER, "fleet_public_key", Secret(controller))


def _ensure_htpasswd(store: SecretStore, user: str) -> None:
    password = store.ensure(OPERATOR, "registry_password", random_password)
    line = store.read(Role.CHEF_SERVER, "registry_htpasswd")
    if line is None or not htpasswd_matches(line.reveal(), user, password):
        made = htpasswd_line(user, password)
        store.write(Role.CHEF_SERVER, "registry_htpasswd", Secret(made))


def _write_chef_config(deployment: Deployment, server: Endpoint) -> None:
    """Write what knife and chef read."""
    trusted = deployment.chef_config.parent / "trusted_certs"
    values = {
        "node_name": server.operator,
        "client_key": str(deployment.operator_key),
        "chef_server_url": server.url,
        "trusted_certs_dir": str(trusted),
        "ssl_ca_file": str(server.ca),
        "authentication_protocol_version": "1.3",
        "cookbook_path": str(deployment.root / "cookbooks"),
    }
    lines = [f"{key} {_ruby(value)}" for key, value in values.items()]
    _update(deployment.chef_config, "\n".join([*lines, "ssl_verify_mode :verify_peer"]) + "\n")
    _update(trusted / "hubfleet-ca.crt", server.ca.read_text())


def _ruby(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("#", "\\#")


def _update(file: Path, text: str) -> None:
    if not file.exists() or file.read_text() != text:
        write_private(file, text)
