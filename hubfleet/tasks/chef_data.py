"""Tasks for the Chef server's data: backed up, restored, exported."""

from pathlib import Path

from hubfleet.console import Console
from hubfleet.errors import UsageError
from hubfleet.state import Deployment
from hubfleet.tasks.common import task

PASSPHRASE_HELP = "File with the passphrase (default: the deployment's own secret)."


@task(
    help={
        "output": "File to write (default: .state/NAME/backups/chef-TIME.hfb).",
        "passphrase_file": PASSPHRASE_HELP,
    }
)
def backup(
    console: Console,
    env: str | None = None,
    name: str | None = None,
    output: str | None = None,
    passphrase_file: str | None = None,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Write all data of the Chef server, of one moment, to an encrypted file."""
    from hubfleet import backup as backups

    deployment = Deployment.open(name, env)
    target = Path(output) if output else None
    if dry_run:
        console.say(f"write {target or backups.default_file(deployment)}")
        return
    done = backups.take(deployment, target, _path(passphrase_file))
    if json:
        console.emit_json({"file": str(done.file), "objects": done.objects})
    else:
        console.out(str(done.file))
    console.say(_words(done.objects))
    if passphrase_file is None:
        console.say(
            f"its passphrase is in {done.passphrase_file}: keep a copy of both on another machine"
        )


@task(
    positional=["file"],
    help={
        "file": "The backup.",
        "passphrase_file": PASSPHRASE_HELP,
        "force": "Replace what a server in use holds; take another deployment's backup.",
    },
)
def restore(
    console: Console,
    file: str,
    env: str | None = None,
    name: str | None = None,
    passphrase_file: str | None = None,
    force: bool = False,
    yes: bool = False,
    dry_run: bool = False,
) -> None:
    """Replace the data of the Chef server, which must be empty, by a backup."""
    from hubfleet import backup as backups
    from hubfleet.status import fleet_of

    deployment = Deployment.open(name, env)
    found = backups.open_backup(deployment, Path(file), _path(passphrase_file), force)
    console.say(f"backup of {found.header.deployment}, {found.header.time.isoformat()}")
    console.say(_words(found.objects))
    if dry_run:
        return
    question = f"Replace the data of {deployment.name!r}'s Chef server?"
    if not console.confirm(question, yes):
        raise UsageError("nothing was restored")
    with deployment.lock("chef.restore"):
        keep = backups.own_clients(fleet_of(deployment).list())
        count = backups.restore(deployment, found, keep, force)
    console.say(f"restored {count} objects; next: ./invoke deploy --name {deployment.name}")


@task(positional=["directory"], help={"directory": "New or empty directory to write to."})
def export(
    console: Console,
    directory: str,
    env: str | None = None,
    name: str | None = None,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Write what the Chef server holds as a knife repository, for another Chef server."""
    from hubfleet import policy
    from hubfleet.chef_export import export as write

    deployment = Deployment.open(name, env)
    if dry_run:
        console.say(f"write what {deployment.chef_server_url} holds to {directory}")
        return
    counts = write(policy.connect(deployment), Path(directory).absolute())
    if json:
        console.emit_json(counts)
    console.say(_words(counts))


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "nothing"
