"""Has a node converged lately? Judged from its own record and its own clocks.

The operator's clock has no part in it, and the node's wall clock only after a reboot: within a boot
the uptime tells how long ago something was, whatever has been done to the time of day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hubfleet.converge import READ_TIMEOUT_S, read_report
from hubfleet.errors import HubfleetError
from hubfleet.fleet.base import Fleet, Instance, State
from hubfleet.parallel import run_all
from hubfleet.settings import Settings

INTERVALS = 2
"""So many intervals without a successful converge are too many: one may fail by chance."""

CLOCKS = ["sh", "-c", "cat /proc/sys/kernel/random/boot_id /proc/uptime && date +%s"]


@dataclass(frozen=True)
class Clocks:
    """What time it is on a node: seconds since its boot, that boot's id, seconds since 1970."""

    boot_id: str
    uptime_s: float
    time_s: int


@dataclass(frozen=True)
class Health:
    """How a node's converges go; `problem` is empty where they go well or nobody can know."""

    report: dict[str, Any]
    age_s: int | None = None
    """Seconds since the last successful converge, where that is known."""
    problem: str = ""


def limit_s(settings: Settings) -> int:
    """Return after how many seconds without a success a node is reported."""
    client = settings.chef_client
    return INTERVALS * (client.interval_s + client.splay_s)


def examine(fleet: Fleet, instances: Sequence[Instance], settings: Settings) -> dict[str, Health]:
    """Ask the running ones of `instances` at once; return the health of each by its id."""

    def one(instance: Instance) -> Health:
        if instance.state is not State.RUNNING:
            return Health({})
        report = read_report(fleet, instance)
        return judge(report, read_clocks(fleet, instance), limit_s(settings))

    found = run_all(one, instances)
    return {
        instance.id: Health({}) if isinstance(health, HubfleetError) else health
        for instance, health in zip(instances, found, strict=True)
    }


def read_clocks(fleet: Fleet, instance: Instance) -> Clocks | None:
    """Return what time it is on a node, None where it does not say."""
    done = fleet.run(instance.id, CLOCKS, READ_TIMEOUT_S)
    words = done.stdout.split()
    if done.returncode != 0 or len(words) != 4:
        return None
    return Clocks(words[0], float(words[1]), int(words[3]))


def judge(report: dict[str, Any], now: Clocks | None, limit: int) -> Health:
    """Decide how a node is; pure. A node that has no record yet is still being made."""
    success = report.get("last_success")
    if not report or now is None:
        return Health(report)
    if not success and report.get("status") == "success":
        return Health(report)  # a record of an earlier version
    if not success:
        return Health(report, None, f"has never converged successfully{_why(report)}")
    age = _age(success, now)
    if age < 0:
        return Health(report, None, "its clock has gone back: nobody knows when it converged last")
    if age > limit:
        words = f"has not converged successfully for {span(age)} (at most {span(limit)})"
        return Health(report, age, words + _why(report))
    return Health(report, age)


def span(seconds: float) -> str:
    """Return a time span in words: days, hours or minutes, rounded down."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _age(success: dict[str, Any], now: Clocks) -> int:
    if success["boot_id"] == now.boot_id:
        return int(now.uptime_s - success["uptime_s"])
    return int(now.time_s - success["timestamp"])


def _why(report: dict[str, Any]) -> str:
    if report.get("status") != "failed":
        return ""
    lines = str(report.get("exception") or "").strip().splitlines() or ["the last run failed"]
    where = f"{report['failed_resource']}: " if report.get("failed_resource") else ""
    return f": {where}{lines[0]}"
