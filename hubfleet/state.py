"""What the operator's machine knows about a deployment, under `.state/<name>/` of the checkout.

Directories are 0700 and files 0600: keys and secrets lie among them.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from hubfleet.errors import PreconditionError, UsageError, nearest
from hubfleet.state_lock import hold

ROOT = Path(__file__).resolve().parent.parent
NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,30}")
DEFAULT_NAME = "local"

SHARED_LOGS = ROOT / ".state" / "log"
"""Logs that belong to no deployment; hence none may be named `log`."""


@dataclass(frozen=True)
class Ports:
    """Ports on the operator's machine: the hub, the Chef server, the registry's writing side."""

    https: int = 8443
    chef: int = 8444
    registry: int = 8445

    @classmethod
    def block(cls, first: int) -> Self:
        """Return three ports in a row; raise UsageError where they cannot be ports."""
        if not 1 <= first <= 65533:
            raise UsageError(f"port {first} is out of range", "take one from 1024 to 65533")
        return cls(first, first + 1, first + 2)


@dataclass(frozen=True)
class Deployment:
    """One running system: its name, its environment, and where its files lie."""

    name: str
    environment: str
    root: Path = ROOT
    ports: Ports = Ports()

    @classmethod
    def open(
        cls, name: str | None = None, environment: str | None = None, root: Path = ROOT
    ) -> Self:
        """Return the recorded deployment.

        Without `name` it is that of `environment`, of $HUBFLEET_DEPLOYMENT, or `local`. Raises
        UsageError for a bad name or another environment than the recorded one, PreconditionError
        where nothing of that name is deployed.
        """
        name = resolve_name(name, environment)
        record = _read_record(root / ".state" / name / "deployment.json")
        if record is None:
            known = deployments(root)
            found = f"; there is: {', '.join(known)}" if known else ""
            raise PreconditionError(
                f"no deployment is named {name!r}{nearest(name, known)}{found}",
                f"bring it up: ./invoke deploy --name {name}",
            )
        if environment not in (None, record["environment"]):
            raise UsageError(
                f"deployment {name!r} is of environment {record['environment']!r}, "
                f"not {environment!r}",
                "leave out --env, or take another --name",
            )
        return cls(name, record["environment"], root, Ports(**record["ports"]))

    @classmethod
    def create(cls, name: str, environment: str, ports: Ports, root: Path = ROOT) -> Self:
        """Make the directory and the record of a deployment; an equal record is left alone."""
        made = cls(check_name(name), environment, root, ports)
        make_private_dir(made.dir)
        record = {"name": name, "environment": environment, "ports": asdict(ports)}
        if _read_record(made.file) != record:
            write_private(made.file, json.dumps(record, indent=2) + "\n")
        return made

    @property
    def exists(self) -> bool:
        """Say whether the deployment is recorded."""
        return self.file.exists()

    @property
    def dir(self) -> Path:
        """Everything of this deployment."""
        return self.root / ".state" / self.name

    @property
    def file(self) -> Path:
        """The record."""
        return self.dir / "deployment.json"

    @property
    def lock_file(self) -> Path:
        """The lock that one changing command at a time holds."""
        return self.dir / "lock"

    @property
    def log_dir(self) -> Path:
        """Logs of commands and nodes."""
        return self.dir / "log"

    @property
    def pki_dir(self) -> Path:
        """The deployment's certificate authority and what it has signed."""
        return self.dir / "pki"

    @property
    def ca_crt(self) -> Path:
        """The deployment CA's certificate."""
        return self.pki_dir / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The deployment CA's key."""
        return self.pki_dir / "ca.key"

    @property
    def next_ca_crt(self) -> Path:
        """Certificate of the authority that is taking the CA's place."""
        return self.pki_dir / "ca.next.crt"

    @property
    def next_ca_key(self) -> Path:
        """Key of the authority that is taking the CA's place."""
        return self.pki_dir / "ca.next.key"

    @property
    def external_ca(self) -> Path:
        """Who signs the certificate of an external Chef server; its administrator gives it."""
        return self.pki_dir / "chef-server-ca.crt"

    @property
    def operator_key(self) -> Path:
        """Key of the Chef client `operator`."""
        return self.dir / "keys" / "operator.pem"

    @property
    def bootstrap_key(self) -> Path:
        """Key of the Chef client `bootstrap`, which may only create clients."""
        return self.dir / "keys" / "bootstrap.pem"

    @property
    def secrets_dir(self) -> Path:
        """One directory of secrets for each role."""
        return self.dir / "secrets"

    @property
    def homes_dir(self) -> Path:
        """The students' homes."""
        return self.dir / "homes"

    @property
    def chef_config(self) -> Path:
        """Configuration of knife and chef for this deployment."""
        return self.dir / "chef" / "config.rb"

    @property
    def network(self) -> str:
        """Name of the deployment's Docker network."""
        return f"hubfleet-{self.name}"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the hub."""
        return f"https://localhost:{self.ports.https}"

    @property
    def chef_server_url(self) -> str:
        """The Chef organization, as the operator's machine reaches it."""
        return f"https://localhost:{self.ports.chef}/organizations/hubfleet"

    @property
    def registry_push(self) -> str:
        """Host and port of the registry's writing side, as the operator's machine reaches it."""
        return f"localhost:{self.ports.registry}"

    def node_dir(self, instance_id: str) -> Path:
        """Return the seed directory of one node."""
        return self.dir / "nodes" / instance_id

    def log_file(self, name: str) -> Path:
        """Return the path of a log, whose directory then exists."""
        make_private_dir(self.log_dir)
        return self.log_dir / f"{name}.log"

    @contextmanager
    def lock(self, action: str) -> Iterator[None]:
        """Hold the deployment for `action`; raise LockedError, naming the holder, where it is held.

        The kernel releases the lock with the process that held it, however it ended.
        """
        make_private_dir(self.dir)
        with hold(self.lock_file, self.name, action):
            yield


def resolve_name(name: str | None, environment: str | None) -> str:
    """Return the name a command means; raise UsageError where it cannot be one."""
    return check_name(name or environment or os.environ.get("HUBFLEET_DEPLOYMENT") or DEFAULT_NAME)


def check_name(name: str) -> str:
    """Return `name`; raise UsageError where it cannot name a deployment."""
    if not NAME_PATTERN.fullmatch(name) or name == SHARED_LOGS.name:
        raise UsageError(
            f"{name!r} cannot be the name of a deployment",
            "start with a lower-case letter, then up to 30 lower-case letters, digits and dashes"
            f" ({SHARED_LOGS.name!r} is taken)",
        )
    return name


def deployments(root: Path = ROOT) -> list[str]:
    """Return the names of the recorded deployments."""
    return sorted(path.parent.name for path in (root / ".state").glob("*/deployment.json"))


def make_private_dir(path: Path) -> None:
    """Make a directory, and those above it that are missing, for this user alone (0700)."""
    for missing in reversed([path, *path.parents]):
        if not missing.exists():
            missing.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, readable by this user alone (0600)."""
    make_private_dir(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_record(path: Path) -> dict[str, Any] | None:
    """Return the record or None; raise PreconditionError where it is broken."""
    try:
        record = json.loads(path.read_text())
        if set(record) != {"name", "environment", "ports"}:
            raise ValueError("its keys are not name, environment and ports")
        Ports(**record["ports"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise PreconditionError(
            f"{path} is broken: {error}", "remove what is left: ./invoke destroy, then deploy again"
        ) from error
    return dict(record)
