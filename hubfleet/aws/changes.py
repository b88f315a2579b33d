"""What Terraform would change in an environment's stack: `tofu plan`, read-only, in a copy."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hubfleet.aws.preview import QUIET, TIMEOUT_S, copy_of_stack
from hubfleet.aws.refusals import refusal, settled
from hubfleet.clients import infra_tools
from hubfleet.image_build import cache_dir
from hubfleet.machine_images import MANIFEST
from hubfleet.state import ROOT

PLAN_TIMEOUT_S = 900
"""Seconds of a plan; each of some 130 things is asked for."""

WORDS = {
    ("create",): "make",
    ("update",): "change",
    ("delete",): "remove",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
}
"""Actions of a plan that change something."""

AGAIN = "make again"
"""What a run that was interrupted has left half-made; nobody uses it yet."""

TAINTED = "replace_because_tainted"
"""Reason of such an action (OpenTofu, JSON output format)."""


@dataclass(frozen=True)
class Change:
    """What would be done to which thing; its address is Terraform's."""

    action: str
    address: str


def find(environment: str, region: str, bucket: str, root: Path = ROOT) -> list[Change]:
    """Return what a deploy would change, by the state in `bucket`; nothing is locked or written.

    Raises CommandError where AWS or the stack refuses, PreconditionError without OpenTofu.
    """
    tofu = infra_tools.require(infra_tools.TOFU, cache_dir(), root)
    place = {"bucket": bucket, "key": environment, "region": region}
    backend = [f"-backend-config={key}={value}" for key, value in place.items()]
    given = [f"-var=environment={environment}", f"-var=image_manifest={root / MANIFEST}"]
    steps: list[tuple[list[str], int]] = [
        (["init", "-no-color", *backend], TIMEOUT_S),
        (["plan", "-no-color", "-lock=false", "-out=found", *given], PLAN_TIMEOUT_S),
        (["show", "-json", "found"], TIMEOUT_S),
    ]
    with copy_of_stack(root) as stack:
        for argv, timeout in steps:
            run = partial(tofu.run, argv, cwd=stack, env=QUIET, check=False, timeout=timeout)
            done = settled(run)
            if done.returncode:
                raise refusal(argv[0], environment, done.stdout + done.stderr)
    return changes(json.loads(done.stdout))


def changes(document: Mapping[str, Any]) -> list[Change]:
    """Return the changes in what `tofu show -json` prints of a plan."""
    return [
        Change(AGAIN if each.get("action_reason") == TAINTED else WORDS[actions], each["address"])
        for each in document.get("resource_changes", [])
        if (actions := tuple(each["change"]["actions"])) in WORDS
    ]


ORDER = ("remove", "replace", AGAIN, "change", "make")
"""What is lost comes first."""


def as_lines(found: Sequence[Change]) -> list[str]:
    """Return the changes as words, what is lost first."""
    if not found:
        return ["nothing: the stack is as it should be"]
    return [f"{each.action:<10} {each.address}" for each in _in_order(found)]


def summary(found: Sequence[Change]) -> list[str]:
    """Return the changes as words, with the number alone of what is new."""
    new = [each for each in found if each.action == "make"]
    lines = [f"{each.action} {each.address}" for each in _in_order(found) if each not in new]
    return [*lines, f"make {len(new)} thing{'s' * (len(new) > 1)}"] if new else lines


def _in_order(found: Sequence[Change]) -> list[Change]:
    return sorted(found, key=lambda each: (ORDER.index(each.action), each.address))
