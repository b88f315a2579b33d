"""Signatures to the letter: a case for each rule, which is missed when its control is off."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hubfleet.clients import chef_wire
from hubfleet.clients.chef_process import running, start_embedded
from hubfleet.clients.chef_wire import ChefServerError
from tests.chef_api.raw import Answer, Raw
from tests.chef_api.target import PREFIX, Target, new_keys
from tests.chef_api.world import NAMES, World

REQUIRED = ("X-Ops-Sign", "X-Ops-UserId", "X-Ops-Timestamp", "X-Ops-Content-Hash",
            "X-Ops-Authorization-1")  # fmt: skip
BAG = f"{PREFIX}signed"
Rule = Callable[[Raw], None]


def get(raw: Raw, **changes: str | None) -> Answer:
    """Send a signed GET of the operator; `changes` are headers with _ for -, None removes one."""
    headers = raw.headers("operator", "GET", "clients")
    return raw.send("GET", "clients", changed(headers, changes))


def changed(headers: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    """Return headers with some replaced or removed."""
    merged = {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def dated(raw: Raw, seconds: float) -> Answer:
    """Send a GET that is signed for a time so many seconds from now."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return raw.send("GET", "clients", raw.headers("operator", "GET", "clients", at=at))


def without(name: str) -> Rule:
    """Return the rule that a header must be there, and not be empty."""

    def rule(raw: Raw) -> None:
        for value in (None, " "):
            answer = get(raw, **{name.replace("-", "_"): value})
            assert answer.status == 400
            assert name.lower() in answer.text.lower()

    return rule


def version(raw: Raw) -> None:
    """Nothing but 1.3 with SHA-256 is a signature, and the answer says how to make one."""
    for words in ("algorithm=sha1;version=1.0;", "algorithm=sha1;version=1.1;", "version=1.2",
                  "algorithm=sha1;version=1.3;", "version=1.4", "nonsense"):  # fmt: skip
        answer = get(raw, X_Ops_Sign=words)
        assert answer.status == 400
        assert "authentication_protocol_version" in answer.text


def clock(raw: Raw) -> None:
    """900 s either way; a clock that is wrong is called a clock."""
    assert [dated(raw, skew).status for skew in (-870, 870)] == [200, 200]
    for skew in (-930, 930, -86400 * 400):
        answer = dated(raw, skew)
        assert answer.status == 401
        assert "check the clock" in answer.text
        assert "client key" not in answer.text


def timestamp(raw: Raw) -> None:
    """A time is written in one way only."""
    for words in ("yesterday", "2026-13-45T00:00:00Z", "2026-01-01 00:00:00", "1767225600"):
        assert get(raw, X_Ops_Timestamp=words).status == 400


def key(raw: Raw) -> None:
    """Another key, a signature that is none, and no signature are refused alike."""
    words = {raw.send("GET", "clients", raw.headers("operator", "GET", "clients", key=name)).text
             for name in (NAMES["evil"], NAMES["second"])}  # fmt: skip
    first = get(raw, X_Ops_Authorization_1="A" * 60)
    assert first.status == 401
    assert get(raw, X_Ops_Authorization_1="!").status == 401
    assert words == {first.text}
    assert "client key" in first.text


def content_hash(raw: Raw) -> None:
    """The header is the sum of the body, also where the signature is good."""
    assert get(raw, X_Ops_Content_Hash="47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU").status == 401


def altered_method(raw: Raw) -> None:
    """What was signed as GET is not DELETE."""
    path = f"nodes/{PREFIX}none"
    headers = raw.headers("operator", "GET", path)
    assert raw.send("DELETE", path, {**headers, "X-Signed-Method": "GET"}).status == 401


def altered_path(raw: Raw) -> None:
    """What was signed for one path is not for another."""
    headers = raw.headers("operator", "GET", "nodes")
    answer = raw.send("GET", "clients", {**headers, "X-Signed-Path": raw.path("nodes")})
    assert answer.status == 401


def altered_body(raw: Raw) -> None:
    """What was signed with a body is not with another."""
    headers = raw.headers("operator", "POST", "search/node", '{"a":["name"]}')
    signed = {**headers, "X-Signed-Body": '{"a":["name"]}', "Content-Type": "application/json"}
    assert raw.send("POST", "search/node", signed, '{"b":["name"]}').status == 401


