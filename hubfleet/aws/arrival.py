"""Machines of AWS that are to come up: which there are, and waiting for Chef server and hub."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from hubfleet import policy
from hubfleet.aws import tunnel
from hubfleet.clients.aws import Aws
from hubfleet.clients.web import get_json
from hubfleet.console import Console
from hubfleet.errors import CommandError
from hubfleet.fleet.aws_names import DEPLOYMENT_TAG
from hubfleet.settings import Settings
from hubfleet.state import Deployment

POLL_S = 5.0

CHEF_TIMEOUT_S = 1500
"""A machine boots, converges its own policy and serves; an Infra Server unpacks some hundred MB."""

HUB_TIMEOUT_S = 1200
"""A machine boots, converges, mounts the homes and starts the hub; its name is known by then."""

LIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
"""States of an instance that is not gone (EC2 user guide, instance lifecycle)."""


def alive(aws: Aws, environment: str) -> set[str]:
    """Return the ids of all instances of an environment that are not gone."""
    filters = [
        {"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [environment]},
        {"Name": "instance-state-name", "Values": list(LIVE)},
    ]
    with aws.refusals("the machines cannot be told"):
        found = aws.pages("ec2", "describe_instances", "Reservations", Filters=filters)
        return {each["InstanceId"] for group in found for each in group["Instances"]}


@contextmanager
def at_chef_server(
    deployment: Deployment,
    settings: Settings,
    aws: Aws,
    machines: Mapping[str, Any],
    console: Console,
) -> Iterator[None]:
    """Lead to the Chef server during the block, which begins once it answers as ours.

    `machines` are the ids of the instances by role. Raises CommandError at the end of its patience.
    """
    deadline = time.monotonic() + CHEF_TIMEOUT_S
    with ExitStack() as stack:

        def lead() -> None:
            stack.enter_context(
                tunnel.chef_server(deployment, settings, aws, {"machines": machines})
            )

        # None leads to a machine that boots.
        _until(lead, deadline, console)
        _until(lambda: policy.connect(deployment).policy_groups(), deadline, console)
        yield


def await_hub(deployment: Deployment, settings: Settings, console: Console) -> None:
    """Wait until the hub answers at its public name. Raises CommandError where it does not."""
    url = f"https://{settings.fleet.aws.host}/hub/health"
    deadline = time.monotonic() + HUB_TIMEOUT_S
    _until(lambda: get_json(url, deployment.ca_crt, public=True), deadline, console)


def _until(ask: Callable[[], object], deadline: float, console: Console) -> None:
    """Ask until it works; what must be put right first (PreconditionError) is not waited for."""
    while True:
        try:
            ask()
        except CommandError as error:
            if time.monotonic() + POLL_S > deadline:
                raise CommandError(
                    f"it does not come up: {error.message}",
                    "aws ec2 get-console-output has what the machine says; then deploy again",
                ) from error
            console.note(error.message)
            time.sleep(POLL_S)
        else:
            return
