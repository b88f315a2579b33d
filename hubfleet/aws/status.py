"""What an environment on AWS is now: machines, group, queue, homes, hub, certificates, Chef.

What does not answer is null, and stands in `unknown` with the reason.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from hubfleet import converge_health, identity, inventory, policy
from hubfleet import status as local
from hubfleet.aws import findings, survey, tunnel
from hubfleet.aws.survey import Machine
from hubfleet.clients.aws import Aws
from hubfleet.clients.web import get_json
from hubfleet.console import Console
from hubfleet.converge_health import span
from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.fleet.scaling_aws_view import Group
from hubfleet.parallel import run_all
from hubfleet.pki import CertificateInfo
from hubfleet.settings import Settings
from hubfleet.state import Deployment

COLUMNS = (
    "node",
    "role",
    "state",
    "address",
    "type",
    "market",
    "image",
    "revision",
    "converged",
)


@dataclass(frozen=True)
class Place:
    """What is looked at; `no_chef` says why the Chef server is not asked, empty where it is."""

    environment: str
    settings: Settings
    outputs: Mapping[str, Any]
    aws: Aws
    deployment: Deployment | None
    no_chef: str = ""


def status(
    environment: str,
    settings: Settings,
    outputs: Mapping[str, Any],
    aws: Aws,
    deployment: Deployment | None,
) -> dict[str, Any]:
    """Return everything as one JSON object.

    `outputs` are the stack's; `deployment` is None where this machine has none of its files.
    Raises PreconditionError where nothing is deployed.
    """
    with _place(environment, settings, outputs, aws, deployment) as place:
        return look(place)


def watch(
    console: Console,
    environment: str,
    settings: Settings,
    outputs: Mapping[str, Any],
    aws: Aws,
    deployment: Deployment | None,
) -> None:
    """Show the status again and again, until Ctrl-C, through one tunnel."""
    with _place(environment, settings, outputs, aws, deployment) as place:
        local.watch(console, lambda: look(place), show)


@contextmanager
def _place(
    environment: str,
    settings: Settings,
    outputs: Mapping[str, Any],
    aws: Aws,
    deployment: Deployment | None,
) -> Iterator[Place]:
    """Open the way to the Chef server where there is one; it need not be."""
    if not outputs:
        raise PreconditionError(
            f"nothing of {environment} is deployed", f"./invoke deploy --env {environment}"
        )
    no_chef = ""
    with ExitStack() as stack:
        if deployment is None:
            no_chef = f"this machine has no keys of {environment}"
        else:
            try:
                stack.enter_context(tunnel.chef_server(deployment, settings, aws, outputs))
            except HubfleetError as error:
                no_chef = error.message
        yield Place(environment, settings, outputs, aws, deployment, no_chef)


def look(place: Place) -> dict[str, Any]:
    """Return the status, asking all parts at once."""
    parts = _ask(place)
    unknown = {
        name: part.message for name, part in parts.items() if isinstance(part, HubfleetError)
    }
    known = {name: None if name in unknown else part for name, part in parts.items()}
    chef, group = known["chef"], known["group"]
    now = time.time()
    limit = converge_health.limit_s(place.settings)
    found = {
        "deployment": place.environment,
        "environment": place.environment,
        "region": place.aws.region,
        "url": place.outputs["url"],
        "nodes": None
        if known["machines"] is None
        else [_node(each, group, chef, now, limit) for each in known["machines"]],
        "group": group and _group(group),
        "queue": known["queue"],
        "homes": known["homes"],
        "chef": _chef(chef, known["machines"], group, place.no_chef or unknown.get("chef", "")),
        "swarm": None,
        "hub": {
            "healthy": "hub" not in unknown,
            "problem": unknown.pop("hub", ""),
            "servers": None,
            "services": {},
        },
        "certificates": _certificates(known["certificate"], place.deployment),
        "unknown": unknown,
    }
    return found | {"problems": findings.problems(found)}


def _ask(place: Place) -> dict[str, Any]:
    """Return the answer of each part, or its error."""
    aws, outputs = place.aws, place.outputs
    url, deployment = outputs["url"], place.deployment
    ca = deployment.ca_crt if deployment and deployment.ca_crt.is_file() else None
    pool = place.settings.autoscaler.pools.order[0]
    probes: dict[str, Callable[[], Any]] = {
        "machines": lambda: survey.machines(aws, place.environment, outputs["images"]),
        "group": lambda: survey.group(aws, place.environment, pool),
        "queue": lambda: survey.queue(aws, outputs),
        "homes": lambda: survey.homes(aws, outputs),
        "hub": lambda: get_json(f"{url}/hub/health", ca, public=True),
        "certificate": lambda: survey.certificate(url),
        "chef": lambda: _ask_chef(place),
    }
    return dict(zip(probes, run_all(lambda probe: probe(), list(probes.values())), strict=True))


def _ask_chef(place: Place) -> dict[str, Any] | None:
    if place.no_chef or place.deployment is None:
        return None
    chef = policy.connect(place.deployment)
    return {
        "nodes": inventory.chef_nodes(chef, place.environment),
        "revisions": chef.policy_groups().get(place.environment, {}),
    }


def _node(
    machine: Machine,
    group: Group | None,
    chef: Mapping[str, Any] | None,
    now: float,
    limit_s: int,
) -> dict[str, Any]:
    """Return a machine with what group and Chef server know of it."""
    members = {member.id: member.lifecycle for member in group.members} if group else {}
    of_chef = (chef["nodes"].get(machine.id) or {}) if chef else {}
    begun = of_chef.get("ohai_time")
    age = None if begun is None else max(0, int(now - float(begun)))
    problem = ""
    if age is not None and age > limit_s and machine.state == "running":
        problem = f"has not converged successfully for {span(age)} (at most {span(limit_s)})"
    return asdict(machine) | {
        "name": machine.id,
        "lifecycle": members.get(machine.id),
        "policy_name": of_chef.get("policy_name"),
        "policy_group": of_chef.get("policy_group"),
        "policy_revision": of_chef.get("policy_revision"),
        "in_chef": None if chef is None else machine.id in chef["nodes"],
        # The Chef server hears of converges that succeeded, and of no others.
        "last_converge": None if begun is None else {"status": "success", "started": _iso(begun)},
        "converged_s_ago": age,
        "problem": problem,
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "min": group.least,
        "desired": group.desired,
        "max": group.most,
        "lifecycle": survey.lifecycle(group),
        "suspended": sorted(group.suspended),
    }


def _chef(
    chef: Mapping[str, Any] | None,
    machines: list[Machine] | None,
    group: Group | None,
    problem: str,
) -> dict[str, Any]:
    """Compare machines and nodes, as far as both are known; `problem` says why they are not."""
    found: dict[str, Any] = {"problem": problem, "revisions": None, "missing": [], "strays": []}
    if chef is None:
        return found
    found["revisions"] = chef["revisions"]
    if machines is None:
        return found
    # One that is on its way into the group registers itself before it says that it has joined.
    coming = {m.id for m in group.members if m.lifecycle.startswith("Pending")} if group else set()
    running = {machine.id for machine in machines if machine.state == "running"}
    found["missing"] = sorted(running - coming - chef["nodes"].keys())
    found["strays"] = sorted(chef["nodes"].keys() - {machine.id for machine in machines})
    return found


def _certificates(
    shown: CertificateInfo | None, deployment: Deployment | None
) -> list[dict[str, Any]]:
    """Return the hub's certificate as it shows it, and those of the deployment's files."""
    own = identity.certificates(deployment) if deployment else []
    return [
        {"name": each.name, "not_after": each.not_after.isoformat(), "days_left": each.days_left}
        for each in ([shown] if shown else []) + own
    ]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).isoformat(timespec="seconds")


def show(console: Console, found: dict[str, Any]) -> None:
    """Print `status` as tables on stdout."""
    for line in findings.summary(found):
        console.out(line)
    console.out("")
    console.table(COLUMNS, [_row(node) for node in found["nodes"] or ()])
    for problem in found["problems"]:
        console.out(f"problem: {problem}")
    console.out("")
    console.table(
        ("certificate", "ends", "days left"),
        [(c["name"], c["not_after"][:10], c["days_left"]) for c in found["certificates"]],
    )


def _row(node: Mapping[str, Any]) -> list[object]:
    current = {True: "current", False: "older or other", None: None}[node["image_is_current"]]
    age = node["converged_s_ago"]
    return [
        node["id"],
        node["role"],
        node["lifecycle"] or node["state"],
        node["address"] or None,
        node["type"],
        node["market"],
        current,
        (node["policy_revision"] or "")[:10] or None,
        None if age is None else f"{span(age)} ago",
    ]
