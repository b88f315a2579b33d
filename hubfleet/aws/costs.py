"""What an environment on AWS is estimated to cost: in a month, and in an hour of a class."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hubfleet.aws.prices import Prices
from hubfleet.settings import Settings

MONTH_HOURS = 730.0
"""Hours of a month, as AWS's price pages count them: 8760 / 12."""

WEEKS = 52 / 12


@dataclass(frozen=True)
class Scenario:
    """How the environment is used: students of a class, and hours of all workers in a week."""

    students: int
    student_hours: float
    """Hours that all students together have a server, in a week."""
    node_hours: float


@dataclass(frozen=True)
class Line:
    """One row of the estimate; `amount` is in words."""

    what: str
    amount: str
    cost: float


@dataclass(frozen=True)
class Estimate:
    """Lines of a month, and of one hour of a class with all students there."""

    month: Sequence[Line]
    class_hour: Sequence[Line]
    remarks: Sequence[str]

    @property
    def month_total(self) -> float:
        """Return the sum of a month."""
        return sum(line.cost for line in self.month)

    @property
    def class_hour_total(self) -> float:
        """Return the sum of a class's hour, beyond what the month costs anyway."""
        return sum(line.cost for line in self.class_hour)


def class_workers(settings: Settings, students: int) -> int:
    """Return the workers of a class: seats and those for guests, bounded by fleet.workers.max."""
    workers = settings.fleet.workers
    wanted = math.ceil(students * (1 + settings.autoscaler.classes.extra) / workers.seats)
    return max(workers.min, min(wanted, workers.max))


def on_demand_share(settings: Settings, count: int) -> float:
    """Return the share of on-demand instances among `count` workers, 0 to 1."""
    spot = settings.fleet.aws.spot
    base = min(1.0, spot.on_demand_base / count) if count else 0.0
    return base + (1 - base) * spot.on_demand_percent / 100


def worker_hour(settings: Settings, prices: Prices, count: int) -> float:
    """Return a worker's hour among `count`, with its volume: the mean of all its types."""
    kinds = settings.fleet.aws.instances.workers
    mean = sum(prices.instance(kind) for kind in kinds) / len(kinds)
    share = on_demand_share(settings, count)
    disk = settings.fleet.aws.disks.worker_gb * prices.units["ebs_gb_month"] / MONTH_HOURS
    return mean * (share + (1 - share) * prices.spot_share) + disk


def estimate(settings: Settings, prices: Prices, scenario: Scenario) -> Estimate:
    """Return the estimate. Raises PreconditionError for a type or unit without a price."""
    count = class_workers(settings, scenario.students)
    hour = worker_hour(settings, prices, count)
    worker_nat = prices.amounts["worker_hour_nat_gb"] * prices.units["nat_gb"]
    student = (
        prices.amounts["student_hour_egress_gb"] * prices.units["egress_gb"]
        + prices.amounts["student_hour_write_gb"] * prices.units["efs_write_gb"]
    )
    hours, people = scenario.node_hours * WEEKS, scenario.student_hours * WEEKS
    month = [
        *_machines(settings, prices),
        *_services(settings, prices, scenario),
        Line("workers", f"{hours:.0f} hours", hours * hour),
        Line("data of workers and students", f"{people:.0f} student hours", people * student),
        Line("NAT gateway, data", f"{hours:.0f} worker hours", hours * worker_nat),
    ]
    class_hour = [
        Line("workers", f"{count} for an hour", count * hour),
        Line(
            "data of workers and students",
            f"{scenario.students} students",
            scenario.students * student + count * worker_nat,
        ),
    ]
    return Estimate(month, class_hour, _remarks(settings, prices, scenario, count))


def as_json(found: Estimate, prices: Prices, scenario: Scenario) -> dict[str, Any]:
    """Return the estimate as JSON; costs are in `currency`."""
    return {
        "prices": prices.file,
        "prices_date": prices.date,
        "currency": prices.currency,
        "scenario": asdict(scenario),
        "month": [asdict(line) for line in found.month],
        "month_total": found.month_total,
        "class_hour": [asdict(line) for line in found.class_hour],
        "class_hour_total": found.class_hour_total,
        "unverified": list(prices.unverified),
        "sources": dict(prices.sources),
        "remarks": list(found.remarks),
    }


def _machines(settings: Settings, prices: Prices) -> list[Line]:
    """Return the machines that run all month, each with its two volumes."""
    aws = settings.fleet.aws
    kinds = {"hub": aws.instances.hub}
    if settings.chef_server.mode != "external":
        kinds["Chef server"] = aws.instances.chef_server
    volumes = (aws.disks.root_gb + aws.disks.state_gb) * len(kinds)
    lines = [Line(name, kind, prices.instance(kind) * MONTH_HOURS) for name, kind in kinds.items()]
    cost = volumes * prices.units["ebs_gb_month"]
    return [*lines, Line("their volumes", f"{volumes} GB", cost)]


def _services(settings: Settings, prices: Prices, scenario: Scenario) -> list[Line]:
    """Return what AWS runs for the environment all month."""
    gateways, unit = settings.fleet.aws.network.nat_gateways, prices.units
    homes = scenario.students * prices.amounts["home_gb"]
    images = prices.amounts["registry_gb"]
    addresses = 1 + gateways
    return [
        Line("NAT gateway", f"{gateways}", gateways * unit["nat_hour"] * MONTH_HOURS),
        Line("public addresses", f"{addresses}", addresses * unit["address_hour"] * MONTH_HOURS),
        Line("homes", f"{homes:.0f} GB", homes * unit["efs_gb_month"]),
        Line("backups of homes", f"{homes:.0f} GB", homes * unit["backup_gb_month"]),
        Line("images", f"{images:.0f} GB", images * unit["registry_gb_month"]),
        Line("private DNS zone", "1", unit["zone_month"]),
    ]


def _remarks(settings: Settings, prices: Prices, scenario: Scenario, count: int) -> list[str]:
    """Return what a reader must know beside the numbers."""
    said = [
        f"an estimate by the prices of {prices.date} ({prices.file}), without taxes and free tiers",
        f"never compared with AWS: {', '.join(prices.unverified)}",
        "not counted: logs, requests, snapshots of machine images, the public zone",
    ]
    if prices.remark:
        said.append(f"{prices.file}: {prices.remark}")
    seats = settings.fleet.workers.seats * count
    if seats < scenario.students:
        said.append(f"fleet.workers.max leaves {seats} seats for {scenario.students} students")
    total_percent = on_demand_share(settings, count)
    said.append(f"of a class's {count} workers {total_percent:.0%} are on-demand, the rest spot")
    return said
