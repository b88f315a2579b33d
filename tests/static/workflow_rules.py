"""What .github/workflows must keep to: each rule returns what is wrong in one workflow's text."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml  # type: ignore[import-untyped]

from hubfleet.settings import environments, load

Rule = Callable[[str], Iterator[str]]

PIN = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")

GRANTS = {"contents": "read", "id-token": "write"}
"""All that a job may be allowed; the token of the run's identity changes nothing at GitHub."""

ENDED = re.compile(
    r"timeout --foreground --signal=INT --kill-after=(?P<grace>\d+)m (?P<limit>\d+)m \./invoke"
)

AGREED = "(github.event_name == 'schedule' || inputs.replace) && 'yes' || ''"

SETUP_MIN = 5
"""What comes before the change: the checkout, OpenTofu, Packer, a login."""

GRACE_S = 900
"""What an interrupted OpenTofu is given to end what it is at (hubfleet/aws/stack.py)."""

LONGEST_MIN = 120
"""A role of AWS ends after two hours (terraform/bootstrap)."""


def parse(text: str) -> dict[str, Any]:
    """Return a workflow; its key `on` is read as true, as YAML 1.1 has it."""
    found: dict[Any, Any] = yaml.safe_load(text)
    return {"on" if key is True else str(key): value for key, value in found.items()}


def jobs(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from parse(text)["jobs"].items()


def steps(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs(text):
        yield from ((name, step) for step in job["steps"])


def actions_are_pinned(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if "uses:" in line and not PIN.search(line):
            yield f"{line.strip()}: no commit with its version beside it"


def permissions_are_least(text: str) -> Iterator[str]:
    if parse(text).get("permissions") != {}:
        yield "the workflow itself is allowed something"
    for name, job in jobs(text):
        granted = job.get("permissions")
        if not isinstance(granted, dict) or not granted.items() <= GRANTS.items():
            yield f"{name}: permissions are {granted}"
        elif ("id-token" in granted) != any(_takes_role(step) for step in job["steps"]):
            yield f"{name}: a token of its identity, and no role; or the other way round"


def nothing_of_others_starts_it(text: str) -> Iterator[str]:
    for event in ("pull_request_target", "workflow_run", "issue_comment", "repository_dispatch"):
        if event in parse(text)["on"]:
            yield f"{event} gives powers to what others write"


def no_secrets(text: str) -> Iterator[str]:
    if re.search(r"\bsecrets\b|aws-access-key|AKIA", text):
        yield "there is a secret; roles need none"


def runs_hold_no_expressions(text: str) -> Iterator[str]:
    for name, step in steps(text):
        if "${{" in step.get("run", ""):
            yield f"{name}: an expression in a script; give it by env"


def jobs_end_and_do_not_meet(text: str) -> Iterator[str]:
    groups = parse(text).get("concurrency")
    if not isinstance(groups, dict) or "group" not in groups:
        yield "two runs may meet"
    elif "AWS_APPLY_ROLE" in text and groups.get("cancel-in-progress") is not False:
        yield "a run may be broken off in the middle of a change"
    for name, job in jobs(text):
        if not 0 < job.get("timeout-minutes", 0) <= LONGEST_MIN:
            yield f"{name}: no time-out, or one longer than its role"


def roles_that_change_are_protected(text: str) -> Iterator[str]:
    for name, job in jobs(text):
        roles = [step["with"]["role-to-assume"] for step in job["steps"] if _takes_role(step)]
        if any("PLAN_ROLE" not in role for role in roles) and "environment" not in job:
            yield f"{name}: takes {roles} outside of a protected environment"
        if any("PLAN_ROLE" in role for role in roles):
            condition = job.get("if", "")
            if "head.repo.full_name == github.repository" not in condition:
                yield f"{name}: runs for forks, which have no role"


def accounts_are_masked(text: str) -> Iterator[str]:
    for name, step in steps(text):
        if _takes_role(step) and step["with"].get("mask-aws-account-id") is not True:
            yield f"{name}: the log of the run names the account"


def changes_are_ended_before_their_machine(text: str) -> Iterator[str]:
    """GitHub kills what does not end within ten seconds; a state would stay locked."""
    for name, job in jobs(text):
        for step in job["steps"]:
            if not re.search(r"\./invoke (deploy|destroy)", step.get("run", "")):
                continue
            found = ENDED.search(step["run"])
            if found is None:
                yield f"{name}: {step['name']} is not interrupted in time"
            elif sum(map(int, found.groups())) + SETUP_MIN > job["timeout-minutes"]:
                yield f"{name}: {step['name']} may take longer than the job"
            elif int(found["grace"]) * 60 <= GRACE_S:
                yield f"{name}: {step['name']} is killed before OpenTofu has ended"


def checkouts_keep_no_token(text: str) -> Iterator[str]:
    for name, step in steps(text):
        given = step.get("with") or {}
        taken = step.get("uses", "").startswith("actions/checkout@")
        if taken and given.get("persist-credentials") is not False:
            yield f"{name}: the checkout keeps a token that later steps can read"


def environments_are_ours(text: str) -> Iterator[str]:
    ours = sorted(name for name in environments() if load(name).fleet.backend == "aws")
    dispatched = (parse(text)["on"] or {}).get("workflow_dispatch") or {}
    offered = [dispatched["inputs"]["environment"]["options"]] if dispatched else []
    for _, job in jobs(text):
        matrix = (job.get("strategy") or {}).get("matrix", {})
        offered += [matrix["environment"]] if "environment" in matrix else []
    for each in offered:
        if sorted(each) != ours:
            yield f"offers {each}; on AWS are {ours}"


def removal_is_confirmed(text: str) -> Iterator[str]:
    for name, job in jobs(text):
        runs = [step.get("run", "") for step in job["steps"]]
        asks = [n for n, run in enumerate(runs) if '$CONFIRM != "$ENVIRONMENT"' in run]
        removes = [n for n, run in enumerate(runs) if "./invoke destroy" in run]
        if removes and (not asks or asks[0] > removes[0]):
            yield f"{name}: removes without asking"


def replacement_is_agreed_to(text: str) -> Iterator[str]:
    """What a deploy removes is not agreed to in advance, but by whoever starts it, or the clock."""
    inputs = ((parse(text)["on"] or {}).get("workflow_dispatch") or {}).get("inputs", {})
    for name, step in steps(text):
        run = step.get("run", "")
        if "./invoke deploy" not in run:
            continue
        if "--yes" in run.replace("${AGREED:+--yes}", ""):
            yield f"{name}: deploys with --yes whoever asks"
        if AGREED not in step.get("env", {}).get("AGREED", ""):
            yield f"{name}: it is not said who has agreed"
        if inputs.get("replace", {}).get("default") is not False:
            yield f"{name}: replaces unless told otherwise"


def _takes_role(step: dict[str, Any]) -> bool:
    return str(step.get("uses", "")).startswith("aws-actions/configure-aws-credentials@")


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        actions_are_pinned,
        permissions_are_least,
        nothing_of_others_starts_it,
        no_secrets,
        runs_hold_no_expressions,
        jobs_end_and_do_not_meet,
        roles_that_change_are_protected,
        accounts_are_masked,
        changes_are_ended_before_their_machine,
        checkouts_keep_no_token,
        environments_are_ours,
        removal_is_confirmed,
        replacement_is_agreed_to,
    )
}
