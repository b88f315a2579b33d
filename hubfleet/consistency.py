"""Do the parts of a deployment agree? Asks each of them, from the operator's machine."""

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hubfleet import inventory, policy, swarm_listings
from hubfleet.backends import require_local
from hubfleet.chef_server import endpoint
from hubfleet.clients.hub_service import HubService
from hubfleet.console import Console
from hubfleet.controller.model import NodeState
from hubfleet.controller.reconcile import Finding, Limits, Listings, Source, compare, lasting
from hubfleet.controller.report import STALE_S
from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.fleet.base import Fleet, Instance, Role, State
from hubfleet.fleet.scaling import Worker
from hubfleet.leftovers import INSTANCE_ID
from hubfleet.parallel import run_all
from hubfleet.secrets import SecretStore
from hubfleet.settings import Settings, load
from hubfleet.state import DEFAULT_NAME, Deployment

TIMEOUT_S = 20

CONFIRM_S = 12.0
"""What disagrees is looked at again after so long: the hub puts routes right every 10 s, and a
server that is stopped has a few seconds to end."""

REPORT = "/var/lib/hubfleet/fleet/report.json"
"""What the controller publishes on the hub node."""


@dataclass(frozen=True)
class Look:
    """What everybody said, and where they disagree."""

    listings: Listings
    findings: Sequence[Finding]

    @property
    def healthy(self) -> bool:
        """Say whether everybody answered and all agree."""
        return not self.findings and not self.listings.unread


def look(
    deployment: Deployment,
    fleet: Fleet,
    settings: Settings,
    sleep: Callable[[float], None] = time.sleep,
) -> Look:
    """Ask everybody, and again after CONFIRM_S where they disagree; return what lasts."""
    first = glance(deployment, fleet, settings)
    if not first.findings:
        return first
    sleep(CONFIRM_S)
    second = glance(deployment, fleet, settings)
    return Look(second.listings, lasting(first.findings, second.findings))


def glance(deployment: Deployment, fleet: Fleet, settings: Settings) -> Look:
    """Ask everybody once: what is only on its way may be among the findings."""
    found = gather(deployment, fleet)
    option = "" if deployment.name == DEFAULT_NAME else f"--name {deployment.name}"
    limits = Limits(settings.autoscaler.ready.boot_timeout_s)
    return Look(found, compare(found, limits, option))


def gather(deployment: Deployment, fleet: Fleet) -> Listings:
    """Return what everybody says; why somebody did not answer is in `unread`.

    Raises HubfleetError where the fleet itself cannot be listed, or no hub runs.
    """
    machines = fleet.list()
    hub = running_hub(deployment, machines)
    questions: list[Callable[[], object]] = [
        lambda: hub_service(deployment).servers(),
        lambda: hub_service(deployment).routes(),
        lambda: _swarm(fleet, hub),
        lambda: _chef(deployment, machines),
        lambda: _leaving(fleet, hub),
    ]
    servers, routes, swarm, chef, leaving = run_all(_answer, questions)
    answers = {Source.HUB: servers, Source.PROXY: routes, Source.SWARM: swarm, Source.CHEF: chef}
    away = leaving if isinstance(leaving, frozenset) else frozenset[str]()
    return Listings(
        at=time.time(),
        servers=servers if isinstance(servers, list) else None,
        routes=routes if isinstance(routes, dict) else None,
        workers=tuple(_worker(m, away) for m in machines if m.role is Role.SWARM_WORKER),
        unread={s: a.message for s, a in answers.items() if isinstance(a, HubfleetError)},
        **(swarm if isinstance(swarm, dict) else {}),
        **(chef if isinstance(chef, dict) else {}),
    )


def running_hub(deployment: Deployment, machines: Sequence[Instance]) -> Instance:
    """Return the hub's machine; raise PreconditionError where none runs."""
    for machine in machines:
        if machine.role is Role.HUB and machine.state is State.RUNNING:
            return machine
    raise PreconditionError(
        f"no hub of deployment {deployment.name!r} runs",
        f"./invoke deploy --name {deployment.name}",
    )