def altered_time(raw: Raw) -> None:
    """What was signed for one time is not for another."""
    now = datetime.now(UTC)
    headers = raw.headers("operator", "GET", "clients", at=now)
    other = (now - timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = {**headers, "X-Signed-Time": headers["X-Ops-Timestamp"], "X-Ops-Timestamp": other}
    assert raw.send("GET", "clients", signed).status == 401


def altered_client(raw: Raw) -> None:
    """What one client signed is not from another, though both have one key."""
    world = World(raw)
    names = [f"{PREFIX}twin-{letter}" for letter in "ab"]
    for name in names:
        world.operator("DELETE", f"clients/{name}")
        document = {"name": name, "public_key": world.public_key(NAMES["second"])}
        world.operator("POST", "clients", document, (201,))
    headers = raw.headers(names[0], "GET", "nodes", key=NAMES["second"])
    signed = {**headers, "X-Signed-Client": names[0], "X-Ops-UserId": names[1]}
    assert raw.send("GET", "nodes", headers).status == 200
    assert raw.send("GET", "nodes", signed).status == 401
    for name in names:
        world.operator("DELETE", f"clients/{name}")


def altered_api_version(raw: Raw) -> None:
    """The version of the API is signed too."""
    answer = get(raw, X_Ops_Server_API_Version="1", X_Signed_Version="2")
    assert answer.status == 401


def replay(raw: Raw) -> None:
    """A write counts once, also with another query, and nothing of it is done the second time."""
    world = World(raw)
    world.operator("POST", "data", {"name": BAG})
    body = json.dumps({"id": "one", "value": 1})
    path = f"data/{BAG}"
    headers = raw.headers("operator", "POST", path, body) | {"Content-Type": "application/json"}
    assert raw.send("POST", path, headers, body).status == 201
    world.operator("DELETE", f"{path}/one", None, (200,))
    for again in (path, f"{path}?x=1", f"{path}/"):
        answer = raw.send("POST", again, headers, body)
        assert answer.status == 409
        assert "sign it again" in answer.text
    assert raw.ask("operator", "GET", path).document == {}
    for verb, document in (("PUT", {"id": "one", "value": 2}), ("DELETE", None)):
        world.operator("POST", path, {"id": "one"})
        body = json.dumps(document) if document else ""
        headers = raw.headers("operator", verb, f"{path}/one", body)
        statuses = [raw.send(verb, f"{path}/one", headers, body).status for _ in range(2)]
        assert statuses == [200, 409]
    world.operator("DELETE", path)


def header_size(raw: Raw) -> None:
    """Neither many header fields nor large ones are read."""
    many = {f"X-Filler-{number}": "x" for number in range(120)}
    headers = raw.headers("operator", "GET", "clients")
    assert raw.send("GET", "clients", {**headers, **many}).status == 431
    assert raw.send("GET", "clients", {**headers, "X-Filler": "x" * 40_000}).status == 431


def names(raw: Raw) -> None:
    """A path that leaves its place, however it is written, is no path."""
    for path in ("nodes/..", "nodes/%2e%2e", "nodes/a%2Fb", "nodes/%00", "nodes/%C3%A9"):
        assert raw.ask("operator", "GET", path).status == 400, path


RULES: dict[str, tuple[str, Rule]] = {
    **{name: ("headers", without(name)) for name in REQUIRED},
    "version": ("check:check_version", version),
    "clock": ("check:check_clock", clock),
    "timestamp": ("headers", timestamp),
    "key": ("signature", key),
    "content hash": ("hash", content_hash),
    "method": ("text:method", altered_method),
    "path": ("text:path", altered_path),
    "body": ("text:body", altered_body),
    "time": ("text:time", altered_time),
    "client": ("text:client", altered_client),
    "API version": ("text:version", altered_api_version),
    "replay": ("replays", replay),
    "header size": ("size", header_size),
    "names": ("names", names),
}
"""Rule -> the control of tests/chef_api/loosened.rb that it is about, and the case."""


@pytest.fixture(scope="module")
def raw(target: Target) -> Iterator[Raw]:
    """Return the server of the run."""
    raw = Raw(target)
    prepare(raw)
    yield raw
    raw.close()


def prepare(raw: Raw) -> None:
    """Make the keys of clients that the server does not know."""
    for name in ("evil", "second"):
        World(raw).public_key(NAMES[name])


@pytest.mark.parametrize("name", RULES)
def test_rule(raw: Raw, name: str) -> None:
    RULES[name][1](raw)


@pytest.mark.parametrize("name", RULES)
def test_rule_is_missed_when_its_control_is_off(loosened: Target, name: str) -> None:
    control, rule = RULES[name]
    raw = Raw(loosened, control)
    prepare(raw)
    with pytest.raises(AssertionError):
        rule(raw)
    raw.close()


def test_a_replay_is_refused_after_a_restart_too(scratch: Path) -> None:
    keys = scratch / "keys"
    keys.mkdir(exist_ok=True)
    public = new_keys(keys)
    body = '{"name":"again"}'
    statuses = []
    headers: dict[str, str] = {}
    for _ in range(2):
        with running(start_embedded(scratch / "restarted", public)) as server:
            raw = Raw(Target(server.url, public["operator"], keys))
            headers = headers or raw.headers("operator", "POST", "roles", body)
            statuses.append(raw.send("POST", "roles", headers, body).status)
            World(raw).operator("DELETE", "roles/again")
            raw.close()
            server.kill()
    assert statuses == [201, 409]


def test_our_own_client_repeats_itself_within_a_second(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    chef = target.operator
    item = {"id": "same", "value": 1}
    try:
        for _ in range(4):
            chef.save_data_bag_item(BAG, item)
        monkeypatch.setattr(chef_wire, "REPEATED", "words that no server says")
        with pytest.raises(ChefServerError, match="sign it again"):
            for _ in range(4):
                chef.save_data_bag_item(BAG, item)
    finally:
        monkeypatch.undo()
        chef.wire.delete(f"/data/{BAG}")
