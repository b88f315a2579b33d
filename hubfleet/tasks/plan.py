"""Tasks that look ahead: what a deployment on AWS would be, what a term costs, who will wait."""

from hubfleet.console import Console
from hubfleet.errors import UsageError
from hubfleet.tasks.common import task, whole_number


@task(
    default=True,
    help={
        "students": "How many students there are (default 120).",
        "ics": "Calendar of the classes: a file or an https address.",
        "prices": "File of prices (default: the newest of environments/prices).",
        "env": "Environment on AWS (default production).",
    },
)
def stack(
    console: Console,
    students: str | None = None,
    ics: str | None = None,
    prices: str | None = None,
    env: str | None = None,
    json: bool = False,
) -> None:
    """Show what an environment on AWS would be and cost; an account is not needed."""
    from pathlib import Path

    from hubfleet.aws import plan
    from hubfleet.clients.aws import Aws
    from hubfleet.clients.calendar import fetch
    from hubfleet.controller.calendar import NotACalendarError

    count = whole_number("--students", students)
    if count == 0:
        raise UsageError("--students takes a number from 1 on")
    environment = env or "production"
    settings = plan.on_aws(environment)
    text = fetch(ics) if ics else ""
    question = plan.Question(
        plan.STUDENTS if count is None else count, text, Path(prices) if prices else None
    )
    try:
        found = plan.make(environment, settings, question, Aws(settings.fleet.aws.region))
    except NotACalendarError as error:
        raise UsageError(f"{ics}: {error}") from error
    if json:
        console.emit_json(plan.as_json(found))
    else:
        console.out(plan.as_text(found))


@task(
    help={
        "students": "How many students there are (default 120).",
        "ics": "Calendar of the classes: a file or an https address.",
        "price": "What a worker costs in an hour, such as 0.04.",
        "html": "Also write a page with charts to this file.",
        "env": "Environment whose settings decide (default production).",
    }
)
def simulate(
    console: Console,
    students: str | None = None,
    ics: str | None = None,
    price: str | None = None,
    html: str | None = None,
    env: str | None = None,
    json: bool = False,
) -> None:
    """Say who waits how long, what it costs and how many workers it takes, for a week of a term."""
    import time
    from pathlib import Path

    from hubfleet.clients.calendar import fetch
    from hubfleet.controller.calendar import NotACalendarError
    from hubfleet.settings import load
    from hubfleet.simulator import plan

    count = whole_number("--students", students)
    if count == 0:
        raise UsageError("--students takes a number from 1 on")
    text = fetch(ics) if ics else ""
    question = plan.Question(120 if count is None else count, text, _price(price))
    try:
        answer = plan.ask(question, load(env or "production"), time.time())
    except NotACalendarError as error:
        raise UsageError(f"{ics}: {error}") from error
    if json:
        console.emit_json(plan.summary(answer))
    else:
        console.out(plan.as_text(answer))
    if html:
        Path(html).write_text(plan.as_page(answer), encoding="utf-8")
        console.say(f"wrote {html}")


def _price(text: str | None) -> float:
    try:
        price = float(text or 0)
    except ValueError:
        price = -1.0
    if not 0 <= price < float("inf"):
        raise UsageError(f"--price takes a number such as 0.04, not {text!r}")
    return price
