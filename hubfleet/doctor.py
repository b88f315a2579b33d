"""What a deployment needs of this machine and this checkout: checks, each with the one cure."""

import errno
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from hubfleet import chef_rights, converge_health, identity, images, policy
from hubfleet.chef_server import endpoint
from hubfleet.clients import engine
from hubfleet.console import Console
from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.fleet.capabilities import NEEDED, grantable
from hubfleet.fleet.local import DEPLOYMENT_LABEL, LocalFleet
from hubfleet.settings import Settings
from hubfleet.state import Deployment

DISK_NEEDED = 8 * 10**9
MEMORY_WANTED = 4 * 10**9
CERTIFICATE_DAYS = 30

PROGRAMS = {"skopeo": "publishes images"}
"""Programs that are called by name, and what for."""


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One check; `fix` is one command or one thing to do."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


def examine(deployment: Deployment, settings: Settings) -> list[Check]:
    """Run all checks; an unforeseen error of one is its failure."""
    probes: list[tuple[str, Callable[[], Check]]] = [
        ("engine", _engine),
        ("capabilities", _capabilities),
        ("own swarm", _own_swarm),
        ("memory", _memory),
        ("disk", lambda: _disk(deployment)),
        ("ports", lambda: _ports(deployment, settings)),
        ("programs", _programs),
        ("images", lambda: _image_lock(deployment)),
        ("policies", lambda: _policy_locks(deployment)),
        ("certificates", lambda: _certificates(deployment)),
        ("chef server", lambda: _chef_server(deployment, settings)),
        ("converges", lambda: _converges(deployment, settings)),
    ]
    found = []
    for name, probe in probes:
        try:
            found.append(probe())
        except HubfleetError as error:
            found.append(Check(name, Verdict.FAIL, error.message, error.hint))
    return found


def show(console: Console, checks: Sequence[Check]) -> None:
    """Print a table on stdout."""
    rows = [(check.verdict, check.name, check.detail, check.fix or None) for check in checks]
    console.table(("", "check", "found", "what to do"), rows)


def as_json(checks: Sequence[Check]) -> dict[str, Any]:
    """Return the checks as one JSON object."""
    return {
        "ok": all(check.verdict is not Verdict.FAIL for check in checks),
        "checks": [asdict(check) for check in checks],
    }


def require(console: Console, checks: Sequence[Check]) -> None:
    """Say the warnings; raise PreconditionError for the failures, with the first one's cure."""
    for check in checks:
        if check.verdict is Verdict.WARN:
            console.warn(f"{check.name}: {check.detail}" + (f"; {check.fix}" if check.fix else ""))
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    if failed:
        raise PreconditionError(
            "; ".join(f"{check.name}: {check.detail}" for check in failed), failed[0].fix
        )


