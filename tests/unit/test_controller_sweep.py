"""What a sweep believes: only what was so for long, of few, and only where the answers fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfleet.clients.swarm_manager import SwarmNode
from hubfleet.controller.events import Kind
from hubfleet.controller.observe import World
from hubfleet.controller.sweep import (
    CLIENT_S,
    EVERY_S,
    MOST,
    SETTLED_S,
    Found,
    Suspect,
    Sweeper,
    believed,
    suspects,
)
from hubfleet.errors import CommandError, HubfleetError
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Worker

NOW = 1_800_000_000.0
IDS = [f"i-{number:017x}" for number in range(1, 9)]
HUB = "i-0aaaaaaaaaaaaaaaa"


def world(alive: Sequence[str], members: Sequence[str], down: Sequence[str] = ()) -> World:
    nodes = [
        SwarmNode(f"m-{i}", i, "worker", "down" if i in down else "ready", "active", 4)
        for i in members
    ]
    return World(
        workers=[Worker(i, State.RUNNING, NOW) for i in alive],
        nodes=[SwarmNode("m-hub", HUB, "manager", "ready", "active", 0), *nodes],
        read={"fleet": NOW, "swarm": NOW, "hub": NOW},
    )


def test_remains_are_members_and_nodes_and_clients_without_a_machine() -> None:
    one, two, three, four = IDS[:4]
    found = suspects(world([one], [one, two]), [one, three, HUB], [four, one, HUB], ())
    assert found == [
        Suspect(two, Kind.GONE),
        Suspect(three, Kind.GONE),
        Suspect(four, Kind.GONE, CLIENT_S),
    ]
    assert suspects(world([one], [one, two]), [three], [four], [two, three, four]) == []


def test_names_that_are_no_instances_are_left_to_others() -> None:
    found = suspects(world(IDS[:1], ["laptop"]), ["build-box"], ["pivotal", "admin", "fleet"], ())
    assert found == []


def test_a_fleet_without_workers_makes_no_remains() -> None:
    assert suspects(world([], IDS), IDS, IDS, ()) == []


def test_a_lost_member_is_one_whose_machine_lives_and_that_has_not_joined_anew() -> None:
    one, two = IDS[:2]
    seen = world([one, two], [one, two], down=[one])
    assert suspects(seen, [], [], ()) == [Suspect(one, Kind.HEALTH)]
    again = SwarmNode("m-new", one, "worker", "ready", "active", 4)
    assert suspects(replace(seen, nodes=[*seen.nodes, again]), [], [], ()) == []


@pytest.mark.parametrize(("workers", "believable"), [(1, 2), (4, 2), (5, 2), (6, 3), (20, 10)])
def test_a_swarm_that_lost_most_of_its_workers_is_cut_off_itself(
    workers: int, believable: int
) -> None:
    lost = [Suspect(f"i-{n:017x}", Kind.HEALTH) for n in range(believable)]
    assert len(believed(lost, workers, NOW).events) == MOST
    more = [*lost, Suspect("i-00000000000000fff", Kind.HEALTH)]
    found = believed(more, workers, NOW)
    assert found.events == [] and len(found.held) == len(more)
    assert "its manager" in found.why
    gone = Suspect("i-00000000000000eee", Kind.GONE)
    assert [e.instance_id for e in believed([*more, gone], workers, NOW).events] == [
        gone.instance_id
    ]


SUSPECTS = st.lists(
    st.builds(Suspect, st.sampled_from(IDS), st.sampled_from([Kind.GONE, Kind.HEALTH])),
    unique_by=lambda each: each.instance_id,
)


@given(SUSPECTS, st.integers(0, 12))
def test_few_cases_are_opened_and_everybody_else_is_told_of(
    ripe: list[Suspect], workers: int
) -> None:
    found = believed(ripe, workers, NOW)
    opened = [event.instance_id for event in found.events]
    assert len(opened) <= MOST
    assert sorted([*opened, *found.held]) == sorted(each.instance_id for each in ripe)
    assert bool(found.why) == bool(found.held)


@given(st.sets(st.sampled_from(IDS)), st.sets(st.sampled_from(IDS)), st.sets(st.sampled_from(IDS)))
def test_no_living_worker_is_ever_a_remain(
    alive: set[str], members: set[str], nodes: set[str]
) -> None:
    found = suspects(world(sorted(alive), sorted(members)), nodes, nodes, ())
    gone = {each.instance_id for each in found if each.kind is Kind.GONE}
    assert not gone & alive
    assert gone == ((members | nodes) - alive if alive else set())


@dataclass
class Chef:
    """What a Chef server lists; away where `away` is set."""

    worker_nodes: list[str] = field(default_factory=list)
    other_nodes: list[str] = field(default_factory=list)
    client_names: list[str] = field(default_factory=list)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def search(
        self, index: str, query: str, keys: Mapping[str, Sequence[str]]
    ) -> Sequence[Mapping[str, object]]:
        self.asked.append(query)
        if self.away:
            raise CommandError("the Chef server does not answer")
        return [{"name": name} for name in self.worker_nodes]

    def nodes(self) -> list[str]:
        return self.worker_nodes + self.other_nodes

    def clients(self) -> list[str]:
        return self.client_names


def sweeps(sweeper: Sweeper, seen: World, begin: float, seconds: float) -> list[tuple[float, str]]:
    """Sweep every 10 s; return when each case was opened."""
    found = []
    for after in range(0, int(seconds) + 1, 10):
        seen.read = dict.fromkeys(("fleet", "swarm", "hub"), begin + after)
        events = sweeper.look(seen, (), begin + after).events
        found += [(float(after), event.instance_id) for event in events]
    return found


def silent(_: str, __: HubfleetError) -> None:
    return


def test_a_remain_is_believed_after_a_while_and_a_stray_client_after_an_hour() -> None:
    one, two, three = IDS[:3]
    chef = Chef([one, two], [HUB], [one, two, three, HUB])
    sweeper = Sweeper(chef, "production", silent)
    found = sweeps(sweeper, world([one], [one]), NOW, CLIENT_S)
    assert found[0] == (SETTLED_S, two)
    assert [at for at, name in found if name == three] == [CLIENT_S]
    assert {name for _, name in found} == {two, three}
    assert len(chef.asked) == CLIENT_S / EVERY_S + 1
    assert "policy_group:production" in chef.asked[0]


def test_what_was_well_in_between_is_counted_anew() -> None:
    one, two = IDS[:2]
    sweeper = Sweeper(Chef(), "local", silent)
    bad, good = world([one, two], [one, two], down=[one]), world([one, two], [one, two])
    assert sweeps(sweeper, bad, NOW, 60) == []
    assert sweeps(sweeper, good, NOW + 90, 0) == []
    assert sweeps(sweeper, bad, NOW + 120, 80) == []
    assert sweeps(sweeper, bad, NOW + 210, 0) == [(0.0, one)]


@pytest.mark.parametrize("source", ["fleet", "swarm"])
def test_old_news_of_fleet_or_swarm_open_nothing(source: str) -> None:
    chef = Chef()
    sweeper = Sweeper(chef, "local", silent)
    seen = world(IDS[:1], IDS[:2])
    for after in range(0, 300, 30):
        seen.read = {"fleet": NOW + after, "swarm": NOW + after} | {source: NOW - 1}
        assert sweeper.look(seen, (), NOW + after) == Found()
    assert not chef.asked


def test_a_chef_server_that_is_away_hides_no_member_and_is_told() -> None:
    told: list[str] = []
    chef = Chef([IDS[2]], away=True)
    sweeper = Sweeper(chef, "local", lambda what, _: told.append(what))
    found = sweeps(sweeper, world(IDS[:1], IDS[:2]), NOW, SETTLED_S)
    assert found == [(SETTLED_S, IDS[1])]
    assert told == ["chef"] * 4