def hub_service(deployment: Deployment) -> HubService:
    """Return the hub's API with the rights of its controller.

    Raises PreconditionError where the deployment is older than they are, or is on AWS.
    """
    require_local(deployment.environment, load(deployment.environment, deployment.root))
    token = SecretStore(deployment.secrets_dir).read(Role.HUB, "fleet_api_token")
    if token is None:
        raise PreconditionError(
            f"deployment {deployment.name!r} has no token for the hub's API",
            f"./invoke deploy --name {deployment.name}",
        )
    return HubService(deployment.url, token.reveal().strip(), str(deployment.ca_crt))


def workers_in_chef(
    policies: dict[str, str],
    nodes: Collection[str],
    clients: Collection[str],
    machines: Sequence[Instance],
    shared: bool,
) -> tuple[frozenset[str], frozenset[str]]:
    """Return which Chef nodes, and which clients, are or were workers of this deployment. Pure.

    `policies` are those of the nodes that have one of ours, `nodes` and `clients` all that there
    are. A `shared` server may hold other deployments: there only nodes of our policy group are
    ours, and their clients.
    """
    workers = {m.id for m in machines if m.role is Role.SWARM_WORKER}
    others = {m.id for m in machines} - workers
    others |= {name for name, policy in policies.items() if policy != Role.SWARM_WORKER}
    ours = set(policies) - others
    if shared:
        return frozenset(ours), frozenset((ours | workers) & set(clients))
    return (
        frozenset(name for name in nodes if INSTANCE_ID.fullmatch(name)) - others,
        frozenset(name for name in clients if INSTANCE_ID.fullmatch(name)) - others,
    )


def as_json(found: Look) -> dict[str, Any]:
    """Return the findings, and who did not answer, as JSON values."""
    return {
        "findings": [asdict(finding) for finding in found.findings],
        "unread": dict(found.listings.unread),
    }


def show(console: Console, found: Look) -> None:
    """Print the findings as a table on stdout; what could not be asked is a warning."""
    for source, reason in found.listings.unread.items():
        console.warn(f"{source} did not answer, so nothing is said of what it has: {reason}")
    if found.findings:
        rows = [(f.kind, f.sentence, f.heal, "yes" if f.safe else None) for f in found.findings]
        console.table(("disagreement", "found", "what to do", "safe"), rows)
    elif found.healthy:
        servers, workers = found.listings.servers or (), found.listings.workers or ()
        console.say(
            f"hub, proxy, Swarm, fleet and Chef server agree:"
            f" {len(servers)} servers, {len(workers)} workers"
        )


def _answer(question: Callable[[], object]) -> object:
    return question()


def _swarm(fleet: Fleet, hub: Instance) -> dict[str, Any]:
    return {
        "services": swarm_listings.services(fleet, hub),
        "tasks": swarm_listings.tasks(fleet, hub),
        "members": swarm_listings.members(fleet, hub),
    }


def _chef(deployment: Deployment, machines: Sequence[Instance]) -> dict[str, Any]:
    chef = policy.connect(deployment)
    rows = inventory.chef_nodes(chef, deployment.environment)
    policies = {name: str(row["policy_name"]) for name, row in rows.items()}
    shared = endpoint(deployment).external
    nodes, clients = workers_in_chef(policies, chef.nodes(), chef.clients(), machines, shared)
    return {"chef_nodes": nodes, "chef_clients": clients}


def _leaving(fleet: Fleet, hub: Instance) -> frozenset[str]:
    """Return the workers that the controller is taking out; none where there is no controller."""
    done = fleet.run(hub.id, ["cat", REPORT], TIMEOUT_S)
    if done.returncode != 0:
        return frozenset()
    try:
        report = json.loads(done.stdout)
        fresh = time.time() - report["at"] <= STALE_S
        leaving = {w["id"] for w in report["workers"] if w["state"] == NodeState.RECLAIMING}
    except (ValueError, KeyError, TypeError):
        return frozenset()
    return frozenset(leaving if fresh else ())


def _worker(machine: Instance, leaving: Collection[str]) -> Worker:
    return Worker(
        id=machine.id,
        state=machine.state,
        launched_at=machine.launched_at.timestamp(),
        address=machine.address,
        leaving=machine.id in leaving,
    )
