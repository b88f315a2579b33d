"""Messages of a fleet's queue: each kind is read, and nothing breaks what reads them."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfleet.controller import messages
from hubfleet.controller.events import Event, Kind
from hubfleet.controller.messages import EVENTS, NOTICES, Poison, Skip, parse
from hubfleet.fleet.scaling import Hook
from hubfleet.fleet.service import messages as local

ID = "i-0598c7d356eba48d7"
TIME = "2026-11-23T10:00:00Z"
AT = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()
TOKEN = "87654321-4321-4321-4321-210987654321"
GROUP = "hubfleet-production-workers"
HOOK = Hook(GROUP, "emptied", TOKEN, ID)

LIFECYCLE = {
    "LifecycleActionToken": TOKEN,
    "AutoScalingGroupName": GROUP,
    "LifecycleHookName": "emptied",
    "EC2InstanceId": ID,
    "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
}
REPLACED = {"EC2InstanceId": ID, "AutoScalingGroupName": GROUP, "StatusCode": "InProgress"}
DETAILS: dict[str, dict[str, Any]] = {
    "EC2 Instance-terminate Lifecycle Action": LIFECYCLE,
    "EC2 Spot Instance Interruption Warning": {"instance-id": ID, "instance-action": "terminate"},
    "EC2 Instance Rebalance Recommendation": {"instance-id": ID},
    "EC2 Instance State-change Notification": {"instance-id": ID, "state": "shutting-down"},
    "EC2 Instance Terminate Successful": REPLACED,
    "EC2 Instance Terminate Unsuccessful": REPLACED,
}
SOURCES = {kind: source for source, kind in EVENTS}


def event(kind: str, **changed: Any) -> dict[str, Any]:
    """Return an event of EventBridge."""
    return {
        "version": "0",
        "id": "468fe059-f4b7-445f-bb22-2a271b94974d",
        "detail-type": kind,
        "source": SOURCES[kind],
        "account": "123456789012",
        "time": TIME,
        "region": "eu-central-1",
        "resources": [],
        "detail": DETAILS.get(kind, LIFECYCLE),
        **changed,
    }


def wrapped(document: dict[str, Any]) -> str:
    """Return a message as SNS hands it on."""
    return json.dumps({"Type": "Notification", "Message": json.dumps(document)})


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        (
            "EC2 Instance-terminate Lifecycle Action",
            Event(Kind.TERMINATION, ID, AT, AT + 120, HOOK),
        ),
        ("EC2 Spot Instance Interruption Warning", Event(Kind.SPOT, ID, AT, AT + 120)),
        ("EC2 Instance Rebalance Recommendation", Event(Kind.REBALANCE, ID, AT)),
        ("EC2 Instance State-change Notification", Event(Kind.GONE, ID, AT)),
        ("EC2 Instance Terminate Successful", Event(Kind.HEALTH, ID, AT)),
        ("EC2 Instance Terminate Unsuccessful", Event(Kind.HEALTH, ID, AT)),
    ],
)
def test_events_are_read(kind: str, meant: Event) -> None:
    assert parse(json.dumps(event(kind))) == meant
    assert parse(wrapped(event(kind))) == meant
    assert parse(json.dumps(event(kind)), AT + 1) == meant


def test_plain_notices_are_read() -> None:
    plain = {"Service": "AWS Auto Scaling", "Time": "2026-11-23T11:00:00.000+01:00"}
    hook = json.dumps(plain | LIFECYCLE)
    assert parse(hook) == Event(Kind.TERMINATION, ID, AT, AT + 120, HOOK)
    ended = plain | REPLACED | {"Event": "autoscaling:EC2_INSTANCE_TERMINATE"}
    assert parse(wrapped(ended)) == Event(Kind.HEALTH, ID, AT)
    test = plain | {"Event": "autoscaling:TEST_NOTIFICATION", "AutoScalingGroupName": GROUP}
    assert parse(json.dumps(test)) == Skip("a test notification")


@pytest.mark.parametrize("state", ["shutting-down", "terminated", "stopping", "stopped"])
def test_states_of_an_end_are_an_end(state: str) -> None:
    detail = {"instance-id": ID, "state": state}
    found = parse(json.dumps(event("EC2 Instance State-change Notification", detail=detail)))
    assert found == Event(Kind.GONE, ID, AT)


@pytest.mark.parametrize(
    "document",
    [
        event("EC2 Instance State-change Notification", detail={"instance-id": ID, "state": "r"}),
        event(
            "EC2 Instance-launch Lifecycle Action",
            detail=LIFECYCLE | {"LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"},
        ),
        event("EC2 Instance State-change Notification", source="my.app"),
        event("EC2 Instance Rebalance Recommendation") | {"detail-type": "EC2 Fleet Error"},
        {"Event": "autoscaling:EC2_INSTANCE_LAUNCH", "Time": TIME, "EC2InstanceId": ID},
    ],
)
def test_what_asks_for_nothing_is_skipped_with_a_reason(document: dict[str, Any]) -> None:
    found = parse(json.dumps(document))
    assert isinstance(found, Skip) and found.reason


SPOT = "EC2 Spot Instance Interruption Warning"
STATE = "EC2 Instance State-change Notification"
TERMINATE = "EC2 Instance-terminate Lifecycle Action"

POISON = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "deep": "[" * 100_000,
    "a long number": "9" * 10_000,
    "nothing known": "{}",
    "oversized": json.dumps(event(SPOT, padding="x" * messages.MOST_BYTES)),
    "oversized in bytes": json.dumps({"x": "ä" * 140_000}, ensure_ascii=False),
    "wrapped text": json.dumps({"Type": "Notification", "Message": "hello"}),
    "wrapped nothing": json.dumps({"Type": "Notification"}),
    "wrapped number": json.dumps({"Type": "Notification", "Message": 7}),
    "no detail": json.dumps(event(SPOT, detail=None)),
    "detail is a list": json.dumps(event(SPOT, detail=[ID])),
    "detail is text": json.dumps(event(SPOT, detail="x")),
    "type is a list": json.dumps(event(SPOT) | {"detail-type": [SPOT]}),
    "source is missing": json.dumps(event(SPOT) | {"source": None}),
    "no id": json.dumps(event(SPOT, detail={})),
    "id is a number": json.dumps(event(SPOT, detail={"instance-id": 5})),
    "id is a list": json.dumps(event(SPOT, detail={"instance-id": [ID]})),
    "id with a line end": json.dumps(event(SPOT, detail={"instance-id": f"{ID}\n"})),
    "id with a path": json.dumps(event(SPOT, detail={"instance-id": "i-../../nodes"})),
    "id of another kind": json.dumps(event(SPOT, detail={"instance-id": "vol-0598c7d356"})),
    "id in capitals": json.dumps(event(SPOT, detail={"instance-id": ID.upper()})),
    "no state": json.dumps(event(STATE, detail={"instance-id": ID})),
    "no token": json.dumps(event(TERMINATE, detail=LIFECYCLE | {"LifecycleActionToken": ""})),
    "no group": json.dumps(event(TERMINATE, detail=LIFECYCLE | {"AutoScalingGroupName": None})),
    "no transition": json.dumps(event(TERMINATE, detail={"EC2InstanceId": ID})),
    "no time": json.dumps(event(SPOT, time=None)),
    "time is a number": json.dumps(event(SPOT, time=20261123)),
    "time is a word": json.dumps(event(SPOT, time="now")),
    "time without a zone": json.dumps(event(SPOT, time="2026-11-23T10:00:00")),
}


@pytest.mark.parametrize("body", POISON.values(), ids=POISON)
def test_what_cannot_be_read_is_poison_with_a_reason(body: str) -> None:
    with pytest.raises(Poison) as caught:
        parse(body, AT)
    message = caught.value.message
    assert message and "\n" not in message and len(message) < 120


def test_a_message_from_the_future_would_never_come_due() -> None:
    body = json.dumps(event(SPOT))
    assert isinstance(parse(body, AT - 299), Event)
    with pytest.raises(Poison, match="ahead of the clock"):
        parse(body, AT - 301)


def test_a_notice_of_long_ago_ends_nobody() -> None:
    body = json.dumps(event(SPOT))
    assert isinstance(parse(body, AT + 120 + 899), Event)
    late = parse(body, AT + 120 + 901)
    assert isinstance(late, Skip) and "ran out" in late.reason
    # What is gone is gone, however late the message is; until the queue itself would have lost it.
    gone = json.dumps(event(STATE))
    assert isinstance(parse(gone, AT + 86_400), Event)
    assert isinstance(parse(gone, AT + 15 * 86_400), Skip)


def test_the_local_fleet_speaks_the_same() -> None:
    assert parse(local.lifecycle(HOOK, AT)) == Event(Kind.TERMINATION, ID, AT, AT + 120, HOOK)
    assert parse(local.terminated(ID, AT)) == Event(Kind.GONE, ID, AT)
    assert parse(local.spot_warning(ID, AT)) == Event(Kind.SPOT, ID, AT, AT + 120)
    assert parse(local.rebalance(ID, AT)) == Event(Kind.REBALANCE, ID, AT)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def check(body: str, now: float | None) -> None:
    """Parse, and look at what came out."""
    try:
        found = parse(body, now)
    except Poison:
        return
    if isinstance(found, Skip):
        assert found.reason
    else:
        assert messages.INSTANCE_ID.fullmatch(found.instance_id)
        assert math.isfinite(found.at)
        assert found.deadline is None or math.isfinite(found.deadline)


NOW = st.none() | st.floats(0, 4e9)


@given(st.text(), NOW)
def test_no_text_breaks_the_reader(body: str, now: float | None) -> None:
    check(body, now)


@given(JSON, NOW)
def test_no_json_breaks_the_reader(document: object, now: float | None) -> None:
    check(json.dumps(document), now)


KEYS = st.sampled_from(
    ["detail", "detail-type", "source", "time", "Type", "Message", "Event", "Time", *LIFECYCLE]
)


@given(
    st.sampled_from(sorted(DETAILS)),
    st.dictionaries(KEYS, JSON, max_size=3),
    st.dictionaries(st.sampled_from([*LIFECYCLE, "instance-id", "state"]), JSON, max_size=2),
    NOW,
    st.booleans(),
)
def test_no_change_of_a_real_message_breaks_the_reader(
    kind: str, top: dict[str, Any], detail: dict[str, Any], now: float | None, sns: bool
) -> None:
    document = event(kind, detail=DETAILS[kind] | detail) | top
    check(wrapped(document) if sns else json.dumps(document), now)


@given(st.datetimes(), st.sampled_from(["Z", "+00:00", "-23:59", "+14:00", ""]))
def test_no_time_breaks_the_reader(moment: datetime, zone: str) -> None:
    check(json.dumps(event(SPOT, time=f"{moment.isoformat()}{zone}")), AT)


def test_every_parser_shows_a_message() -> None:
    for parser in {*EVENTS.values(), *NOTICES.values()}:
        assert '{"' in (parser.__doc__ or ""), parser.__name__
