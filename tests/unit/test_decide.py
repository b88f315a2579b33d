"""The decision, case by case: each rule with the numbers that it turns on."""

from dataclasses import replace
from typing import Any

import pytest

from hubfleet.controller.decide import decide
from hubfleet.controller.headroom import ready_time
from hubfleet.controller.model import (
    Decision,
    Freshness,
    Group,
    Launch,
    LaunchFailure,
    Memory,
    Node,
    NodeState,
    Observation,
    Pause,
    Prestart,
    Protect,
    Release,
    Resume,
    Rules,
    Terminate,
    Window,
    rules_of,
)
from hubfleet.settings import load

NOW = 1_803_859_200.0 + 12 * 3600
RULES = replace(rules_of(load("production")), minimum=1, maximum=20)
ACTIVE, PAUSED, BOOTING = NodeState.ACTIVE, NodeState.PAUSED, NodeState.BOOTING


def node(name: str, state: NodeState = ACTIVE, used: int = 0, **more: Any) -> Node:
    return Node(name, state, 12, used, more.pop("launched_at", NOW - 5000), **more)


def seen(*nodes: Node, at: float = NOW, **more: Any) -> Observation:
    more.setdefault("read", Freshness(at, at, at))
    arrivals = more.pop("arrivals", (at - 1000,))
    return Observation(at, nodes, more.pop("queued", 0), arrivals, **more)


def run(observation: Observation, memory: Memory | None = None, rules: Rules = RULES) -> Decision:
    return decide(observation, memory or Memory(), rules, NOW)


def kinds(decision: Decision) -> list[tuple[type, object]]:
    return [
        (type(a), a.count if isinstance(a, Launch) else getattr(a, "node", None))
        for a in decision.actions
    ]


def limits(**scaling: Any) -> Rules:
    return replace(RULES, scaling=RULES.scaling.model_copy(update=scaling))


def test_headroom_is_kept_and_what_boots_counts() -> None:
    assert kinds(run(seen(node("a", used=6)))) == []
    assert kinds(run(seen(node("a", used=7)))) == [(Launch, 1)]
    booting = node("b", BOOTING, launched_at=NOW - 10)
    assert kinds(run(seen(node("a", used=7), booting))) == []


def test_students_who_wait_order_workers_at_once() -> None:
    decision = run(seen(node("a", used=12), queued=30))
    assert kinds(decision) == [(Launch, 3)]
    assert "36 free seats are wanted (30 waiting" in decision.actions[0].reason


def test_never_more_than_the_maximum_and_it_says_so() -> None:
    rules = replace(RULES, maximum=3)
    decision = run(seen(node("a", used=12), queued=90), rules=rules)
    assert kinds(decision) == [(Launch, 2)]
    assert decision.notes == ("8 workers wanted, 2 below the maximum",)


def test_an_announced_class_is_ready_before_its_first_students() -> None:
    # 120 seats and a tenth; 90 s to be ready and 30 s of margin before the ramp of ten minutes.
    def ordered(before: float) -> int:
        window = Window("chem", NOW + before, NOW + before + 5400, 120)
        decision = run(seen(node("a"), windows=(window,)))
        return sum(a.count for a in decision.actions if isinstance(a, Launch))

    assert ordered(before=721) == 0
    assert ordered(before=480) == 11
    assert ordered(before=-899) == 11
    assert ordered(before=-901) == 0


def test_who_came_is_not_awaited_again_and_is_no_reason_to_expect_more() -> None:
    window = Window("chem", NOW - 120, NOW + 5400, 120)
    came = tuple(NOW - 300 + n for n in range(120))
    figures = run(seen(node("a", used=6), windows=(window,), arrivals=came)).figures
    assert (figures.announced, figures.rate, figures.headroom) == (12, 0.0, 18)
    unannounced = run(seen(node("a", used=6), arrivals=came)).figures
    assert unannounced.rate == 0.2
    assert unannounced.headroom > 18


def test_classes_at_the_same_time_add_up() -> None:
    windows = (Window("chem", NOW, NOW + 5400, 100), Window("bio", NOW, NOW + 5400, 50))
    assert run(seen(node("a"), windows=windows)).figures.announced == 165


def test_time_to_ready_is_the_prior_until_enough_was_measured() -> None:
    assert ready_time([], 90) == 90
    assert ready_time([40, 40, 40, 40], 90) == 90
    assert ready_time([40, 200], 90) == 200
    assert ready_time([40] * 19 + [300], 90) == 40
    assert ready_time([300] * 50 + [40] * 50, 90) == 40


