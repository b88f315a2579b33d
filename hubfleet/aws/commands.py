"""`deploy` and `destroy` of an environment on AWS, where each environment is one deployment."""

from dataclasses import replace
from pathlib import Path

from hubfleet.aws.deploy import Consent, Deploy
from hubfleet.aws.destroy import Removal
from hubfleet.clients.aws import Aws
from hubfleet.console import Console
from hubfleet.doctor import port_is_free
from hubfleet.errors import PreconditionError, UsageError
from hubfleet.settings import Settings, load
from hubfleet.state import ROOT, Deployment, Ports, deployments

LOOPBACK = "127.0.0.1"

FIRST_PORT, STEP, LAST_PORT = 18443, 10, 19443
"""Where the ways to Chef servers begin on the operator's machine; nothing of ours is there else."""


def on_aws(environment: str, root: Path = ROOT) -> bool:
    """Say whether an environment has its machines on AWS; SettingsError for an unknown one."""
    return load(environment, root).fleet.backend == "aws"


def choose(name: str | None, environment: str, root: Path = ROOT) -> Deployment:
    """Return the deployment of an environment on AWS, recorded or not; it has the same name.

    Raises UsageError for another name, PreconditionError where no port is free for the way to its
    Chef server.
    """
    if name not in (None, environment):
        raise UsageError(
            f"{environment} lives on AWS, where a deployment is named like its environment",
            "leave out --name; another environment is a copy of environments/staging.json",
        )
    probe = Deployment(environment, environment, root)
    if probe.exists:
        return Deployment.open(environment, environment, root)
    ports = _free_ports(root)
    server = load(environment, root).chef_server
    if server.mode == "install":
        # An Infra Server names its own port in its answers, so it must be the same here.
        ports = replace(ports, chef=server.install.port)
    return Deployment(environment, environment, root, ports)


def deploy(console: Console, chosen: Deployment, ok: Consent) -> None:
    """Bring an environment up on AWS, or up to date.

    Raises PreconditionError (LockedError among them), CommandError, ConvergeError, UsageError.
    """
    settings = _settings(chosen)
    with chosen.lock("deploy"):
        Deploy(chosen, settings, Aws(settings.fleet.aws.region), console, ok).run()


def destroy(console: Console, chosen: Deployment, *, homes: bool, yes: bool, dry_run: bool) -> None:
    """Say what goes and what stays, ask, and remove it. Raises as `deploy` does."""
    settings = _settings(chosen)
    with chosen.lock("destroy"):
        removal = Removal(chosen, settings, Aws(settings.fleet.aws.region), console, homes)
        for line in removal.words():
            console.say(line)
        if dry_run:
            return
        if not console.confirm(f"Remove {chosen.environment} from AWS?", yes):
            raise UsageError("nothing was removed")
        removal.run()


def _settings(chosen: Deployment) -> Settings:
    return load(chosen.environment, chosen.root)


def _free_ports(root: Path) -> Ports:
    taken = set()
    for name in deployments(root):
        ports = Deployment.open(name, root=root).ports
        taken |= {ports.https, ports.chef, ports.registry}
    for first in range(FIRST_PORT, LAST_PORT, STEP):
        ports = Ports.block(first)
        if ports.chef not in taken and port_is_free(LOOPBACK, ports.chef):
            return ports
    raise PreconditionError(
        f"no port from {FIRST_PORT} to {LAST_PORT} is free for the way to the Chef server",
        "end what holds them: ss -ltnp",
    )
