"""How long `./invoke deploy` takes, with a deployment of its own that is removed again."""

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hubfleet import destroy, images
from hubfleet.bench.report import Figure
from hubfleet.clients import process
from hubfleet.console import Console
from hubfleet.converge import read_report
from hubfleet.errors import CommandError, PreconditionError
from hubfleet.settings import ROOT
from hubfleet.state import SHARED_LOGS, Deployment
from hubfleet.status import fleet_of
from hubfleet.verify import free_ports

NAME = "bench"
LOG = SHARED_LOGS / "bench-deploy.log"
COLD_S = 720.0
WARM_S = 180.0
NOOP_S = 45.0
CONVERGE_S = 6.0
TIMEOUT_S = 1800
"""Of one deploy: long enough to measure a miss instead of cutting it off."""

CONVERGE_TIMEOUT_S = 300


@dataclass(frozen=True)
class Converges:
    """chef-client on every node, one at a time, with nothing to do."""

    slowest_s: float
    updated: int


def bench(console: Console, cold: bool) -> list[Figure]:
    """Measure and return the figures.

    Raises PreconditionError where a deployment of that name is there, CommandError where a deploy
    or a converge fails.
    """
    _refuse_leftovers()
    LOG.unlink(missing_ok=True)
    console.plan(4 + cold)
    found = []
    if cold:
        found.append(Figure.at_most("deploy.cold_s", _cold(console), "s", COLD_S))
    images.build(console)
    port = free_ports()
    try:
        with console.stage("deploy, images present"):
            warm = _deploy(port)
        with console.stage("deploy again"):
            noop = _deploy(port)
        with console.stage("chef-client, one node at a time"):
            converges = _converges()
    finally:
        with console.stage("destroy"):
            _destroy(console)
    return [
        *found,
        Figure.at_most("deploy.warm_s", warm, "s", WARM_S),
        Figure.at_most("deploy.noop_s", noop, "s", NOOP_S),
        Figure.at_most("converge.noop_s", converges.slowest_s, "s", CONVERGE_S),
        Figure.at_most("converge.noop_updated", converges.updated, "", 0),
    ]


def _cold(console: Console) -> float:
    """Return the seconds of a deploy that finds neither its programs nor its images.

    The Python environment, the Ruby bundle and all images are made anew: the cache is an empty
    directory and this checkout's images are removed. Debian packages of this machine stay, and
    the package sources are as near as they are.
    """
    cache = Path(tempfile.mkdtemp(prefix="hubfleet-bench-"))
    try:
        with console.stage("deploy, everything missing"):
            for name in images.NAMES[::-1]:
                _remove_image(images.reference(name))
            return _deploy(free_ports(), {"HUBFLEET_CACHE": str(cache)})
    finally:
        _destroy(console)
        shutil.rmtree(cache, ignore_errors=True)


def _remove_image(reference: str) -> None:
    """Remove an image; raise PreconditionError where a container is made from it."""
    done = process.run(["docker", "image", "rm", reference], check=False)
    if done.returncode != 0 and "No such image" not in done.stderr:
        raise PreconditionError(
            f"{reference} cannot be removed: {done.stderr.strip()}",
            "destroy the deployments that use it, or leave out --cold",
        )


def _deploy(port: int, environment: Mapping[str, str] | None = None) -> float:
    """Run the command as a user does; return its seconds of wall time."""
    started = time.monotonic()
    process.run(
        [ROOT / "invoke", "deploy", "--name", NAME, "--env", "local", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        timeout=TIMEOUT_S,
        log=LOG,
    )
    return time.monotonic() - started


def _converges() -> Converges:
    fleet = fleet_of(Deployment.open(NAME))
    slowest, updated = 0.0, 0
    for node in fleet.list():
        started = time.monotonic()
        done = fleet.run(node.id, ["chef-client"], CONVERGE_TIMEOUT_S)
        slowest = max(slowest, time.monotonic() - started)
        if done.returncode != 0:
            raise CommandError(f"chef-client failed on {node.role} {node.id}", "", done.stdout)
        updated += int(read_report(fleet, node).get("updated") or 0)
    return Converges(slowest, updated)


def _refuse_leftovers() -> None:
    if Deployment(NAME, "local").exists:
        raise PreconditionError(
            f"there is a deployment {NAME!r}, the benchmark's own name",
            f"./invoke destroy --name {NAME}",
        )


def _destroy(console: Console) -> None:
    destroy.destroy(Deployment(NAME, "local"), console, homes=True)