def test_surplus_is_paused_after_the_hold_the_emptiest_and_newest_first() -> None:
    nodes = (node("old", used=2), node("full", used=9), node("new", used=2, launched_at=NOW - 900))
    first = run(seen(*nodes))
    assert kinds(first) == []
    assert first.memory.surplus_since == NOW
    held = replace(first.memory, surplus_since=NOW - 300)
    decision = run(seen(*nodes), held)
    assert kinds(decision) == [(Pause, "new")]
    assert decision.placement == ("full", "old") or decision.placement == ("old", "full")


def test_nothing_is_paused_before_a_class() -> None:
    window = Window("chem", NOW + 700, NOW + 5400, 30)
    memory = Memory(surplus_since=NOW - 4000)
    assert kinds(run(seen(node("a"), node("b"), node("c"), windows=(window,)), memory)) == []


def test_a_paused_worker_ends_only_when_seen_empty_after_it_was_seen_paused() -> None:
    nodes = (node("a", used=2), node("b", PAUSED))
    first = run(seen(*nodes))
    assert kinds(first) == []
    later = decide(seen(*nodes, at=NOW + 5), first.memory, RULES, NOW + 5)
    assert kinds(later) == [(Terminate, "b")]


def test_a_paused_worker_with_servers_stays() -> None:
    memory = Memory(paused_since={"b": NOW - 9000})
    assert kinds(run(seen(node("a", used=2), node("b", PAUSED, used=1)), memory)) == []


def test_what_was_promised_to_a_paused_worker_brings_it_back() -> None:
    paused = node("b", PAUSED, used=1, promised=1)
    assert kinds(run(seen(node("a", used=2), paused), Memory(paused_since={"b": 0}))) == [
        (Resume, "b")
    ]


def test_paused_workers_come_back_before_new_ones_are_ordered() -> None:
    decision = run(seen(node("a", used=12), node("b", PAUSED, used=3), queued=5))
    assert kinds(decision) == [(Resume, "b"), (Launch, 1)]


@pytest.mark.parametrize("source", ["hub", "swarm", "fleet"])
def test_no_data_no_scale_in(source: str) -> None:
    read = replace(Freshness(NOW, NOW, NOW), **{source: NOW - 61})
    memory = Memory(surplus_since=NOW - 4000, paused_since={"p": NOW - 4000})
    late = node("late", BOOTING, launched_at=NOW - 4000)
    nodes = (node("a"), node("b"), node("c"), node("p", PAUSED), late)
    assert kinds(run(seen(*nodes), memory)) != []
    stale = run(seen(*nodes, read=read), memory)
    assert not [a for a in stale.actions if isinstance(a, Pause | Terminate)]
    assert f"no news from the {source}" in " ".join(stale.notes)


def test_without_news_from_the_fleet_nothing_is_ordered() -> None:
    decision = run(seen(node("a"), queued=50, read=Freshness(NOW, NOW, NOW - 61)))
    assert kinds(decision) == []


def test_nothing_is_ordered_twice_from_one_look_at_the_fleet() -> None:
    observation = seen(node("a"), queued=50)
    first = run(observation)
    assert kinds(first) == [(Launch, 4)]
    again = decide(observation, first.memory, RULES, NOW + 20)
    assert kinds(again) == []
    assert "not seen since the last" in again.notes[0]
    looked = decide(seen(node("a"), queued=50, at=NOW + 20), first.memory, RULES, NOW + 20)
    assert kinds(looked) == [(Launch, 4)]


def test_a_worker_that_does_not_come_up_is_replaced_and_its_pool_rests() -> None:
    late = node("late", BOOTING, launched_at=NOW - 301)
    decision = run(seen(node("a", used=8), late))
    assert kinds(decision) == [(Terminate, "late")]
    assert "every pool has failed" in decision.notes[0]
    after = decide(seen(node("a", used=8), at=NOW + 31), decision.memory, RULES, NOW + 31)
    assert kinds(after) == [(Launch, 1)]


def test_a_pool_without_capacity_gives_way_to_the_next_and_is_tried_again() -> None:
    pools = RULES.scaling.pools.model_copy(update={"order": ("spot", "on-demand")})
    rules = limits(pools=pools)

    def pool_at(after: float, *failed: float) -> str:
        failures = tuple(LaunchFailure("spot", moment) for moment in failed)
        memory = Memory()
        for moment in failed:
            known = tuple(f for f in failures if f.at <= moment)
            memory = decide(seen(node("a"), failures=known), memory, rules, moment).memory
        decision = decide(
            seen(node("a"), queued=20, at=after, failures=failures), memory, rules, after
        )
        return next(a.pool for a in decision.actions if isinstance(a, Launch))

    assert pool_at(NOW) == "spot"
    assert pool_at(NOW + 29, NOW) == "on-demand"
    assert pool_at(NOW + 30, NOW) == "spot"
    assert pool_at(NOW + 89, NOW, NOW + 30) == "on-demand"
    assert pool_at(NOW + 90, NOW, NOW + 30) == "spot"


