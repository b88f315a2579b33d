"""What a deployment is now: machines, policies, the Swarm, the hub, certificates."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hubfleet import converge_health, holds, identity, images, inventory, swarm
from hubfleet.clients.web import get_json
from hubfleet.console import Console
from hubfleet.converge_health import Health, span
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import Fleet, Instance, Role, State
from hubfleet.fleet.local import LocalFleet
from hubfleet.inventory import Inventory
from hubfleet.settings import Settings, load
from hubfleet.state import Deployment

WATCH_S = 2.0

COLUMNS = (
    "node",
    "role",
    "state",
    "address",
    "revision",
    "swarm",
    "converged",
    "took",
    "updated",
    "failed",
)


def fleet_of(deployment: Deployment) -> LocalFleet:
    """Return the fleet of a recorded deployment."""
    settings = load(deployment.environment, deployment.root)
    return LocalFleet(deployment, settings, images.reference("node", deployment.root))


def status(
    deployment: Deployment, fleet: Fleet, settings: Settings | None = None
) -> dict[str, Any]:
    """Return everything as one JSON object; what does not answer is null or says its problem.

    The settings are read where they are not given.
    """
    settings = settings or load(deployment.environment, deployment.root)
    instances = fleet.list()
    healths = converge_health.examine(fleet, instances, settings)
    known = inventory.look(deployment)
    held = holds.read_all(fleet, instances)
    nodes = [
        _node(i, healths[i.id], known.nodes.get(i.id))
        | {"held": asdict(held[i.id]) if i.id in held else None}
        for i in instances
    ]
    hub = next((i for i in instances if i.role is Role.HUB and i.state is State.RUNNING), None)
    return {
        "deployment": deployment.name,
        "environment": deployment.environment,
        "url": deployment.url,
        "nodes": nodes,
        "chef": {
            "problem": known.problem,
            "missing": known.missing(_running(instances)),
            "strays": known.strays(i.id for i in instances),
        },
        "problems": problems(instances, healths, known),
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
        COLUMNS,
        [_row(node, members.get(node["id"])) for node in found["nodes"]],
    )
    for node in found["nodes"]:
        if node["held"]:
            hold = holds.Hold(**node["held"])
            console.out(
                f"{node['role']} {node['id']} is {hold.words}; its timer does not converge it"
            )
    for problem in found["problems"]:
        console.out(f"problem: {problem}")
    console.out("")
    console.table(
        ("certificate", "ends", "days left"),
        [(c["name"], c["not_after"][:10], c["days_left"]) for c in found["certificates"]],
    )


def watch(
    console: Console,
    look: Callable[[], dict[str, Any]],
    present: Callable[[Console, dict[str, Any]], None] = show,
) -> None:
    """Show the status again and again, until Ctrl-C."""
    while True:
        found = look()
        console.clear()
        present(console, found)
        time.sleep(WATCH_S)


def problems(
    instances: Sequence[Instance], healths: Mapping[str, Health], known: Inventory
) -> list[str]:
    """Return a sentence for each node that is overdue, unknown to Chef, or without a machine."""
    found = [f"{i.role} {i.id} {healths[i.id].problem}" for i in instances if healths[i.id].problem]
    if known.problem:
        found.append(f"the inventory is not known: {known.problem}")
    missing = known.missing(_running(instances))
    found += [
        f"{i.role} {i.id} is no node of the Chef server" for i in instances if i.id in missing
    ]
    strays = known.strays(i.id for i in instances)
    found += [f"Chef node {name} has no machine: ./invoke deploy removes it" for name in strays]
    return found


def _running(instances: Sequence[Instance]) -> list[str]:
    return [instance.id for instance in instances if instance.state is State.RUNNING]


def _node(instance: Instance, health: Health, known: dict[str, Any] | None) -> dict[str, Any]:
    report, of_chef = health.report, known or {}
    return {
        "id": instance.id,
        "name": instance.name,
        "role": instance.role.value,
        "state": instance.state.value,
        "address": instance.address,
        "launched_at": instance.launched_at.isoformat(),
        "policy_name": report.get("policy_name") or of_chef.get("policy_name"),
        "policy_group": report.get("policy_group") or of_chef.get("policy_group"),
        "policy_revision": report.get("policy_revision") or of_chef.get("policy_revision"),
        "in_chef": known is not None,
        "last_converge": report or None,
        "converged_s_ago": health.age_s,
        "problem": health.problem,
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
        _last(report, node["converged_s_ago"]),
        None if report.get("seconds") is None else f"{float(report['seconds']):.0f} s",
        report.get("updated"),
        report.get("failed"),
    ]


def _last(report: dict[str, Any], age_s: int | None) -> str | None:
    """Say how the last converge came out, and how long ago the last good one was."""
    if not report:
        return None
    ago = "never" if age_s is None else f"{span(age_s)} ago"
    return ago if report["status"] == "success" else f"failed, good {ago}"
