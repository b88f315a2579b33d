"""What a Kitchen node has instead of a deployment around it.

    python -m tests.integration.kitchen.fixture describe
    python -m tests.integration.kitchen.fixture prepare|load|save-log|remove SUITE

`describe` prints the settings of Kitchen's driver for every suite, made from the containers of
the local fleet, so that Kitchen and deployments test the same node. The others are Kitchen's hooks.
`prepare` makes secrets, network and volumes before the node exists, and for the worker a Swarm
manager; `load` gives images to its engine once it runs; `save-log` and `remove` come at the end.
Each may be run again.
"""

import hashlib
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hubfleet import destroy, identity, images, policy
from hubfleet.clients import docker, engine, process
from hubfleet.clients.engine import ContainerSpec
from hubfleet.console import Console
from hubfleet.errors import CommandError, HubfleetError, PreconditionError, UsageError
from hubfleet.fleet.base import Role
from hubfleet.fleet.capabilities import grantable
from hubfleet.fleet.local import DEPLOYMENT_LABEL, LocalFleet, free_addresses, inner_subnets
from hubfleet.secrets import Secret, SecretStore
from hubfleet.settings import ROOT, Settings, load
from hubfleet.state import Deployment

ENVIRONMENT = "local"

NEEDED_IMAGES = {Role.CHEF_SERVER: (), Role.HUB: ("hub",), Role.SWARM_WORKER: ("notebook",)}
"""Images that a converge would pull from the registry; Kitchen has none."""

CGROUP_V2_MARK = Path("/sys/fs/cgroup/cgroup.controllers")

BOOT_TIMEOUT_S = 90
COMMAND_TIMEOUT_S = 60
LOAD_TIMEOUT_S = 300

LOGS = ROOT / ".kitchen" / "logs"


def deployment(role: Role) -> Deployment:
    """Return the deployment that a suite's node belongs to; other checkouts have other names."""
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
    return Deployment(f"kitchen-{role.replace('_', '-')}-{checkout}", ENVIRONMENT)


def instance_id(deployment: Deployment, role: Role) -> str:
    """Return the id of a node, always the same, so that what an earlier run left is found."""
    return f"i-{hashlib.sha256(f'{deployment.name} {role}'.encode()).hexdigest()[:17]}"


def container(
    found: Deployment, settings: Settings, role: Role, address: str = ""
) -> ContainerSpec:
    """Return a node as the local fleet makes it; Kitchen's own gets any free address."""
    fleet = LocalFleet(found, settings, images.reference("node"))
    version = 2 if CGROUP_V2_MARK.exists() else 1
    return fleet.spec(role, instance_id(found, role), address, version, grantable())


def driver(found: Deployment, settings: Settings, role: Role) -> dict[str, Any]:
    """Return the settings of Kitchen's Docker driver for a node."""
    spec = container(found, settings, role)
    mounts = spec.binds | spec.volumes
    address = settings.fleet.local.bind_address
    return {
        "image": spec.image,
        "instance_name": spec.name,
        "hostname": spec.hostname,
        "tty": True,
        "run_command": shlex.join(spec.command),
        "cap_add": spec.cap_add,
        "security_opt": [*spec.security_opt, "systempaths=unconfined"],
        "volume": [f"{source}:{target}" for source, target in mounts.items()],
        "forward": [f"{address}::{port.removesuffix('/tcp')}" for port in spec.ports],
        "env_variables": spec.environment,
        "run_options": {
            "network": spec.network,
            "network-alias": [*spec.aliases],
            "label": [f"{key}={value}" for key, value in spec.labels.items()],
            "device-cgroup-rule": spec.device_cgroup_rules,
            "cgroupns": spec.cgroupns,
            "tmpfs": [f"{path}:{options}" for path, options in spec.tmpfs.items()],
            "stop-signal": spec.stop_signal,
        },
    }


def describe() -> dict[str, dict[str, Any]]:
    """Return the driver's settings for every suite."""
    settings = load(ENVIRONMENT)
    found = {role.value: driver(deployment(role), settings, role) for role in Role}
    for role in Role:
        _tidy(deployment(role))
    return found


def prepare(role: Role) -> None:
    """Make everything that must be there before the node is.

    Raises PreconditionError where a lock is stale or an image is not built.
    """
    policy.require_fresh(ROOT, [role.value])
    for name in ("node", *NEEDED_IMAGES[role]):
        if docker.image_size(images.reference(name)) is None:
            raise PreconditionError(
                f"image {images.reference(name)} is not built", "run ./invoke images.build"
            )
    found, settings = deployment(role), load(ENVIRONMENT)
    identity.ensure(found, settings)
    spec = container(found, settings, role)
    engine.remove_container(spec.name)
    labels = {DEPLOYMENT_LABEL: found.name}
    subnet = engine.ensure_network(spec.network, labels, inner_subnets(settings))
    for volume in spec.volumes:
        docker.client().volumes.create(volume, labels=spec.labels)
    found.node_dir(spec.hostname).mkdir(parents=True, exist_ok=True)
    if role is Role.SWARM_WORKER:
        _start_manager(found, settings, next(free_addresses(subnet, ())))


