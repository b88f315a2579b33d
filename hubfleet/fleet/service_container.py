"""The container of the fleet service: made, brought up to date and waited for, before the hub is.

It is no machine of the deployment: it has the deployment's label, so that `destroy` finds it, and
no instance id.
"""

import hashlib
import json
import time
from ipaddress import ip_network
from pathlib import Path

from hubfleet import images
from hubfleet.backends import require_local
from hubfleet.clients import docker, engine, engine_service
from hubfleet.clients.engine_service import ServiceSpec
from hubfleet.clients.fleet_local import PORT, FleetService
from hubfleet.clients.process import tail
from hubfleet.errors import CommandError, HubfleetError, PreconditionError
from hubfleet.fleet.capabilities import grantable
from hubfleet.fleet.local import DEPLOYMENT_LABEL, inner_subnets
from hubfleet.fleet.service.files import CAPABILITIES, NODE_IMAGE, state_dir, token_files
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment, make_private_dir

VERSION_LABEL = "hubfleet.version"
"""Hash of all that the container is made from; another one makes another container."""

CODE = ("hubfleet", "roles", "environments", "images")
"""What of the checkout it reads."""

START_TIMEOUT_S = 60


def name_of(deployment: Deployment) -> str:
    """Return the container's name."""
    return f"{deployment.network}-fleet"


def ensure(deployment: Deployment, settings: Settings) -> bool:
    """Have the service run as the checkout says; return whether it was made anew.

    Raises CommandError where it does not come up.
    """
    name = name_of(deployment)
    fresh = stale(deployment, settings)
    if fresh:
        wanted = spec(deployment, settings)
        if docker.image_size(wanted.image) is None:
            raise PreconditionError(f"image {wanted.image} is missing", "./invoke images.build")
        make_private_dir(state_dir(deployment))
        engine.remove_container(name)
        engine_service.run_service(wanted)
    else:
        engine_service.start_service(name)
    _wait(deployment)
    return fresh


def plan(deployment: Deployment, settings: Settings) -> list[str]:
    """Return what `ensure` would do, in words; empty where it would do nothing."""
    return (
        [f"start the fleet service, {name_of(deployment)}"] if stale(deployment, settings) else []
    )


def stale(deployment: Deployment, settings: Settings) -> bool:
    """Say whether `ensure` would make the container anew."""
    current = engine_service.labels_of(name_of(deployment)) or {}
    return current.get(VERSION_LABEL) != version(deployment, settings)


def remove(deployment: Deployment) -> None:
    """Remove the container, before anything that it would launch again or tell of."""
    engine.remove_container(name_of(deployment))


def connect(deployment: Deployment) -> FleetService:
    """Return the service as the operator reaches it, with the token that opens the faults, too.

    Raises PreconditionError where it does not run, or where the environment is on AWS.
    """
    require_local(deployment.environment, load(deployment.environment, deployment.root))
    port = engine_service.service_port(name_of(deployment), PORT)
    if port is None:
        raise PreconditionError(
            f"the fleet service of {deployment.name!r} does not run", "./invoke deploy starts it"
        )
    _, token = token_files(deployment)
    return FleetService(f"https://localhost:{port}", token.read_text().strip(), deployment.ca_crt)


def spec(deployment: Deployment, settings: Settings) -> ServiceSpec:
    """Return the container; the deployment's network is made where it is missing."""
    root = deployment.root
    labels = {DEPLOYMENT_LABEL: deployment.name}
    subnet = engine.ensure_network(deployment.network, labels, inner_subnets(settings))
    return ServiceSpec(
        name=name_of(deployment),
        image=images.reference("hub", root),
        command=command(deployment),
        network=deployment.network,
        address=last_address(subnet),
        aliases=[f"fleet.{settings.fleet.zone}"],
        labels={**labels, VERSION_LABEL: version(deployment, settings)},
        binds=binds(deployment),
        environment=environment(deployment),
        port=PORT,
    )


def command(deployment: Deployment) -> list[str]:
    """Return what the container runs."""
    arguments = ["--root", str(deployment.root), "--name", deployment.name]
    return ["python3", "-m", "hubfleet.fleet.service", *arguments]


def binds(deployment: Deployment) -> dict[str, str]:
    """Return what it sees of this machine, at the same paths: the engine is told host paths."""
    parts = [deployment.root / part for part in CODE]
    return {str(part): f"{part}:ro" for part in parts} | {
        str(deployment.dir): f"{deployment.dir}:rw"
    }


def environment(deployment: Deployment) -> dict[str, str]:
    """Return its environment variables."""
    return {
        "PYTHONPATH": str(deployment.root),
        "PYTHONDONTWRITEBYTECODE": "1",
        NODE_IMAGE: images.reference("node", deployment.root),
        # Its own container has none, so it cannot find out what the machine can give.
        CAPABILITIES: " ".join(grantable()),
    }


def version(deployment: Deployment, settings: Settings) -> str:
    """Return a hash of all that the container comes from: code, settings, images, its shape."""
    made = {
        "image": images.reference("hub", deployment.root),
        "command": command(deployment),
        "binds": binds(deployment),
        "environment": environment(deployment),
        "settings": settings.model_dump(mode="json"),
        "code": code_hash(deployment.root),
    }
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]


def last_address(subnet: str) -> str:
    """Return the last address of a subnet (CIDR): machines take theirs from the first one on."""
    return str(ip_network(subnet)[-2])


def code_hash(root: Path) -> str:
    """Return a hash of the checkout's Python package."""
    digest = hashlib.sha256()
    for path in sorted((root / "hubfleet").rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _wait(deployment: Deployment) -> None:
    """Wait until the service answers; raise CommandError, with its log, where it does not."""
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            connect(deployment).call("workers")
            return
        except HubfleetError as error:
            if time.monotonic() > until:
                raise CommandError(
                    f"the fleet service does not come up: {error.message}",
                    f"read its log: docker logs {name_of(deployment)}",
                    tail(engine.logs(name_of(deployment))),
                ) from error
        time.sleep(0.3)
