"""Which Chef server a deployment has, where it is, and with whose keys it is spoken to.

Mode embedded: the API on the deployment's own machine. Mode install: an Infra Server there, on a
port of its own. Mode external: a server that exists; its administrator's three files lie in the
deployment's directory.
"""

from dataclasses import dataclass
from pathlib import Path

from hubfleet.errors import PreconditionError
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment

OPERATOR = "operator"
BOOTSTRAP = "bootstrap"
"""The two clients of an embedded server; the first is also the user of an installed one."""


@dataclass(frozen=True)
class Endpoint:
    """A Chef organization as the operator and as a node reaches it."""

    mode: str
    url: str
    """The organization, as the operator's machine reaches it."""
    node_url: str
    """The same, as nodes reach it."""
    ca: Path
    """Who signs its certificate, as the operator sees it."""
    operator: str
    """Client or user of the operator, whose key is `Deployment.operator_key`."""
    bootstrap: str
    """Client that registers nodes, whose key is `Deployment.bootstrap_key`."""

    @property
    def external(self) -> bool:
        """Say whether the server is somebody else's."""
        return self.mode == "external"


def endpoint(deployment: Deployment, settings: Settings | None = None) -> Endpoint:
    """Return the Chef server of a deployment; the settings are read where they are not given."""
    settings = settings or load(deployment.environment, deployment.root)
    server, zone = settings.chef_server, settings.fleet.zone
    path = f"/organizations/{server.organization}"
    if server.mode == "external":
        url = server.external.url + path
        external = server.external
        ca = deployment.external_ca
        return Endpoint(server.mode, url, url, ca, external.operator, external.bootstrap)
    node_url = f"https://chef.{zone}{path}"
    bootstrap = BOOTSTRAP
    if server.mode == "install":
        node_url = f"https://chef.{zone}:{server.install.port}{path}"
        # The validator that an Infra Server makes with an organization.
        bootstrap = f"{server.organization}-validator"
    return Endpoint(
        server.mode, deployment.chef_server_url, node_url, deployment.ca_crt, OPERATOR, bootstrap
    )


def trust(deployment: Deployment, settings: Settings) -> bytes:
    """Return the certificates of all authorities that a node trusts, in PEM."""
    files = [deployment.ca_crt]
    if endpoint(deployment, settings).external:
        files.append(deployment.external_ca)
    return b"".join(file.read_bytes().rstrip(b"\n") + b"\n" for file in files)


def require_files(deployment: Deployment) -> None:
    """Raise PreconditionError where a file that an external server's administrator gives lacks."""
    for what, file in (
        ("the operator's private key", deployment.operator_key),
        ("the private key of the validator client", deployment.bootstrap_key),
        ("the CA of its certificate", deployment.external_ca),
    ):
        if not file.is_file():
            raise PreconditionError(
                f"the external Chef server needs {what}",
                f"put it in place: install -D -m 600 YOUR-FILE {file}",
            )
