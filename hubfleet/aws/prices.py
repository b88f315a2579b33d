"""Prices of AWS from a dated data file: environments/prices/<year>-<month>.json, or one's own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubfleet.errors import PreconditionError
from hubfleet.state import ROOT

FOLDER = Path("environments") / "prices"

UNVERIFIED = ("secondary", "memory", "assumed")
"""Sources of numbers that nobody here has compared with AWS."""

UNITS = (
    *("address_hour", "backup_gb_month", "ebs_gb_month", "efs_gb_month", "efs_write_gb"),
    *("egress_gb", "nat_gb", "nat_hour", "registry_gb_month", "zone_month"),
)
AMOUNTS = (
    *("home_gb", "registry_gb", "student_hour_egress_gb", "student_hour_write_gb"),
    "worker_hour_nat_gb",
)
"""Names that every file has."""


@dataclass(frozen=True)
class Prices:
    """Prices in one region, each in `currency`; amounts are what a student or worker uses."""

    file: str
    date: str
    currency: str
    instance_hour: Mapping[str, float]
    spot_share: float
    """What a spot hour costs, of an on-demand hour."""
    units: Mapping[str, float]
    amounts: Mapping[str, float]
    unverified: tuple[str, ...]
    """Names of the numbers that nobody has compared with AWS."""
    sources: Mapping[str, str]
    remark: str
    """What is to be known of the region's prices; empty where nothing is."""

    def instance(self, kind: str) -> float:
        """Return an on-demand hour of an instance type; raises PreconditionError."""
        if kind not in self.instance_hour:
            raise PreconditionError(
                f"{self.file} has no price of {kind}",
                "copy that file, add instance_hour, and name it with --prices",
            )
        return self.instance_hour[kind]


def newest(root: Path = ROOT) -> Path:
    """Return the file with the latest date in its name; raises PreconditionError without any."""
    found = sorted((root / FOLDER).glob("*.json"))
    if not found:
        raise PreconditionError(f"there is no file in {FOLDER}", "name one with --prices")
    return found[-1]


def read(file: Path, region: str) -> Prices:
    """Return the prices of `region`; raises PreconditionError for a file that is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return _parsed(file, document, region)
    except OSError as error:
        raise PreconditionError(
            f"the prices in {file} cannot be read: {error.strerror}", "name another with --prices"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PreconditionError(
            f"{file} is no file of prices: {type(error).__name__}: {error}",
            f"take one of {FOLDER} as the pattern",
        ) from error


def _parsed(file: Path, document: Mapping[str, Any], region: str) -> Prices:
    known = document["regions"].get(region)
    factor = _number(f"regions.{region}", known["factor"]) if known else 1.0
    local = {
        name: _number(name, each["value"]) * factor for name, each in document["units"].items()
    }
    units = local | _values(document["units_everywhere"])
    amounts = _values(document["amounts"])
    lacking = [*(name for name in UNITS if name not in units), *set(AMOUNTS) - set(amounts)]
    if lacking:
        raise KeyError(", ".join(sorted(lacking)))
    remark = "" if known else f"it has none of {region}: these are {document['region']}'s"
    return Prices(
        file.name,
        str(document["date"]),
        str(document["currency"]),
        {kind: value * factor for kind, value in _values(document["instance_hour"]).items()},
        _number("spot_share", document["spot_share"]["value"]),
        units,
        amounts,
        tuple(_unverified(document, region)),
        {str(name): str(text) for name, text in document["sources"].items()},
        remark,
    )


def _values(section: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(name, each["value"]) for name, each in section.items()}


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is no number")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is below zero or endless")
    return float(value)


def _unverified(document: Mapping[str, Any], region: str) -> list[str]:
    """Return the names of what has no source; raises KeyError for a source that is not listed."""
    sections = ("instance_hour", "units", "units_everywhere", "amounts")
    named = {name: each for section in sections for name, each in document[section].items()}
    named["spot_share"] = document["spot_share"]
    if region in document["regions"]:
        named[f"factor of {region}"] = document["regions"][region]
    for each in named.values():
        document["sources"][each["source"]]
    return sorted(name for name, each in named.items() if each["source"] in UNVERIFIED)
