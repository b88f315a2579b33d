"""The whole system on this machine; again, it changes only what differs."""

from pathlib import Path

from hubfleet.console import Console
from hubfleet.errors import PreconditionError, UsageError
from hubfleet.settings import ROOT, load
from hubfleet.stages import Deploy, Summary
from hubfleet.state import Deployment, Ports, resolve_name


def deploy(
    console: Console,
    name: str | None = None,
    environment: str | None = None,
    port: int | None = None,
    dry_run: bool = False,
    root: Path = ROOT,
) -> Summary | None:
    """Bring a deployment up, or up to date; return None for a dry run.

    Raises UsageError, PreconditionError, LockedError, CommandError, ConvergeError or PartialError.
    """
    deployment = choose(name, environment, port, root)
    run = Deploy(deployment, load(deployment.environment, root), console)
    if dry_run:
        run.show_plan()
        return None
    with deployment.lock("deploy"):
        return run.run()


def choose(
    name: str | None, environment: str | None, port: int | None, root: Path = ROOT
) -> Deployment:
    """Return the deployment that the options mean, recorded or not.

    Raises UsageError where they contradict its record, SettingsError for an unknown environment,
    PreconditionError for an environment that is not deployed on this machine.
    """
    chosen = resolve_name(name, environment)
    probe = Deployment(chosen, environment or "local", root)
    ports = Ports.block(port) if port is not None else None
    if probe.exists:
        probe = Deployment.open(chosen, environment, root)
        if ports not in (None, probe.ports):
            raise UsageError(
                f"deployment {chosen!r} was made with port {probe.ports.https}",
                "leave out --port, or destroy the deployment first",
            )
    settings = load(probe.environment, root)
    if settings.fleet.backend != "local":
        raise PreconditionError(
            f"environment {probe.environment!r} lives on AWS; {chosen!r} would be on this machine",
            f"deploy it there: ./invoke deploy --env {probe.environment}",
        )
    if probe.exists:
        return probe
    local = settings.fleet.local
    defaults = Ports(local.https_port, local.chef_port, local.registry_port)
    return Deployment(chosen, probe.environment, root, ports or defaults)
