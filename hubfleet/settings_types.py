"""Building blocks of the settings' models: checked values, and checks across fields."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ONE_PASSWORD = ("local", "class")
"""Environments in which all users may share one password: those of a machine of one's own."""


def cidr(value: str) -> str:
    """Check an IPv4 network without host bits."""
    ipaddress.IPv4Network(value)
    return value


def absolute(value: str) -> str:
    """Check an absolute path."""
    if not value.startswith("/") or ".." in value.split("/"):
        raise ValueError("expected an absolute path without '..'")
    return value


def dns_name(value: str) -> str:
    """Check a DNS name of at least two labels."""
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})+", value):
        raise ValueError("expected a DNS name such as hubfleet.internal")
    return value


Cidr = Annotated[str, AfterValidator(cidr)]
AbsolutePath = Annotated[str, AfterValidator(absolute)]
DnsName = Annotated[str, AfterValidator(dns_name)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the attribute tree: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def require_distinct(**ports: int) -> None:
    """Raise ValueError where two of the named ports are the same."""
    seen: dict[int, str] = {}
    for name, port in ports.items():
        if port in seen:
            raise ValueError(f"{seen[port]} and {name} are both {port}")
        seen[port] = name


def require_mask_fits(pool: str, name: str, mask: int) -> None:
    """Raise ValueError where a subnet of prefix length `mask` is larger than its pool."""
    if mask < ipaddress.IPv4Network(pool).prefixlen:
        raise ValueError(f"{name} ({mask}) is wider than the pool {pool}")


def require_disjoint(**networks: str) -> None:
    """Raise ValueError where two of the named networks share addresses."""
    items = list(networks.items())
    for index, (name, cidr) in enumerate(items):
        for other, second in items[index + 1 :]:
            if ipaddress.IPv4Network(cidr).overlaps(ipaddress.IPv4Network(second)):
                raise ValueError(f"{name} ({cidr}) overlaps {other} ({second})")
