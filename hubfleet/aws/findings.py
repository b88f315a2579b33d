"""What is wrong with an environment on AWS, and how it is, in sentences; pure."""

from collections.abc import Iterator, Mapping
from typing import Any

CERTIFICATE_DAYS = 14
"""One that ends sooner is a problem: nobody will hear of it otherwise before browsers refuse it."""

SUSPENDED_ON_PURPOSE = frozenset({"AZRebalance"})
"""Processes of the group that never run (terraform/autoscaling.tf)."""

SINGLE = ("chef_server", "hub")

TITLES = {
    "machines": "the machines are",
    "group": "the Auto Scaling group is",
    "queue": "the queue is",
    "homes": "the homes' size is",
    "certificate": "the hub's certificate is",
    "chef": "the Chef server's nodes are",
}


def problems(found: Mapping[str, Any]) -> list[str]:
    """Return a sentence for all that should not be as it is; `found` is the status's object."""
    said = [*_of_hub(found), *_of_machines(found), *_of_group(found), *_of_chef(found)]
    said += [f"{TITLES[part]} not known: {why}" for part, why in found["unknown"].items()]
    return said


def _of_hub(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["hub"]["healthy"]:
        yield f"the hub is not healthy: {found['hub']['problem']}"
    for each in found["certificates"]:
        days = each["days_left"]
        if days < 0:
            yield f"the certificate of {each['name']} has ended on {each['not_after'][:10]}"
        elif days < CERTIFICATE_DAYS:
            yield f"the certificate of {each['name']} ends in {days} days"


def _of_machines(found: Mapping[str, Any]) -> Iterator[str]:
    for node in found["nodes"] or ():
        if node["problem"]:
            yield f"{node['role']} {node['id']} {node['problem']}"
        if node["role"] in SINGLE and node["state"] != "running":
            yield f"{node['role']} {node['id']} is {node['state']}"
    if found["nodes"] is not None:
        roles = {node["role"] for node in found["nodes"]}
        if "hub" not in roles:
            yield f"there is no machine of the hub: ./invoke deploy --env {found['environment']}"


def _of_group(found: Mapping[str, Any]) -> Iterator[str]:
    group, queue = found["group"], found["queue"]
    if group:
        there = group["lifecycle"].get("InService", 0)
        if there < group["min"]:
            least = group["min"]
            yield f"{group['name']} has {there} workers in service, of at least {least}"
        stopped = sorted(set(group["suspended"]) - SUSPENDED_ON_PURPOSE)
        if stopped:
            yield (
                f"{group['name']} does not {', '.join(stopped)}: aws autoscaling resume-processes "
                f"--auto-scaling-group-name {group['name']} lets it"
            )
    if queue and queue["dead"]:
        yield (
            f"{queue['dead']} messages could be handled by nobody; the dead letters' queue is the "
            "output dead_letters of the stack"
        )


def _of_chef(found: Mapping[str, Any]) -> Iterator[str]:
    roles = {node["id"]: node["role"] for node in found["nodes"] or ()}
    for name in found["chef"]["missing"]:
        yield f"{roles[name]} {name} is no node of the Chef server"
    for name in found["chef"]["strays"]:
        yield (
            f"Chef node {name} has no machine: ./invoke chef.tunnel --env {found['environment']}, "
            f"then knife node delete {name} and knife client delete {name}"
        )


def summary(found: Mapping[str, Any]) -> list[str]:
    """Return the lines above the table of machines."""
    hub, group, queue, homes = (found[part] for part in ("hub", "group", "queue", "homes"))
    lines = [
        f"deployment {found['deployment']} (AWS, {found['region']}): {found['url']}",
        f"hub: {'healthy' if hub['healthy'] else hub['problem']}",
    ]
    if group:
        states = ", ".join(f"{count} {state}" for state, count in group["lifecycle"].items())
        lines.append(
            f"workers: {group['desired']} wanted, of {group['min']} to {group['max']}; "
            f"{states or 'none'}"
        )
    if queue:
        lines.append(
            f"queue: {queue['waiting']} waiting, {queue['in_flight']} being handled, "
            f"{queue['dead']} dead"
        )
    if homes:
        lines.append(f"homes: {homes['bytes'] / 1e9:.1f} GB in {homes['file_system']}")
    chef = found["chef"]
    if chef["revisions"] is not None:
        published = ", ".join(f"{name} {rev[:10]}" for name, rev in chef["revisions"].items())
        lines.append(f"policies: {published or 'none'}")
    else:
        lines.append(f"Chef server not asked: {chef['problem']}")
    return lines