def load_images(role: Role) -> None:
    """Give the node's engine the images that its policy names, as if pulled from the registry."""
    settings = load(ENVIRONMENT)
    node = container(deployment(role), settings, role).name
    _await_boot(node)
    for name in NEEDED_IMAGES[role]:
        _on(node, "systemctl", "start", "docker")
        local = images.reference(name)
        pipe = 'docker save "$1" | docker exec -i "$2" docker load --quiet'
        process.run(
            ["bash", "-euo", "pipefail", "-c", pipe, "load", local, node], timeout=LOAD_TIMEOUT_S
        )
        _on(node, "docker", "tag", local, f"registry.{settings.fleet.zone}/{local}")
        _on(node, "docker", "rmi", local)


def save_log(role: Role) -> None:
    """Keep the journal of a node that is about to go; where there is no node, do nothing."""
    node = container(deployment(role), load(ENVIRONMENT), role).name
    machines = engine.list_containers(_label(role))
    if (node, "running") in {(machine.name, machine.status) for machine in machines}:
        LOGS.mkdir(parents=True, exist_ok=True)
        journal = engine.execute(node, ["journalctl", "--no-pager"], COMMAND_TIMEOUT_S)
        (LOGS / f"{role}-journal.log").write_text(journal.stdout)


def remove(role: Role) -> None:
    """Remove everything of a suite; what an earlier run left goes too."""
    if engine.list_containers(_label(role)) or deployment(role).pki_dir.exists():
        destroy.destroy(deployment(role), Console(), homes=True)


def _start_manager(found: Deployment, settings: Settings, address: str) -> None:
    """Start a Swarm manager beside the worker, and publish its join token as the hub would."""
    spec = replace(container(found, settings, Role.HUB, address), ports={})
    engine.remove_container(spec.name)
    engine.remove_volume(f"{spec.name}-docker")
    engine.create_container(spec)
    _await_boot(spec.name)
    _on(spec.name, "systemctl", "start", "docker")
    swarm = settings.swarm
    pool = ["--default-addr-pool", swarm.default_addr_pool]
    pool += ["--default-addr-pool-mask-length", str(swarm.default_addr_pool_mask)]
    _on(spec.name, "docker", "swarm", "init", "--advertise-addr", address, *pool)
    for name in type(swarm.networks).model_fields:
        network = getattr(swarm.networks, name)
        flags = ["--internal"] if network.internal else []
        create = ["docker", "network", "create", "--driver", "overlay", "--subnet", network.subnet]
        _on(spec.name, *create, *flags, name)
    token = _on(spec.name, "docker", "swarm", "join-token", "--quiet", "worker").strip()
    SecretStore(found.secrets_dir).write(Role.SWARM_WORKER, "join_token", Secret(token))


def _tidy(found: Deployment) -> None:
    """Remove the empty directories that describing a node makes, where there is no node."""
    if not found.pki_dir.exists():
        for path in [*sorted(found.dir.rglob("*"), reverse=True), found.dir]:
            with suppress(OSError):  # a lock, or whatever else is no empty directory, stays
                path.rmdir()


def _await_boot(node: str) -> None:
    """Wait until systemd has started what it starts; whether all is well is for the tests."""
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    state = ""
    while state not in {"running", "degraded"}:
        if time.monotonic() > deadline:
            raise CommandError(f"{node} did not boot within {BOOT_TIMEOUT_S} s: {state}")
        time.sleep(0.2)
        asked = engine.execute(node, ["systemctl", "is-system-running"], COMMAND_TIMEOUT_S)
        state = asked.stdout.strip()


def _on(node: str, *argv: str) -> str:
    """Run a program on a node; raise CommandError, with its output, where it fails."""
    done = engine.execute(node, argv, COMMAND_TIMEOUT_S)
    if done.returncode != 0:
        raise CommandError(f"`{shlex.join(argv)}` failed on {node}", "", done.stdout + done.stderr)
    return done.stdout


def _label(role: Role) -> str:
    return f"{DEPLOYMENT_LABEL}={deployment(role).name}"


HOOKS = {"prepare": prepare, "load": load_images, "save-log": save_log, "remove": remove}


def main(arguments: Sequence[str]) -> None:
    """Run what the arguments name; raise UsageError for others."""
    match arguments:
        case ["describe"]:
            Console().emit_json(describe())
        case [hook, suite] if hook in HOOKS and suite in set(Role):
            HOOKS[hook](Role(suite))
        case _:
            raise UsageError(f"describe, or one of {', '.join(HOOKS)} and a suite")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HubfleetError as error:
        console = Console()
        console.error(error.message, error.hint)
        console.quote(getattr(error, "output", ""))
        sys.exit(error.exit_code)