def port_is_free(address: str, port: int) -> bool:
    """Say whether a server could listen there now.

    Raises PreconditionError where none ever could.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EACCES:
                return True  # the engine, not this user, listens there
            raise PreconditionError(
                f"nothing can listen at {address}:{port}: {error.strerror}",
                "correct fleet.local.bind_address in the environment",
            ) from error
    return True


def _engine() -> Check:
    found = engine.info()
    detail = f"Docker {found.version}, cgroup v{found.cgroup_version}, {found.cpus} cores"
    return Check("engine", Verdict.OK, detail)


def _capabilities() -> Check:
    missing = sorted(set(NEEDED) - set(grantable()))
    if missing:
        detail = f"this machine does not give {', '.join(missing)}"
        return Check("capabilities", Verdict.FAIL, detail, "use a machine or VM of your own")
    return Check("capabilities", Verdict.OK, f"all of {', '.join(NEEDED)}")


def _own_swarm() -> Check:
    if engine.info().swarm_active:
        detail = "the engine is in a Swarm of yours; plain containers only, it stays as it is"
        return Check("own swarm", Verdict.OK, detail)
    return Check("own swarm", Verdict.OK, "none on this engine")


def _memory() -> Check:
    total = engine.info().memory_bytes
    detail = f"{total / 1e9:.1f} GB"
    if total < MEMORY_WANTED:
        return Check("memory", Verdict.WARN, detail, f"{MEMORY_WANTED / 1e9:.0f} GB are better")
    return Check("memory", Verdict.OK, detail)


def _disk(deployment: Deployment) -> Check:
    free = {path: _free(path) for path in (engine.info().root_dir, deployment.root)}
    path, least = min(free.items(), key=lambda item: item[1])
    detail = f"{least / 1e9:.1f} GB free at {path}"
    if least < DISK_NEEDED:
        wanted = f"make room: {DISK_NEEDED / 1e9:.0f} GB are needed (docker system df shows yours)"
        return Check("disk", Verdict.FAIL, detail, wanted)
    return Check("disk", Verdict.OK, detail)


def _free(path: Path) -> int:
    """Return the free bytes where `path` is, or will be."""
    while not os.access(path, os.F_OK) and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def _ports(deployment: Deployment, settings: Settings) -> Check:
    ours = engine.published_ports(f"{DEPLOYMENT_LABEL}={deployment.name}")
    address = settings.fleet.local.bind_address
    wanted = [deployment.ports.https, deployment.ports.chef, deployment.ports.registry]
    taken = [port for port in wanted if port not in ours and not port_is_free(address, port)]
    if taken:
        detail = f"{', '.join(map(str, taken))} taken by another program"
        fix = f"./invoke deploy --name {deployment.name} --port N takes N, N+1 and N+2"
        if deployment.exists:
            fix = "end that program: this deployment was made with these ports"
        return Check("ports", Verdict.FAIL, detail, fix)
    return Check("ports", Verdict.OK, ", ".join(map(str, wanted)))


def _programs() -> Check:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        detail = ", ".join(f"{name} ({PROGRAMS[name]})" for name in missing)
        return Check("programs", Verdict.FAIL, f"not installed: {detail}", "./invoke --list")
    return Check("programs", Verdict.OK, ", ".join(PROGRAMS))


def _image_lock(deployment: Deployment) -> Check:
    stale = images.stale(deployment.root)
    if stale:
        detail = f"images/lock.json is stale: {', '.join(stale)}"
        return Check("images", Verdict.FAIL, detail, "./invoke policy.update")
    return Check("images", Verdict.OK, "images/lock.json is fresh")


def _policy_locks(deployment: Deployment) -> Check:
    stale = policy.check_locks(deployment.root)
    if stale:
        more = f" (and {len(stale) - 1} more)" if len(stale) > 1 else ""
        return Check("policies", Verdict.FAIL, f"{stale[0]}{more}", "./invoke policy.update")
    return Check("policies", Verdict.OK, "the locks are fresh")


def _converges(deployment: Deployment, settings: Settings) -> Check:
    """Check that no node is overdue; a warning, because a deploy may be the cure."""
    if not deployment.exists:
        return Check("converges", Verdict.OK, "no nodes yet")
    fleet = LocalFleet(deployment, settings, "")
    instances = fleet.list()
    healths = converge_health.examine(fleet, instances, settings)
    late = [f"{i.role} {i.id} {healths[i.id].problem}" for i in instances if healths[i.id].problem]
    if late:
        return Check("converges", Verdict.WARN, "; ".join(late), "./invoke converge")
    return Check("converges", Verdict.OK, f"{len(instances)} nodes, none is overdue")


def _chef_server(deployment: Deployment, settings: Settings) -> Check:
    """Check what is there before a deployment: an external server, or the port of an own one."""
    name, server = "chef server", endpoint(deployment, settings)
    if server.external:
        remark = chef_rights.examine(deployment, server)
        if remark:
            return Check(name, Verdict.WARN, f"{server.url}: {remark}", "restrict its rights there")
        return Check(name, Verdict.OK, f"{server.url}: keys and rights are as they should be")
    port = settings.chef_server.install.port
    if server.mode == "install" and deployment.ports.chef != port:
        detail = f"an Infra Server names its port {port} in its answers, and here it has another"
        return Check(name, Verdict.FAIL, detail, f"./invoke deploy --port {port - 1}")
    return Check(name, Verdict.OK, f"{server.mode}, on a machine of the deployment")


def _certificates(deployment: Deployment) -> Check:
    found = identity.certificates(deployment)
    if not found:
        return Check("certificates", Verdict.OK, "none yet")
    first = min(found, key=lambda certificate: certificate.not_after)
    detail = f"{first.name} ends in {first.days_left} days"
    if first.days_left < CERTIFICATE_DAYS:
        return Check("certificates", Verdict.WARN, detail, "./invoke deploy")
    return Check("certificates", Verdict.OK, detail)
