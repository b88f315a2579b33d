"""The Chef server that the tests speak to.

By default the embedded one, started for the run as a process of this machine. The environment may
name another: $HUBFLEET_CHEF_URL (its organization), $HUBFLEET_CHEF_CA, $HUBFLEET_CHEF_OPERATOR_KEY
and $HUBFLEET_CHEF_BOOTSTRAP_KEY (files; clients `operator`, an administrator, and `bootstrap`, a
validator). Whatever the tests create there begins with `hubfleet-test-`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from hubfleet.clients.chef import Chef
from hubfleet.pki import ensure_rsa_key, public_pem

PREFIX = "hubfleet-test-"


@dataclass(frozen=True)
class Target:
    """A server, and the keys of the two clients that it begins with."""

    url: str
    ca: Path
    keys: Path
    """Directory of private keys: NAME.pem."""

    def as_client(self, name: str) -> Chef:
        """Return the server as seen by a client whose key is `keys`/NAME.pem."""
        return Chef(self.url, self.keys / f"{name}.pem", self.ca, name)

    @property
    def operator(self) -> Chef:
        """The server as seen by its administrator."""
        return self.as_client("operator")

    def new_client(self, name: str) -> Chef:
        """Create an ordinary client with a key of its own; return the server as it sees it."""
        self.operator.create_client(name, public_pem(ensure_rsa_key(self.keys / f"{name}.pem")))
        return self.as_client(name)


def new_keys(directory: Path) -> dict[str, Path]:
    """Make keys of the first clients in `directory`; return the files of the public ones."""
    public = {}
    for name in ("operator", "bootstrap", "fleet"):
        public[name] = directory / f"{name}.pub"
        public[name].write_text(public_pem(ensure_rsa_key(directory / f"{name}.pem")))
    return public


def external(directory: Path) -> Target | None:
    """Return the server that the environment names, or None; its keys are linked to `directory`."""
    url = os.environ.get("HUBFLEET_CHEF_URL")
    if not url:
        return None
    for name in ("operator", "bootstrap"):
        source = os.environ[f"HUBFLEET_CHEF_{name.upper()}_KEY"]
        (directory / f"{name}.pem").symlink_to(Path(source).resolve())
    return Target(url, Path(os.environ["HUBFLEET_CHEF_CA"]), directory)