def test_a_spent_budget_orders_nothing_and_ends_nobody() -> None:
    rules = limits(budget_node_hours=24)
    used = Memory(seen_at=NOW - 5, day=int(NOW // 86400), node_seconds=24 * 3600)
    decision = run(seen(node("a", used=12), queued=5), used, rules)
    assert kinds(decision) == []
    assert "budget" in decision.notes[0]
    tomorrow = NOW + 86400
    fresh = decide(seen(node("a", used=12), queued=5, at=tomorrow), used, rules, tomorrow)
    assert kinds(fresh) == [(Launch, 1)]


def test_the_fleet_falls_to_its_minimum_when_nobody_is_about() -> None:
    memory = Memory(surplus_since=NOW - 4000)
    nodes = (node("a"), node("b"))
    assert kinds(run(seen(*nodes, arrivals=(NOW - 3601,)), memory)) == [(Pause, "a")]
    none = replace(RULES, minimum=0)
    assert kinds(run(seen(*nodes, arrivals=()), memory, none)) == [(Pause, "a"), (Pause, "b")]


def test_a_paused_worker_with_servers_counts_for_the_minimum() -> None:
    rules = replace(RULES, minimum=2)
    memory = Memory(surplus_since=NOW - 4000, paused_since={"c": NOW - 9000})
    nodes = (node("a", used=1), node("b"))
    busy = run(seen(*nodes, node("c", PAUSED, used=1)), memory, rules)
    assert kinds(busy) == [(Pause, "b")]
    # It has emptied: it comes back before another one is ordered.
    assert kinds(run(seen(node("a", used=1), node("c", PAUSED)), memory, rules)) == [(Resume, "c")]


def test_a_worker_at_risk_is_left_and_replaced() -> None:
    decision = run(seen(node("a", used=4, at_risk=True)))
    assert kinds(decision) == [(Launch, 1), (Pause, "a")]
    assert decision.placement == ()


def test_students_of_a_worker_under_notice_get_seats_elsewhere_beforehand() -> None:
    leaving = node("b", NodeState.RECLAIMING, used=10)
    assert kinds(run(seen(node("a", used=6), leaving))) == [(Launch, 1)]


def test_workers_are_protected_from_the_fleets_own_choices() -> None:
    assert kinds(run(seen(node("a", used=1, protected=False)))) == [(Protect, "a")]


def test_seats_of_a_prestart_group_count_once() -> None:
    window = Window("chem", NOW + 300, NOW + 5400, 20, "chem")
    running = node("a", used=10)
    fresh = seen(running, windows=(window,), groups=(Group("chem", 20, 20),))
    assert run(fresh).figures.announced == 22
    half = seen(running, windows=(window,), groups=(Group("chem", 20, 10),))
    assert run(half).figures.announced == 12


def test_servers_are_started_ahead_at_a_pace_and_only_into_free_seats() -> None:
    window = Window("chem", NOW + 600, NOW + 5400, 100, "chem")
    memory = Memory(seen_at=NOW - 30)

    def started(*nodes: Node, **more: Any) -> list[int]:
        group = Group("chem", 100, 100)
        decision = run(seen(*nodes, windows=(window,), groups=(group,), **more), memory)
        return [a.count for a in decision.actions if isinstance(a, Prestart)]

    # 30 a minute, in steps of ten seconds at most.
    assert started(node("a"), node("b")) == [5]
    assert started(node("a", used=10)) == [2]
    assert started(node("a", used=10), queued=2) == []


def test_servers_that_nobody_opened_are_stopped_when_the_class_is_under_way() -> None:
    window = Window("chem", NOW - 1800, NOW + 5400, 10, "chem")
    groups = (Group("chem", 10, 0, 4),)

    def released(rules: Rules = RULES, *more: Window, **stale: Any) -> list[object]:
        found = run(seen(node("a", used=9), windows=(window, *more), groups=groups, **stale))
        return [a for a in found.actions if isinstance(a, Release)]

    assert [a.count for a in released() if isinstance(a, Release)] == [4]
    assert released(RULES, Window("next", NOW + 60, NOW + 5400, 10, "chem")) == []
    assert released(read=Freshness(NOW - 61, NOW, NOW)) == []
