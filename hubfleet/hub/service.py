"""The Swarm service of a student's server, as the engine's API wants it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubfleet.settings_model import HubView

HOME = "/home/student"
"""Home of the only user of the notebook image."""

NETWORK = "notebooks"
"""Overlay shared by hub, proxy and servers; the nodes' firewall keeps the servers apart."""

_NANO = 1_000_000_000
_MIB = 1 << 20


LIGHT = ["hubfleet-light-server"]
"""A server without notebooks, in the notebook image: a few MiB, for a crowd in a drill."""


@dataclass(frozen=True)
class Order:
    """What differs between two students' servers."""

    user: str
    server: str
    image: str
    command: list[str]
    environment: dict[str, str]
    home: str
    """Directory of the student's home on hub and workers."""
    alias: str
    """DNS name of this start."""
    worker: str = ""
    """Instance id of the worker that it goes to; empty: any."""


def labels(order: Order) -> dict[str, str]:
    """Return the labels by which a server's service is found again."""
    return {"hubfleet.user": order.user, "hubfleet.server": order.server}


def command(options: Mapping[str, Any], usual: list[str], settings: HubView) -> list[str]:
    """Return what a server runs, by what its student asked for.

    There is no more to ask for than less: a light server, and that only where the settings have it.
    """
    light = settings.notebook.light_servers and options.get("kind") == "light"
    return LIGHT if light else usual


def task_template(order: Order, settings: HubView) -> dict[str, Any]:
    """Return the TaskTemplate of a server.

    `on-failure` starts a server again after the loss of its worker, but not when the student has
    shut it down (exit 0): swarmkit's default `any` would resurrect it.
    """
    notebook = settings.notebook
    return {
        "ContainerSpec": {
            "Image": order.image,
            "Args": order.command,
            "Env": [f"{key}={value}" for key, value in sorted(order.environment.items())],
            "User": f"{notebook.uid}:{notebook.uid}",
            "Dir": HOME,
            "Mounts": [{"Type": "bind", "Source": order.home, "Target": HOME}],
            "CapabilityDrop": ["ALL"],
            "Privileges": {"NoNewPrivileges": True},
            "StopGracePeriod": notebook.stop_grace_s * _NANO,
            "Labels": labels(order),
        },
        "Resources": resources(settings),
        "Networks": [{"Target": NETWORK, "Aliases": [order.alias]}],
        "Placement": {"Constraints": _constraints(order.worker)},
        "RestartPolicy": {
            "Condition": "on-failure",
            "Delay": 1 * _NANO,
            "MaxAttempts": 5,
            "Window": 120 * _NANO,
        },
    }


def _constraints(worker: str) -> list[str]:
    """Return where a server may run; the controller takes the host name out once it has done."""
    return ["node.role==worker", *([f"node.hostname=={worker}"] if worker else [])]


def resources(settings: HubView) -> dict[str, Any]:
    """Return limits and reservations.

    Reservations are what Swarm's scheduler counts: without them a full fleet never says `pending`,
    and its memory is given away twice. A server takes one of the seats that a worker's engine has
    (cookbook docker_engine).
    """
    notebook = settings.notebook
    return {
        "Limits": {
            "MemoryBytes": notebook.memory_limit_mb * _MIB,
            "NanoCPUs": int(notebook.cpu_limit * _NANO),
            "Pids": notebook.pids_limit,
        },
        "Reservations": {
            "MemoryBytes": notebook.memory_guarantee_mb * _MIB,
            "NanoCPUs": int(notebook.cpu_guarantee * _NANO),
            "GenericResources": [{"DiscreteResourceSpec": {"Kind": "seat", "Value": 1}}],
        },
    }
