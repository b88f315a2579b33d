"""What a deployment is now: machines, policies, the Swarm, the hub, certificates."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hubfleet import holds, identity, images, swarm
from hubfleet.clients.web import get_json
from hubfleet.console import Console
from hubfleet.converge import read_report
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import Fleet, Instance, Role, State
from hubfleet.fleet.local import LocalFleet
from hubfleet.parallel import run_all
from hubfleet.settings import load
from hubfleet.state import Deployment

WATCH_S = 2.0


def fleet_of(deployment: Deployment) -> LocalFleet:
    """Return the fleet of a recorded deployment."""
    settings = load(deployment.environment, deployment.root)
    return LocalFleet(deployment, settings, images.reference("node", deployment.root))


def status(deployment: Deployment, fleet: Fleet) -> dict[str, Any]:
    """Return everything as one JSON object; what does not answer is null or says its problem."""
    instances = fleet.list()
    reports = run_all(lambda instance: _report(fleet, instance), instances)
    held = holds.read_all(fleet, instances)
    nodes = [
        _node(instance, {} if isinstance(report, HubfleetError) else report)
        | {"held": asdict(held[instance.id]) if instance.id in held else None}
        for instance, report in zip(instances, reports, strict=True)
    ]
    hub = next((i for i in instances if i.role is Role.HUB and i.state is State.RUNNING), None)
    return {
        "deployment": deployment.name,
        "environment": deployment.environment,
        "url": deployment.url,
        "nodes": nodes,
        "swarm": _swarm(fleet, hub),
        "hub": _hub(deployment, fleet, hub),
        "certificates": [
            {
                "name": certificate.name,
                "not_after": certificate.not_after.isoformat(),
                "days_left": certificate.days_left,
            }
            for certificate in identity.certificates(deployment)
        ],
    }


def show(console: Console, found: dict[str, Any]) -> None:
    """Print `status` as tables on stdout."""
    hub = found["hub"]
    console.out(f"deployment {found['deployment']} ({found['environment']}): {found['url']}")
    servers = "?" if hub["servers"] is None else hub["servers"]
    health = "healthy" if hub["healthy"] else hub["problem"]
    console.out(f"hub: {health}; {servers} servers running")
    console.out("")
    members = {member["hostname"]: member for member in found["swarm"]}
    console.table(
        ("node", "role", "state", "address", "revision", "swarm", "last converge", "updated"),
        [_row(node, members.get(node["id"])) for node in found["nodes"]],
    )
    for node in found["nodes"]:
        if node["held"]:
            hold = holds.Hold(**node["held"])
            console.out(
                f"{node['role']} {node['id']} is {hold.words}; its timer does not converge it"
            )
    console.out("")
    console.table(
        ("certificate", "ends", "days left"),
        [(c["name"], c["not_after"][:10], c["days_left"]) for c in found["certificates"]],
    )


def watch(console: Console, look: Callable[[], dict[str, Any]]) -> None:
    """Show the status again and again, until Ctrl-C."""
    while True:
        found = look()
        console.clear()
        show(console, found)
        time.sleep(WATCH_S)


def _report(fleet: Fleet, instance: Instance) -> dict[str, Any]:
    return read_report(fleet, instance) if instance.state is State.RUNNING else {}


def _node(instance: Instance, report: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": instance.id,
        "name": instance.name,
        "role": instance.role.value,
        "state": instance.state.value,
        "address": instance.address,
        "launched_at": instance.launched_at.isoformat(),
        "policy_name": report.get("policy_name"),
        "policy_group": report.get("policy_group"),
        "policy_revision": report.get("policy_revision"),
        "last_converge": report or None,
    }


def _swarm(fleet: Fleet, hub: Instance | None) -> list[dict[str, Any]]:
    if hub is None:
        return []
    try:
        members = swarm.nodes(fleet, hub)
    except HubfleetError:
        return []
    return [
        {
            "hostname": member.hostname,
            "status": member.status,
            "availability": member.availability,
            "manager": member.manager,
        }
        for member in members
    ]


def _hub(deployment: Deployment, fleet: Fleet, hub: Instance | None) -> dict[str, Any]:
    found: dict[str, Any] = {"healthy": False, "problem": "", "servers": None, "services": {}}
    try:
        get_json(f"{deployment.url}/hub/health", deployment.ca_crt)
        found["healthy"] = True
    except HubfleetError as error:
        found["problem"] = error.message
    if hub is None:
        return found
    try:
        services = swarm.services(fleet, hub)
    except HubfleetError:
        return found
    own = {n: replicas for n, replicas in services.items() if n.startswith(swarm.STACK_PREFIX)}
    return found | {"servers": len(services) - len(own), "services": own}


def _row(node: dict[str, Any], member: dict[str, Any] | None) -> list[object]:
    report = node["last_converge"] or {}
    in_swarm = f"{member['status']}, {member['availability']}".lower() if member else None
    return [
        node["id"],
        node["role"],
        node["state"],
        node["address"] or None,
        (node["policy_revision"] or "")[:10] or None,
        in_swarm,
        f"{report['status']} {report['started']}" if report else None,
        report.get("updated"),
    ]
