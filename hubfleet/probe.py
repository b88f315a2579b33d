"""The isolation probe: what a student's kernel may and may not reach, judged.

The rules are docs/explanation/isolation.md's; each has a threat behind it.
"""

import json
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hubfleet.clients.hub import Student
from hubfleet.settings import Settings

METADATA = "169.254.169.254"
"""The cloud's metadata service: a worker's role credentials would be a student's."""

_NODE_PORTS = (22, 80, 443, 2375, 2376, 4789, 5000, 5443, 7946, 8000, 8001, 8081, 8889)

PROBE_S = 120
"""Longest run of the probe's cell, in seconds."""


def targets(settings: Settings, nodes: Iterable[str], others: Iterable[str]) -> list[list[Any]]:
    """Return what the probe tries: host and port; `others` are hosts of other students' servers."""
    zone = settings.fleet.zone
    ports = sorted({*_NODE_PORTS, settings.hub.port, settings.swarm.manager_port})
    hosts = [*nodes, f"chef.{zone}", f"registry.{zone}", f"hub.{zone}"]
    tried = [[host, port] for host in hosts for port in ports]
    tried += [[host, 8888] for host in others]
    tried += [["hub", settings.hub.api_port], ["proxy", 8000], ["proxy", 8001]]
    tried += [["proxy-api", 8001], [METADATA, 80]]
    return tried


def judge(found: dict[str, Any], api_port: int, uid: int) -> list[str]:
    """Return one sentence for each rule that does not hold. Pure."""
    allowed = ("hub", api_port)
    reached = {(host, int(port)): state for host, port, state in found["reached"]}
    wrong = [
        f"a student's kernel reaches {host}:{port}"
        for (host, port), state in reached.items()
        if state == "open" and (host, port) != allowed
    ]
    if reached.get(allowed) != "open":
        wrong.append(f"a student's kernel does not reach the hub's API: {reached.get(allowed)}")
    rights = found["rights"]
    for name in ("CapEff", "CapBnd"):
        if int(rights[name], 16):
            wrong.append(f"a student's kernel has capabilities: {name} {rights[name]}")
    if rights["NoNewPrivs"] != "1":
        wrong.append("a student's kernel may gain privileges: NoNewPrivs is not set")
    if rights["uid"] != uid:
        wrong.append(f"a student's kernel runs as uid {rights['uid']}, not {uid}")
    if rights["sockets"]:
        wrong.append(f"a student's kernel sees the engine's socket: {rights['sockets']}")
    if rights["homes"] != ["student"]:
        wrong.append(f"a student's kernel sees homes: {rights['homes']}")
    if rights["environment_writable"]:
        wrong.append("a student can change the software that runs the server")
    return wrong


async def probe_isolation(
    student: Student, settings: Settings, nodes: Sequence[str], others: Sequence[str]
) -> list[str]:
    """Run the probe in a kernel of `student`, whose server runs; return the rules that fail.

    `nodes` are addresses of all machines, `others` those of other students' servers.
    """
    found = json.loads(await student.run(cell(targets(settings, nodes, others)), PROBE_S))
    return judge(found, settings.hub.api_port, settings.notebook.uid)


def cell(tried: list[list[Any]]) -> str:
    """Return the probe's cell for these targets."""
    spec = find_spec("hubfleet.probe_in_kernel")
    assert spec is not None and spec.origin is not None
    return f"TARGETS = {tried!r}\n{Path(spec.origin).read_text(encoding='utf-8')}"
