"""What a deployment on AWS would be: variables, user-data, cost, and what the account says."""

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hubfleet import machine_images
from hubfleet.aws import changes, checks, costs, preview, prices
from hubfleet.aws.accounts import masked
from hubfleet.aws.changes import Change
from hubfleet.aws.costs import Estimate, Line, Scenario
from hubfleet.aws.prices import Prices
from hubfleet.clients.aws import Aws
from hubfleet.doctor import Check, Verdict
from hubfleet.errors import HubfleetError, UsageError
from hubfleet.settings import Settings, load
from hubfleet.simulator import plan as term
from hubfleet.simulator.study import median
from hubfleet.state import ROOT

STUDENTS = 120
"""How many there are where nobody says."""

SEEDS = 3
"""Runs of the simulated week; plan.simulate makes more, and says how far they lie apart."""

OF_ACCOUNT = ("account", "region", "quotas", "zone", "machine images", "state")
"""Checks that need an account."""

TERRAFORMS = "TF_VAR_"
"""What the shell's variables begin with that Terraform takes as its own."""

HOUR = 3600.0


@dataclass(frozen=True)
class Question:
    """How many students, the text of a calendar ("" for none), a file of prices or None."""

    students: int
    calendar: str
    prices: Path | None


@dataclass(frozen=True)
class Plan:
    """All that is known before a deployment."""

    environment: str
    variables: Mapping[str, Any]
    rendered: preview.Rendered
    prices: Prices
    scenario: Scenario
    estimate: Estimate
    checks: Sequence[Check]
    changes: Sequence[Change] | None
    """What Terraform would change; None where it cannot be told."""
    unchecked: Sequence[str]


def on_aws(environment: str) -> Settings:
    """Return the environment's settings; raises UsageError where it is not on AWS."""
    settings = load(environment)
    if settings.fleet.backend != "aws":
        raise UsageError(
            f"{environment} is not on AWS: its fleet.backend is {settings.fleet.backend}",
            "name an environment on AWS with --env, such as production",
        )
    return settings


def make(
    environment: str, settings: Settings, question: Question, aws: Aws, root: Path = ROOT
) -> Plan:
    """Return the plan. Raises PreconditionError and CommandError of its parts.

    Nothing of the account is needed: what cannot be asked is named in `unchecked`.
    """
    file = question.prices or prices.newest(root)
    known = prices.read(file, settings.fleet.aws.region)
    scenario = simulate(settings, question)
    estimate = costs.estimate(settings, known, scenario)
    rendered = preview.render(environment, root)
    found = checks.examine(environment, settings, aws, root)
    to_change, problem = _changes(environment, settings, found, root)
    return Plan(
        environment,
        variables(environment, settings, root),
        rendered,
        known,
        scenario,
        estimate,
        found,
        to_change,
        [*unchecked(found), *([problem] if problem else [])],
    )


def _changes(
    environment: str, settings: Settings, found: Sequence[Check], root: Path
) -> tuple[list[Change] | None, str]:
    """Return what Terraform would change, or None and why that cannot be told."""
    well = {check.name for check in found if check.verdict is Verdict.OK}
    if not {"account", "state"} <= well:
        return None, "present state: what is there already was not compared, for want of the above"
    # What that check has found is the bucket's name.
    bucket = next(check.detail for check in found if check.name == "state")
    try:
        return changes.find(environment, settings.fleet.aws.region, bucket, root), ""
    except HubfleetError as error:
        return None, f"present state: {error.message} ({error.hint})"


def variables(environment: str, settings: Settings, root: Path = ROOT) -> dict[str, Any]:
    """Return Terraform's variables as a deploy would give them, and what it reads beside them."""
    region = settings.fleet.aws.region
    noted = machine_images.noted(machine_images.read(root), environment, region)
    return {
        "environment": environment,
        "account_id": os.environ.get(f"{TERRAFORMS}account_id", ""),
        "images": {each.image: each.ami for each in noted},
        "permissions_boundary": os.environ.get(f"{TERRAFORMS}permissions_boundary", ""),
        "fleet": {
            "zone": settings.fleet.zone,
            "workers": settings.fleet.workers.model_dump(),
            "aws": settings.fleet.aws.model_dump(mode="json"),
        },
    }


def simulate(settings: Settings, question: Question) -> Scenario:
    """Return the use of a simulated week of classes. Raises NotACalendarError for other text."""
    week = term.ask(
        term.Question(question.students, question.calendar, 0.0, SEEDS), settings, time.time()
    )
    course = next(run.series for run in week.runs if run.series)
    people = sum(
        used * (later[0] - now) / HOUR for (now, used, *_), later in itertools.pairwise(course)
    )
    hours = median(run.node_seconds / HOUR for run in week.runs).value
    return Scenario(question.students, people, hours)


def unchecked(found: Sequence[Check]) -> list[str]:
    """Return in plain words what this plan does not know."""
    return [
        f"{check.name}: {check.detail}" + (f" ({check.fix})" if check.fix else "")
        for check in found
        if check.name in OF_ACCOUNT and check.verdict is not Verdict.OK
    ]


def as_json(found: Plan) -> dict[str, Any]:
    """Return the plan as one JSON object, without the numbers of accounts."""
    document = {
        "environment": found.environment,
        "variables": dict(found.variables),
        "stack": dict(found.rendered.stack),
        "user_data": dict(found.rendered.user_data),
        "cost": costs.as_json(found.estimate, found.prices, found.scenario),
        "checks": [asdict(check) for check in found.checks],
        "changes": None if found.changes is None else [asdict(each) for each in found.changes],
        "unchecked": list(found.unchecked),
    }
    return {name: masked(value) for name, value in document.items()}


def as_text(found: Plan) -> str:
    """Return the plan as text, without the numbers of accounts, for whoever reads it."""
    lines = [f"Environment {found.environment}", "", "Variables"]
    lines += [f"  {name} = {value}" for name, value in _flat(found.variables)]
    for role, text in found.rendered.user_data.items():
        lines += ["", f"User-data of {role} (what is in brackets exists after a deploy)"]
        lines += [f"  {line}" for line in text.splitlines()]
    lines += ["", *_cost(found)]
    lines += ["", "Checks"]
    lines += [f"  {check.verdict:<5} {check.name}: {check.detail}" for check in found.checks]
    if found.changes is not None:
        lines += ["", "Terraform would"]
        lines += [f"  {line}" for line in changes.as_lines(found.changes)]
    if found.unchecked:
        lines += ["", "Not checked"]
        lines += [f"  {line}" for line in found.unchecked]
    return str(masked("\n".join(lines)))


def _cost(found: Plan) -> list[str]:
    unit, use = found.prices.currency, found.scenario
    people = f"{use.students} students, {use.student_hours:.0f} of their hours a week"
    return [
        f"Cost of a month, {unit} ({people})",
        *_rows(found.estimate.month, found.estimate.month_total),
        "",
        f"Cost of an hour of a class, {unit}, beyond what runs all month",
        *_rows(found.estimate.class_hour, found.estimate.class_hour_total),
        "",
        *(f"  {remark}" for remark in found.estimate.remarks),
    ]


def _rows(lines: Sequence[Line], total: float) -> list[str]:
    rows = [f"  {line.what:<30} {line.amount:<22} {line.cost:9.2f}" for line in lines]
    return [*rows, f"  {'sum':<53} {total:9.2f}"]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{key}.")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            found.append((f"{prefix}{key}", shown if shown not in ("", {}) else "(none)"))
    return found
