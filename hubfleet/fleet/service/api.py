"""What the service is asked over HTTPS, as a table of calls, and the answers as JSON; no network.

A call is `POST /v1/<name>` with one JSON object. All but `receive` answer at once.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hubfleet.errors import CommandError, HubfleetError, PreconditionError, UsageError
from hubfleet.fleet.scaling import Hook, NoCapacity
from hubfleet.fleet.service.group import Full, Gone, Group
from hubfleet.fleet.service.machines import NotAWorker
from hubfleet.fleet.service.tls import Right

# `$` is the end of the text and nothing else in pydantic's (Rust's) regular expressions.
InstanceId = Annotated[str, Field(pattern=r"^i-[0-9a-f]{17}$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]

WAIT_MOST_S = 20
"""Longest wait for messages, as with SQS."""

HIDE_MOST_S = 43200
"""Longest invisibility of a message, as with SQS."""

STATUS: Mapping[type[HubfleetError], int] = {
    UsageError: 400,
    NotAWorker: 403,
    Gone: 404,
    NoCapacity: 409,
    Full: 409,
    CommandError: 502,
    PreconditionError: 502,
}
"""HTTP status by error; the answer also names the error's class."""


class Body(BaseModel):
    """What a call takes."""

    model_config = ConfigDict(extra="forbid", strict=True)


class One(Body):
    """A worker."""

    instance_id: InstanceId


class Claim(Body):
    """Whatever a message calls a worker: a forged one may say anything."""

    instance_id: str


class Launch(Body):
    """An order."""

    count: Annotated[int, Field(ge=1, le=100)]
    pool: Word


class Wait(Body):
    """How long to wait for messages."""

    wait_s: Annotated[int, Field(ge=0, le=WAIT_MOST_S)]


class Receipt(Body):
    """A delivery."""

    receipt: Word


class Hide(Receipt):
    """A delivery that comes again later."""

    seconds: Annotated[int, Field(ge=0, le=HIDE_MOST_S)]


class HookBody(Body):
    """A termination that waits; what names none, in whatever way, does nothing."""

    group: str
    name: str
    token: str
    instance_id: str


class Count(Body):
    """How many."""

    count: Annotated[int, Field(ge=0, le=100)]


class Dry(Body):
    """A pool without capacity."""

    pool: Word
    seconds: Annotated[int, Field(ge=0, le=86400)]


class Raw(Body):
    """A message, whatever it holds."""

    body: str


@dataclasses.dataclass(frozen=True)
class Call:
    """One call: what it takes, which right it needs, and what it does."""

    takes: type[Body]
    needs: Right
    act: Callable[[Group, Any], Any]


def _hook(body: HookBody) -> Hook:
    return Hook(body.group, body.name, body.token, body.instance_id)


CALLS: Mapping[str, Call] = {
    "workers": Call(Body, Right.FLEET, lambda g, b: _rows(g.workers())),
    "standing": Call(Claim, Right.FLEET, lambda g, b: _row(g.standing(b.instance_id))),
    "launch": Call(Launch, Right.FLEET, lambda g, b: g.launch(b.count, b.pool)),
    "terminate": Call(One, Right.FLEET, lambda g, b: g.terminate(b.instance_id)),
    "protect": Call(One, Right.FLEET, lambda g, b: g.protect(b.instance_id)),
    "failures": Call(Body, Right.FLEET, lambda g, b: _rows(g.failures())),
    "acknowledge": Call(Receipt, Right.FLEET, lambda g, b: g.queue.acknowledge(b.receipt)),
    "hide": Call(Hide, Right.FLEET, lambda g, b: g.queue.hide(b.receipt, b.seconds)),
    "dead-letters": Call(Body, Right.FLEET, lambda g, b: _rows(g.queue.dead())),
    "heartbeat": Call(HookBody, Right.FLEET, lambda g, b: g.heartbeat(_hook(b))),
    "complete": Call(HookBody, Right.FLEET, lambda g, b: g.complete(_hook(b))),
    "fault/spot": Call(One, Right.FAULTS, lambda g, b: g.spot(b.instance_id)),
    "fault/rebalance": Call(One, Right.FAULTS, lambda g, b: g.rebalance(b.instance_id)),
    "fault/kill": Call(One, Right.FAULTS, lambda g, b: g.kill(b.instance_id)),
    "fault/boot-failure": Call(Count, Right.FAULTS, lambda g, b: g.fail_boots(b.count)),
    "fault/no-capacity": Call(Dry, Right.FAULTS, lambda g, b: g.run_dry(b.pool, b.seconds)),
    "fault/message": Call(Raw, Right.FAULTS, lambda g, b: g.queue.send(b.body)),
}
"""Every call but `receive`, which waits."""


def answer(group: Group, call: Call, raw: bytes) -> tuple[int, Any]:
    """Do a call; return the HTTP status and what to answer as JSON. Blocks on the engine."""
    try:
        return 200, call.act(group, read(call.takes, raw))
    except HubfleetError as error:
        return refusal(error)


def refusal(error: HubfleetError) -> tuple[int, Any]:
    """Return the HTTP status and the answer for an error."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    return status, {"error": type(error).__name__, "message": error.message}


def read(takes: type[Body], raw: bytes) -> Any:
    """Return a request's body; raise UsageError where it is not what the call takes."""
    try:
        return takes.model_validate_json(raw or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise UsageError(f"{where}: {first['msg']}") from error


def _rows(items: Any) -> list[dict[str, Any]]:
    return [_row(item) for item in items]


def _row(item: Any) -> dict[str, Any]:
    return dataclasses.asdict(item)
