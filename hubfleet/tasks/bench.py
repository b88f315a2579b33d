"""Tasks for figures: every number that the README claims."""

from hubfleet.console import Console
from hubfleet.errors import UsageError
from hubfleet.state import Deployment
from hubfleet.tasks.common import task, whole_number


@task(
    help={
        "students": "How many click at once (default 20).",
        "rounds": "How many single starts of each kind (default 7).",
    }
)
def spawn(
    console: Console,
    env: str | None = None,
    name: str | None = None,
    students: str | None = None,
    rounds: str | None = None,
    json: bool = False,
) -> None:
    """Measure students' waits against the stock spawner's; exit code 1 when a target is missed."""
    from hubfleet.bench import report
    from hubfleet.bench import spawn as measure

    deployment = Deployment.open(name, env)
    count = _at_least_one("--students", students, measure.STUDENTS)
    turns = _at_least_one("--rounds", rounds, measure.ROUNDS)
    with deployment.lock("bench.spawn"):
        found = measure.bench(deployment, console, turns, count)
    report.show(console, found)
    report.require_all(found)


@task(help={"cold": "Also with an empty cache and without images (many minutes)."})
def deploy(console: Console, cold: bool = False, json: bool = False) -> None:
    """Measure deploys of a deployment of its own; exit code 1 when a target is missed."""
    from hubfleet.bench import deploy as measure
    from hubfleet.bench import report

    found = measure.bench(console, cold)
    report.show(console, found)
    report.require_all(found)


@task(
    help={
        "nodes": "How many nodes converge within a minute (default 100).",
        "clients": "How many real chef-clients run beside them (default 10).",
        "saves": "How many node saves the server's memory is watched over (default 10000).",
        "servers": "Compare web servers under the embedded API instead; no target is required.",
    }
)
def chef(
    console: Console,
    nodes: str | None = None,
    clients: str | None = None,
    saves: str | None = None,
    servers: bool = False,
    json: bool = False,
) -> None:
    """Measure the Chef server against plain chef-zero; exit code 1 when a target is missed."""
    from hubfleet.bench import chef as measure
    from hubfleet.bench import chef_memory, chef_web, report

    if servers:
        report.show(console, chef_web.compare(console))
        return
    real = whole_number("--clients", clients)
    fleet = measure.Fleet(
        _at_least_one("--nodes", nodes, measure.NODES), measure.CLIENTS if real is None else real
    )
    turns = _at_least_one("--saves", saves, chef_memory.SAVES)
    found = measure.bench(console, fleet, turns)
    report.show(console, found)
    report.require_all(found)


@task(
    help={
        "quick": "Few runs, and none of the other policies.",
        "html": "Also write the report to this file.",
    }
)
def autoscaler(
    console: Console, quick: bool = False, html: str | None = None, json: bool = False
) -> None:
    """Simulate the autoscaler against others and the possible; exit code 1 when a target is missed.

    Needs no deployment.
    """
    from pathlib import Path

    from hubfleet.bench import autoscaler as measure
    from hubfleet.bench import autoscaler_page, report

    found = measure.study(quick)
    figures = measure.figures(found)
    if html:
        Path(html).write_text(autoscaler_page.render(found), encoding="utf-8")
        console.say(f"wrote {html}")
    if not json:
        measure.show_table(console, found)
    report.show(console, figures)
    report.require_all(figures)


@task(
    name="class",
    help={
        "students": "How many come (default 120, or 12 where there are no light servers).",
        "real": "How many of them have notebooks and a kernel (default 12).",
    },
)
def class_(
    console: Console,
    env: str | None = None,
    name: str | None = None,
    students: str | None = None,
    real: str | None = None,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Hold a class: students come, two workers are lost, all leave; real servers and kernels."""
    from hubfleet.bench import class_drill as drill
    from hubfleet.bench import report

    deployment = Deployment.open(name, env)
    count, notebooks = _some("--students", students), _some("--real", real)
    if not console.confirm("Two workers are taken away; servers on them move. Do it?", yes):
        raise UsageError("nothing was done")
    with deployment.lock("bench.class"):
        found = drill.bench(deployment, console, count, notebooks)
    report.show(console, found)
    report.require_all(found)


def _at_least_one(option: str, text: str | None, default: int) -> int:
    return _some(option, text) or default


def _some(option: str, text: str | None) -> int | None:
    number = whole_number(option, text)
    if number == 0:
        raise UsageError(f"{option} takes a number from 1 on")
    return number
