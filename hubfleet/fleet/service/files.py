"""Where the service finds and keeps its files, and how its container is told the rest."""

from pathlib import Path

from hubfleet.secrets import SecretStore
from hubfleet.state import Deployment

TLS_ROLE = "fleet"
"""Role of the service's certificate and key: their directory is mounted in no machine."""

TOKEN_ROLE, TOKEN = "hub", "fleet_token"
"""The controller's token."""

FAULTS_ROLE, FAULTS_TOKEN = "operator", "fleet_faults_token"
"""The operator's token, which also opens the faults; it reaches no machine."""

NODE_IMAGE = "HUBFLEET_NODE_IMAGE"
CAPABILITIES = "HUBFLEET_CAPABILITIES"
"""Environment variables; the second holds names with blanks between."""


def state_dir(deployment: Deployment) -> Path:
    """Return where the service remembers its group and its queue."""
    return deployment.dir / "fleet"


def certificate_files(deployment: Deployment) -> tuple[Path, Path]:
    """Return the files of the certificate and of its key."""
    store = SecretStore(deployment.secrets_dir)
    return store.path(TLS_ROLE, "tls_crt"), store.path(TLS_ROLE, "tls_key")


def token_files(deployment: Deployment) -> tuple[Path, Path]:
    """Return the files of the controller's token and of the operator's."""
    store = SecretStore(deployment.secrets_dir)
    return store.path(TOKEN_ROLE, TOKEN), store.path(FAULTS_ROLE, FAULTS_TOKEN)
