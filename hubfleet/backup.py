"""Backups of a deployment's Chef server, and their way back.

Taken while the server works, of one moment; encrypted with a passphrase that is made once for each
deployment, or with the user's own. `deploy` takes one whenever it has changed something there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hubfleet import policy
from hubfleet.backup_file import Header, describe, seal, unseal
from hubfleet.clients import chef_snapshot
from hubfleet.clients.chef import Chef
from hubfleet.console import Console
from hubfleet.errors import HubfleetError, PreconditionError, UsageError
from hubfleet.fleet.base import Instance, Role
from hubfleet.identity import OPERATOR
from hubfleet.secrets import Secret, SecretStore, random_password
from hubfleet.state import Deployment, write_private

PASSPHRASE = "backup_passphrase"
KEPT = 10
"""Backups that stay in the deployment's own directory, newest first."""


@dataclass(frozen=True)
class Backup:
    """A backup's file, the passphrase's file, and how many objects of each kind it holds."""

    file: Path
    passphrase_file: Path
    objects: dict[str, int]


@dataclass(frozen=True)
class Restore:
    """A backup that has been opened: it is whole, and this is its passphrase."""

    header: Header
    content: bytes

    @property
    def objects(self) -> dict[str, int]:
        """How many objects of each kind it holds."""
        return chef_snapshot.contents(self.content)


def directory(deployment: Deployment) -> Path:
    """Return where backups go that are given no other place."""
    return deployment.dir / "backups"


def default_file(deployment: Deployment, now: datetime | None = None) -> Path:
    """Return the file of a backup that is given no other place."""
    time = (now or datetime.now(UTC)).astimezone(UTC)
    return directory(deployment) / f"chef-{time:%Y%m%dT%H%M%SZ}.hfb"


def newest(deployment: Deployment) -> Path | None:
    """Return the newest backup in the deployment's own directory."""
    return max(directory(deployment).glob("chef-*.hfb"), default=None)


def take(
    deployment: Deployment,
    output: Path | None = None,
    passphrase_file: Path | None = None,
    chef: Chef | None = None,
) -> Backup:
    """Write a backup to `output`, or to the deployment's own directory, which keeps the newest.

    Raises PreconditionError where the server cannot be reached or has no snapshots, UsageError
    where `output` is there already.
    """
    if output is not None and output.exists():
        raise UsageError(f"{output} is there already", "name another file")
    content = chef_snapshot.take(chef or policy.connect(deployment))
    secret, source = _passphrase(deployment, passphrase_file, make=True)
    now = datetime.now(UTC)
    file = output or default_file(deployment, now)
    write_private(file, seal(content, secret, Header(deployment.name, now)))
    if output is None:
        for old in sorted(directory(deployment).glob("chef-*.hfb"), reverse=True)[KEPT:]:
            old.unlink()
    return Backup(file, source, chef_snapshot.contents(content))


def open_backup(
    deployment: Deployment, file: Path, passphrase_file: Path | None = None, force: bool = False
) -> Restore:
    """Return a backup's content, which is then known to be whole and unaltered.

    Raises UsageError where there is no such file, PreconditionError for another deployment's,
    unless `force`d, or a wrong passphrase, BackupFileError for a damaged file.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    header = describe(data)
    if header.deployment != deployment.name and not force:
        raise PreconditionError(
            f"{file} is of deployment {header.deployment!r}, not {deployment.name!r}",
            "restore it here all the same with --force",
        )
    secret, _ = _passphrase(deployment, passphrase_file, make=False)
    return Restore(header, unseal(data, secret))


def restore(
    deployment: Deployment,
    found: Restore,
    keep: Sequence[str],
    force: bool = False,
    chef: Chef | None = None,
) -> int:
    """Replace the Chef server's data by a backup; return the number of objects.

    `keep`: clients that stay as they are, such as that of the Chef server's own machine. Raises
    PreconditionError where the server is in use, unless `force`d.
    """
    return chef_snapshot.put_back(chef or policy.connect(deployment), found.content, keep, force)


def after_deploy(deployment: Deployment, console: Console) -> Backup | None:
    """Take a backup; where that fails, warn: what was deployed works all the same."""
    try:
        return take(deployment)
    except HubfleetError as error:
        option = _option(deployment)
        console.warn(
            f"the Chef server was not backed up: {error.message}; run ./invoke chef.backup{option}"
        )
        return None


def own_clients(machines: Sequence[Instance]) -> list[str]:
    """Return the clients that a new Chef server has made before anything could be restored."""
    return [machine.id for machine in machines if machine.role is Role.CHEF_SERVER]


def require_known(deployment: Deployment, kept: Sequence[Instance], clients: Sequence[str]) -> None:
    """Raise PreconditionError where the Chef server knows none of the machines that have converged.

    Then it is a new one, the old one's data are lost, and no machine could converge. Where it knows
    some of them the others have been revoked.
    """
    nodes = [machine.id for machine in kept if machine.role is not Role.CHEF_SERVER]
    if not nodes or set(nodes) & set(clients):
        return
    option = _option(deployment)
    if file := newest(deployment):
        hint = f"run ./invoke chef.restore {file}{option} and then deploy again"
    else:
        hint = f"there is no backup: run ./invoke destroy{option} (homes stay) and deploy again"
    raise PreconditionError(
        f"the Chef server is new and knows none of the {len(nodes)} machines that run", hint
    )


def _option(deployment: Deployment) -> str:
    return "" if deployment.name == "local" else f" --name {deployment.name}"


def _passphrase(deployment: Deployment, file: Path | None, make: bool) -> tuple[Secret, Path]:
    store = SecretStore(deployment.secrets_dir)
    source = file or store.path(OPERATOR, PASSPHRASE)
    if file is None and make:
        return store.ensure(OPERATOR, PASSPHRASE, random_password), source
    try:
        text = source.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PreconditionError(
            f"the passphrase cannot be read from {source}: {error}",
            "give the file that holds it with --passphrase-file",
        ) from error
    if not text:
        raise PreconditionError(f"{source} holds no passphrase", "write one line to it")
    return Secret(text), source
