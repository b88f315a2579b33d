"""The way to the Chef server of an environment on AWS, which has no open port.

While it is open, the server is where that of a local deployment is: on the port of the deployment's
record, under the name `localhost`, with a certificate of the deployment's own authority.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hubfleet.clients.aws import Aws
from hubfleet.clients.session_manager import PortTaken, Tunnel, forward
from hubfleet.clients.web import served_certificate
from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.fleet.base import Role
from hubfleet.settings import Settings
from hubfleet.state import ROOT, Deployment

HTTPS = 443
"""Where nginx serves the embedded API (terraform/locals.tf, chef_port)."""


@contextmanager
def chef_server(
    deployment: Deployment, settings: Settings, aws: Aws, outputs: Mapping[str, Any]
) -> Iterator[Tunnel | None]:
    """Lead to the Chef server as long as the context lasts; `outputs` are the stack's.

    None where nothing is to be done: the server is somebody else's, or a tunnel to it is open
    already. Raises what `forward` raises, and PreconditionError where there is no such machine.
    """
    if settings.chef_server.mode == "external":
        yield None
        return
    machine, port = _machine(deployment, outputs), _port(deployment, settings)
    with ExitStack() as stack:
        tunnel = None
        try:
            tunnel = stack.enter_context(forward(aws, machine, port, deployment.ports.chef))
        except PortTaken:
            if not leads_there(deployment):
                raise
        yield tunnel


def recorded(environment: str, root: Path = ROOT) -> Deployment | None:
    """Return what this machine knows of an environment's deployment, None where that is nothing."""
    if not Deployment(environment, environment, root).exists:
        return None
    return Deployment.open(environment, environment, root)


def words(deployment: Deployment) -> list[str]:
    """Return what can be done while a tunnel is open, as lines for the operator."""
    config = deployment.chef_config.relative_to(deployment.root)
    group, record = deployment.environment, f"--env {deployment.environment}"
    return [
        f"{deployment.chef_server_url} is the Chef server of {group}; in another terminal:",
        f"  ./invoke policy.diff {record}    (policy.push, policy.history, chef.backup, "
        "chef.export, too)",
        f"  chef show-policy --config {config}",
        f"  chef push {group} policyfiles/hub.rb --config {config}",
        f"  knife node list --config {config}",
    ]


def leads_there(deployment: Deployment) -> bool:
    """Say whether the Chef server is behind its port of this machine: nobody else has its CA."""
    try:
        served_certificate("localhost", deployment.ports.chef, deployment.ca_crt)
    except HubfleetError:
        return False
    return True


def _machine(deployment: Deployment, outputs: Mapping[str, Any]) -> str:
    machine = outputs.get("machines", {}).get(Role.CHEF_SERVER.value)
    if not machine:
        raise PreconditionError(
            f"{deployment.environment} has no machine with a Chef server",
            f"bring it up: ./invoke deploy --env {deployment.environment}",
        )
    return str(machine)


def _port(deployment: Deployment, settings: Settings) -> int:
    if settings.chef_server.mode != "install":
        return HTTPS
    port = settings.chef_server.install.port
    if deployment.ports.chef != port:
        raise PreconditionError(
            f"an Infra Server names its port {port} in its answers, and here it would have "
            f"{deployment.ports.chef}",
            f"set chef_server.install.port to {deployment.ports.chef} in "
            f"environments/{deployment.environment}.json",
        )
    return port
