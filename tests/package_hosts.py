"""Hosts of packages that everybody's machine may name: what the tools ask where nobody tells them.

They are asked for it, so that no file of the checkout names such a host without need.
"""

import os
import re
import subprocess
from functools import cache

from hubfleet.state import ROOT

DEBIAN = ROOT / "images" / "base" / "debian.sources"
"""What images are left with."""

DEFAULTS_PRINTED_BY = (
    ["python3", "-c", "from pip._internal.models.index import PyPI; print(PyPI.url)"],
    # It takes no file twice.
    ["npm", "config", "get", "registry", "--userconfig=/no/user", "--globalconfig=/no/machine"],
    ["ruby", "-e", "print Gem::DEFAULT_HOST"],
)


def hosts(text: str) -> set[str]:
    """Return the hosts of the addresses in a text."""
    found = re.findall(r"https?://(?:[^\s/@'\"]*@)?([\w.-]+)", text)
    return {host for host in found if "." in host}


def of_debian() -> set[str]:
    """Return the hosts of Debian that images name."""
    return hosts(DEBIAN.read_text())


@cache
def public() -> frozenset[str]:
    """Return Debian's hosts and those of the indexes that pip, npm and gem take by themselves."""
    untold = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    found = of_debian()
    for argv in DEFAULTS_PRINTED_BY:
        try:
            said = subprocess.run(
                argv, env=untold, cwd="/", capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            continue
        found |= hosts(said.stdout)
    return frozenset(found)
