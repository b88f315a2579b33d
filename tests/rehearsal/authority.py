"""What stands in for Let's Encrypt: Pebble, its own test authority, on the machines' network."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from hubfleet.clients import engine
from hubfleet.pki import Authority
from hubfleet.state import Deployment
from tests.images.authority import programs
from tests.rehearsal.service import running, service

NAME = "hubfleet-rehearsal-acme"
PORT = 14000
INSIDE = "/run/acme"

ORDER = "POST /order-plz"
"""What its log has of each order of a certificate."""

ISSUER = "Pebble Intermediate CA"


def host(zone: str) -> str:
    """Return the authority's name on the network."""
    return f"acme.{zone}"


def directory(zone: str) -> str:
    """Return the address of its directory, as tls.acme.directory has it."""
    return f"https://{host(zone)}:{PORT}/dir"


def orders() -> int:
    """Return how many certificates were asked for."""
    return engine.logs(NAME).count(ORDER)


def place(subnet: str) -> str:
    """Return its address: the last but one, which no machine comes to."""
    return str(list(ip_network(subnet).hosts())[-2])


@contextmanager
def authority(deployment: Deployment, zone: str, address: str, room: Path) -> Iterator[Path]:
    """Run it until the block ends; yield the certificate that its own server is vouched for by."""
    room.mkdir()
    own = Authority.ensure(room / "ca.crt", room / "ca.key", "Stands in for Let's Encrypt's own")
    certificate, key = own.issue([host(zone)])
    (room / "server.crt").write_text(certificate)
    (room / "server.key").write_text(key)
    configuration = {
        "listenAddress": f"0.0.0.0:{PORT}",
        "managementListenAddress": "127.0.0.1:15000",
        "certificate": f"{INSIDE}/server.crt",
        "privateKey": f"{INSIDE}/server.key",
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (room / "pebble.json").write_text(json.dumps({"pebble": configuration}))
    binds = {str(room): f"{INSIDE}:ro", str(programs()): "/opt/pebble:ro"}
    spec = replace(
        service(deployment, NAME, host(zone), address),
        command=["/opt/pebble/pebble", "-config", f"{INSIDE}/pebble.json"],
        binds=binds,
        environment={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
    )
    with running(spec):
        yield room / "ca.crt"
