"""Listings that agree give no finding; each that lacks something gives the finding of its kind."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfleet.clients.hub_service import Server
from hubfleet.clients.swarm_manager import SwarmNode, SwarmService, SwarmTask
from hubfleet.controller.reconcile import Kind, Limits, Listings, compare, lasting, user_of
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Worker

NOW = 1_803_859_200.0
OLD = NOW - 10_000
LIMITS = Limits(boot_s=300)

USERS = ("ann", "bob", "jürgen")
HOSTS = ("i-1", "i-2", "i-3")


def member(host: str, state: str = "ready", number: int = 1, role: str = "worker") -> SwarmNode:
    return SwarmNode(f"node-{host}-{number}", host, role, state, "active", 4)


def task(user: str, host: str, number: int = 1, state: str = "running") -> SwarmTask:
    service = f"service-{user}"
    return SwarmTask(
        f"task-{user}-{number}", service, user, f"node-{host}-1", state, "running", "", OLD
    )


def service(user: str, created_at: float = OLD, number: str = "") -> SwarmService:
    return SwarmService(f"service-{user}{number}", f"student-{user}", user, created_at)


def server(user: str, **more: Any) -> Server:
    values = {"ready": True, "pending": "", "started_at": OLD, "last_activity": OLD}
    return Server(user, state={"object_id": f"service-{user}"}, **{**values, **more})


def worker(host: str, **more: Any) -> Worker:
    return Worker(host, **{"state": State.RUNNING, "launched_at": OLD, **more})


SERVERS = tuple(server(user) for user in USERS)
ROUTES = {"/": "hub", "/user/ann/": "x", "/user/bob/": "y", "/user/j%C3%BCrgen/": "z"}
SERVICES = tuple(service(user) for user in USERS)
TASKS = tuple(task(user, host) for user, host in zip(USERS, HOSTS, strict=True))
MEMBERS = (*map(member, HOSTS), member("hub", role="manager"))
WORKERS = tuple(map(worker, HOSTS))
AGREE = Listings(NOW, SERVERS, ROUTES, SERVICES, TASKS, MEMBERS, WORKERS, HOSTS, HOSTS)

FIELDS = (
    *("servers", "routes", "services", "tasks", "members", "workers"),
    *("chef_nodes", "chef_clients"),
)


def kinds(found: Listings) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.subject) for finding in compare(found, LIMITS)]


def without(field: str, name: str) -> Listings:
    """Return the listings, one of them without what is of `name`."""
    listing = getattr(AGREE, field)
    if field == "routes":
        left: Any = {path: to for path, to in listing.items() if user_of(path) != name}
    else:
        left = tuple(each for each in listing if name not in owners(each))
    assert len(left) == len(listing) - 1
    return replace(AGREE, **{field: left})


def owners(each: Any) -> set[str]:
    if isinstance(each, str):
        return {each}
    return {getattr(each, key, "") for key in ("user", "hostname")} | (
        {each.id} if isinstance(each, Worker) else set()
    )


def test_listings_that_agree_give_nothing() -> None:
    assert compare(AGREE, LIMITS) == []
    assert compare(Listings(NOW), LIMITS) == []


REMOVALS = [
    *((("servers", u), [Kind.ORPHAN_SERVICE]) for u in USERS),
    *((("services", u), [Kind.GHOST_SERVER]) for u in USERS),
    *((("routes", u), [Kind.MISSING_ROUTE]) for u in USERS),
    *((("members", h), [Kind.LOST_WORKER]) for h in HOSTS),
    *((("workers", h), [Kind.STRAY_MEMBER, Kind.STRAY_CHEF_NODE]) for h in HOSTS),
    *((("chef_nodes", h), [Kind.MISSING_CHEF_NODE]) for h in HOSTS),
    *((("chef_clients", h), [Kind.MISSING_CHEF_CLIENT]) for h in HOSTS),
]


@pytest.mark.parametrize(("removal", "expected"), REMOVALS)
def test_each_removal_gives_the_finding_of_its_kind(
    removal: tuple[str, str], expected: list[Kind]
) -> None:
    field, name = removal
    assert kinds(without(field, name)) == [(kind, name) for kind in expected]


ADDITIONS = [
    ({"routes": ROUTES | {"/user/eve/": "x"}}, Kind.STRAY_ROUTE, "eve"),
    ({"members": (*MEMBERS, member("i-9", "down"))}, Kind.STRAY_MEMBER, "i-9"),
    ({"members": (*MEMBERS, member("i-1", "down", 2))}, Kind.MEMBER_TWICE, "i-1"),
    ({"chef_nodes": (*HOSTS, "i-9")}, Kind.STRAY_CHEF_NODE, "i-9"),
    ({"chef_clients": (*HOSTS, "i-9")}, Kind.STRAY_CHEF_CLIENT, "i-9"),
    ({"tasks": (*TASKS, task("ann", "i-2", 2))}, Kind.SERVER_TWICE, "ann"),
    ({"services": (*SERVICES, service("eve"))}, Kind.ORPHAN_SERVICE, "eve"),
]


@pytest.mark.parametrize(("change", "kind", "subject"), ADDITIONS)
def test_what_is_too_much_gives_the_finding_of_its_kind(
    change: dict[str, Any], kind: Kind, subject: str
) -> None:
    assert kinds(replace(AGREE, **change)) == [(kind, subject)]


def test_a_route_of_an_orphan_is_healed_with_it() -> None:
    found = compare(without("servers", "ann"), LIMITS)
    assert [(f.kind, f.heal, f.safe) for f in found] == [
        (Kind.ORPHAN_SERVICE, "./invoke hub.stop ann", True)
    ]


def test_a_service_of_another_start_is_neither_the_server_nor_safe_to_remove() -> None:
    other = replace(AGREE, services=(*SERVICES[:2], service("jürgen", number="-before")))
    found = compare(other, LIMITS)
    assert [(f.kind, f.safe) for f in found] == [
        (Kind.ORPHAN_SERVICE, False),
        (Kind.GHOST_SERVER, False),
    ]


def test_a_hub_that_knows_nobody_makes_nothing_safe() -> None:
    found = compare(replace(AGREE, servers=()), LIMITS)
    assert [(f.kind, f.safe) for f in found] == [(Kind.ORPHAN_SERVICE, False)] * 3


def test_a_fleet_that_shows_nothing_makes_nothing_of_living_workers_safe() -> None:
    found = compare(replace(AGREE, workers=()), LIMITS)
    assert Counter(f.kind for f in found) == {Kind.STRAY_MEMBER: 3, Kind.STRAY_CHEF_NODE: 3}
    assert not [f for f in found if f.safe]
    gone = tuple(member(host, "down") for host in HOSTS)
    found = compare(replace(AGREE, workers=(), members=gone), LIMITS)
    assert [f.safe for f in found] == [True] * 6


def test_a_chef_server_that_knows_no_machine_is_restored_not_drained() -> None:
    found = compare(replace(AGREE, chef_nodes=(), chef_clients=()), LIMITS)
    assert {(f.kind, f.heal) for f in found} == {(Kind.MISSING_CHEF_CLIENT, "./invoke deploy")}
    found = compare(without("chef_clients", "i-2"), LIMITS)
    assert [f.heal for f in found] == ["./invoke fleet.drain i-2"]


@pytest.mark.parametrize(
    "change",
    [
        {"servers": (server("ann", ready=False, pending="spawn"),), "services": (), "routes": {}},
        {"servers": (server("ann", pending="stop"),), "services": (), "routes": {}},
        {"servers": (server("ann", started_at=NOW - 5),), "services": (), "routes": {}},
        {"servers": (), "services": (service("eve", NOW - 5),), "routes": {}},
        {"servers": (server("ann", ready=False, pending="spawn"),), "services": ()},
    ],
)
def test_servers_on_their_way_are_no_findings(change: dict[str, Any]) -> None:
    change.setdefault("routes", {"/": "hub", "/user/ann/": "x"})
    assert kinds(replace(AGREE, tasks=(), **change)) == []


@pytest.mark.parametrize("more", [{"launched_at": NOW - 299}, {"leaving": True}])
def test_workers_on_their_way_are_no_findings(more: dict[str, Any]) -> None:
    moving = replace(AGREE, workers=(*WORKERS, worker("i-9", **more)))
    assert kinds(moving) == []
    assert kinds(replace(moving, workers=(*WORKERS, worker("i-9")))) == [
        (Kind.LOST_WORKER, "i-9"),
        (Kind.MISSING_CHEF_CLIENT, "i-9"),
    ]


def test_a_worker_that_is_down_is_lost_and_what_it_had_runs_once() -> None:
    down = replace(
        AGREE,
        members=(member("i-1", "down"), *MEMBERS[1:]),
        tasks=(task("ann", "i-1"), task("ann", "i-2", 2)),
    )
    assert kinds(down) == [(Kind.LOST_WORKER, "i-1")]


def test_a_stopped_machine_is_started_by_deploy() -> None:
    stopped = replace(
        AGREE,
        workers=(worker("i-1", state=State.STOPPED), *WORKERS[1:]),
        members=(member("i-1", "down"), *MEMBERS[1:]),
    )
    assert [f.heal for f in compare(stopped, LIMITS)] == ["./invoke deploy"]


def test_commands_name_the_deployment_and_quote_what_a_shell_would_read() -> None:
    odd = replace(AGREE, chef_nodes=(*HOSTS, "i 9"))
    (finding,) = compare(odd, LIMITS, "--name lab")
    assert finding.heal == "./invoke fleet.forget --name lab 'i 9'"


def test_only_what_was_seen_twice_lasts() -> None:
    first, second = without("routes", "ann"), without("routes", "bob")
    assert lasting(compare(first, LIMITS), compare(second, LIMITS)) == []
    found = compare(first, LIMITS)
    assert lasting(found, found) == found


@dataclass(frozen=True)
class Mess:
    """Listings with holes and strangers, and the same in another order."""

    listings: Listings
    shuffled: Listings


@st.composite
def messes(draw: st.DrawFn) -> Mess:
    pool: dict[str, list[Any]] = {
        "servers": [*SERVERS, server("eve"), server("eve", pending="spawn")],
        "services": [*SERVICES, service("eve"), service("ann", NOW - 1, "-2")],
        "tasks": [*TASKS, task("ann", "i-2", 2), task("bob", "i-3", 2, "shutdown")],
        "members": [*MEMBERS, member("i-1", "down", 2), member("i-9", "down")],
        "workers": [*WORKERS, worker("i-9", leaving=True), worker("i-8")],
        "chef_nodes": [*HOSTS, "i-9"],
        "chef_clients": [*HOSTS, "i-7"],
        "routes": [*ROUTES.items(), ("/user/eve/", "x")],
    }
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for field, values in pool.items():
        chosen = draw(st.lists(st.sampled_from(values), unique_by=key, max_size=len(values)))
        if draw(st.booleans()) and draw(st.booleans()):
            continue
        again = draw(st.permutations(chosen))
        one[field], other[field] = (
            (dict(chosen), dict(again)) if field == "routes" else (tuple(chosen), tuple(again))
        )
    return Mess(Listings(NOW, **one), Listings(NOW, **other))


def key(each: Any) -> Any:
    """Return what is there once: a user has one server, everything else has an id."""
    return each.user if isinstance(each, Server) else getattr(each, "id", each)


@given(messes())
def test_the_order_of_the_listings_does_not_matter(mess: Mess) -> None:
    assert compare(mess.listings, LIMITS) == compare(mess.shuffled, LIMITS)


@given(messes(), st.sampled_from(FIELDS))
def test_a_source_that_did_not_answer_adds_no_finding(mess: Mess, field: str) -> None:
    every = set(kinds(mess.listings))
    nothing: dict[str, Any] = {field: None}
    blind = replace(mess.listings, **nothing)
    # A stray route whose service is not known any more is told by itself.
    assert set(kinds(blind)) - every <= {
        (Kind.STRAY_ROUTE, user) for user in (*USERS, "eve") if field == "services"
    }


@given(messes())
def test_what_is_safe_ends_no_server_and_no_machine_that_lives(mess: Mess) -> None:
    found = mess.listings
    alive = {each.id for each in found.workers or ()}
    served = {each.user for each in found.servers or ()}
    for finding in compare(found, LIMITS):
        if finding.safe and "fleet.forget" in finding.heal:
            assert finding.subject not in alive or finding.kind is Kind.MEMBER_TWICE
        if finding.safe and finding.kind is Kind.ORPHAN_SERVICE:
            assert finding.subject not in served
