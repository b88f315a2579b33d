"""Runs inside a student's kernel: tells what can be reached from there. Standard library only.

The text of this module is sent as a cell, with TARGETS defined before it; it prints one JSON line.
"""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor

TARGETS: list[list[object]] = globals().get("TARGETS", [])
_TIMEOUT_S = 2.0


def connect(host: str, port: int) -> str:
    """Return open, or why a TCP connection cannot be made."""
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S):
            return "open"
    except TimeoutError:
        return "filtered"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return type(error).__name__


def addresses() -> list[str]:
    """Return the gateways of the container's networks, which are addresses of its node."""
    with open("/proc/net/route", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sorted({socket.inet_ntoa(bytes.fromhex(r[2])[::-1]) for r in rows if int(r[2], 16)})


def status() -> dict[str, str]:
    """Return the kernel's own rights, from /proc/self/status."""
    wanted = ("CapEff", "CapBnd", "NoNewPrivs")
    with open("/proc/self/status", encoding="ascii") as lines:
        pairs = [line.split(":", 1) for line in lines]
    return {key: value.strip() for key, value in pairs if key in wanted}


def gateway_targets() -> list[tuple[str, int]]:
    """Return every port of TARGETS at every gateway."""
    ports = sorted({int(str(port)) for _, port in TARGETS})
    return [(gateway, port) for gateway in addresses() for port in ports]


def main() -> None:
    """Print what was found."""
    pairs = [(str(host), int(str(port))) for host, port in TARGETS] + gateway_targets()
    with ThreadPoolExecutor(48) as pool:
        states = list(pool.map(lambda pair: connect(*pair), pairs))
    found = [[host, port, state] for (host, port), state in zip(pairs, states, strict=True)]
    rights = {
        **status(),
        "uid": os.getuid(),
        "sockets": [p for p in ("/var/run/docker.sock", "/run/docker.sock") if os.path.exists(p)],
        "homes": sorted(os.listdir("/home")),
        "environment_writable": os.access("/opt/venv", os.W_OK),
    }
    print(json.dumps({"reached": found, "rights": rights}))  # noqa: T201  (a cell's output)


main()
