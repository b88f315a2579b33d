"""Whatever happens in whatever order: limits hold, no server ends, need is met, no thrash.

A machine plays hub, Swarm and fleet, and a spawner that promises seats by the published placement
at any moment, also between an observation and the acts that follow from it.
"""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hubfleet.controller.decide import decide
from hubfleet.controller.model import (
    Freshness,
    Launch,
    LaunchFailure,
    Memory,
    Node,
    NodeState,
    Observation,
    Pause,
    Protect,
    Resume,
    Rules,
    Terminate,
    Window,
    rules_of,
)
from hubfleet.settings import load

SEATS = 3
RULES = rules_of(load("production"))
BOOT_S = 90.0


@dataclass
class Machine:
    """A worker as fleet and Swarm have it."""

    id: str
    launched_at: float
    pool: str
    state: NodeState = NodeState.BOOTING
    servers: set[str] = field(default_factory=set)
    promised: set[str] = field(default_factory=set)
    broken: bool = False
    """It will never join."""
    protected: bool = True


def rules(minimum: int, maximum: int, budget: int) -> Rules:
    scaling = RULES.scaling
    pools = scaling.pools.model_copy(update={"order": ("spot", "on-demand")})
    headroom = scaling.headroom.model_copy(update={"seats": 2})
    changed = scaling.model_copy(
        update={
            "pools": pools,
            "headroom": headroom,
            "budget_node_hours": budget,
        }
    )
    return Rules(minimum, maximum, SEATS, changed)


class Autoscaling(RuleBasedStateMachine):
    """Random interleavings of students, workers, faults and decisions."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.machines: dict[str, Machine] = {}
        self.queue: list[str] = []
        self.arrivals: list[float] = []
        self.windows: list[Window] = []
        self.failures: list[LaunchFailure] = []
        self.memory = Memory()
        self.placement: tuple[str, ...] = ()
        self.placed_before: tuple[str, ...] = ()
        self.no_capacity: set[str] = set()
        self.users = self.launches = self.changes = 0
        self.hidden: Observation | None = None
        """What is still shown while sources are stale."""
        self.hidden_at = 0.0

    @initialize(
        minimum=st.integers(0, 2),
        spread=st.integers(1, 5),
        budget=st.sampled_from([0, 0, 0, 1]),
    )
    def configure(self, minimum: int, spread: int, budget: int) -> None:
        self.limits = rules(minimum, minimum + spread, budget)

    # Students

    @rule(count=st.integers(1, 7))
    def students_come(self, count: int) -> None:
        for _ in range(count):
            self.users += 1
            self.arrivals.append(self.now)
            self.queue.append(f"u{self.users}")

    @rule(data=st.data())
    def some_leave(self, data: st.DataObject) -> None:
        for machine in self.machines.values():
            if machine.servers:
                gone = data.draw(st.sets(st.sampled_from(sorted(machine.servers))))
                machine.servers -= gone

    @rule()
    def all_leave(self) -> None:
        self.queue.clear()
        for machine in self.machines.values():
            machine.servers.clear()

    @rule()
    def spawner_promises(self) -> None:
        self.promise(self.placement)

    @rule()
    def spawner_lags(self) -> None:
        """Promise seats by the placement before the last: it was read just before it changed."""
        self.promise(self.placed_before)

    def promise(self, placement: tuple[str, ...]) -> None:
        """Promise seats; the Swarm takes them where the worker is not paused."""
        for name in placement:
            machine = self.machines.get(name)
            while machine and self.queue:
                if len(machine.servers) + len(machine.promised) >= SEATS:
                    break
                machine.promised.add(self.queue.pop(0))
        self.swarm_places()

    @rule()
    def swarm_places(self) -> None:
        for machine in self.machines.values():
            if machine.state is NodeState.ACTIVE:
                machine.servers |= machine.promised
                machine.promised = set()

    @rule(seats=st.integers(1, 12), ahead=st.integers(0, 1200))
    def class_is_announced(self, seats: int, ahead: int) -> None:
        start = self.now + ahead
        self.windows.append(Window(f"c{len(self.windows)}", start, start + 3600, seats))

    # Workers and faults

    @rule(share=st.floats(0, 1))
    def workers_join(self, share: float) -> None:
        for machine in list(self.machines.values()):
            ready = self.now - machine.launched_at >= BOOT_S * share
            if machine.state is NodeState.BOOTING and not machine.broken and ready:
                machine.state = NodeState.ACTIVE

    @precondition(lambda self: self.machines)
    @rule(data=st.data())
    def a_boot_fails(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(list(self.machines.values()))).broken = True

    @precondition(lambda self: self.machines)
    @rule(data=st.data(), gone=st.booleans())
    def spot_reclaims(self, data: st.DataObject, gone: bool) -> None:
        machine = data.draw(st.sampled_from(list(self.machines.values())))
        machine.state = NodeState.RECLAIMING
        if gone:
            del self.machines[machine.id]

    @rule(pools=st.sets(st.sampled_from(["spot", "on-demand"])))
    def capacity_changes(self, pools: set[str]) -> None:
        self.no_capacity = pools

    @precondition(lambda self: self.machines)
    @rule(data=st.data())
    def somebody_takes_protection_off(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(list(self.machines.values()))).protected = False

    @rule(stale=st.booleans())
    def sources_go_or_come(self, stale: bool) -> None:
        if stale and self.hidden is None:
            self.hidden, self.hidden_at = self.observe(), self.now
        elif not stale:
            self.hidden = None

    @rule()
    def the_controller_restarts(self) -> None:
        """Forget everything, also what was seen: the first decision rests on a new look."""
        self.memory, self.hidden = Memory(), None

    @rule(seconds=st.sampled_from([1, 5, 30, 120, 400, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    # The controller

    def observe(self) -> Observation:
        nodes = tuple(
            Node(
                m.id,
                m.state,
                SEATS,
                len(m.servers) + len(m.promised),
                m.launched_at,
                m.pool,
                len(m.promised),
                m.protected,
            )
            for m in self.machines.values()
        )
        return Observation(
            self.now,
            nodes,
            len(self.queue),
            tuple(self.arrivals),
            Freshness(self.now, self.now, self.now),
            tuple(self.windows),
            failures=tuple(self.failures),
        )

    @rule(race=st.integers(0, 3), lag=st.booleans())
    def controller_decides(self, race: int, lag: bool = False) -> None:
        """Observe; let students get seats in between; then act."""
        seen = self.observe()
        if self.hidden:
            old = self.hidden_at
            seen = replace(self.hidden, read=Freshness(old, old, old))
        decision = decide(seen, self.memory, self.limits, self.now)
        if race:
            self.students_come(race)
        self.promise(self.placed_before if lag else self.placement)
        # Workers join between the look and the act, too.
        self.workers_join(1.0)
        self.memory, self.placed_before = decision.memory, self.placement
        self.placement = decision.placement
        spent_hours = decision.memory.node_seconds / 3600
        for action in decision.actions:
            self.act(action, bool(self.now - seen.read.hub > 60), spent_hours)

    @rule(steps=st.integers(2, 8), race=st.integers(0, 1))
    def a_while_passes(self, steps: int, race: int) -> None:
        """Let the controller run: holds and boots come to their ends."""
        for _ in range(steps):
            self.now += 100
            self.controller_decides(race)

    @rule(count=st.integers(4, 12), silent=st.booleans(), late=st.integers(0, 3))
    def a_class_comes_and_leaves_stragglers(self, count: int, silent: bool, late: int) -> None:
        """Many workers become too many; meanwhile nothing is seen, or some come late."""
        self.students_come(count)
        self.a_while_passes(4, 0)
        for machine in self.machines.values():
            machine.servers = set(sorted(machine.servers)[: int(late > 1)])
        if silent:
            self.sources_go_or_come(True)
        for _ in range(10):
            self.now += 100
            self.controller_decides(int(late == 3), lag=late > 0)
        self.sources_go_or_come(False)

    def act(self, action: object, stale: bool, hours: float) -> None:
        match action:
            case Launch(count, pool, reason):
                assert reason
                budget = self.limits.scaling.budget_node_hours
                assert not budget or hours < budget
                self.changes += 1
                if pool in self.no_capacity:
                    self.failures.append(LaunchFailure(pool, self.now))
                    return
                for _ in range(count):
                    self.launches += 1
                    name = f"i-{self.launches}"
                    self.machines[name] = Machine(name, self.now, pool)
            case Pause(node):
                assert not stale
                self.changes += 1
                if node in self.machines and self.machines[node].state is NodeState.ACTIVE:
                    self.machines[node].state = NodeState.PAUSED
            case Resume(node):
                self.changes += 1
                if node in self.machines and self.machines[node].state is NodeState.PAUSED:
                    self.machines[node].state = NodeState.ACTIVE
            case Terminate(node, reason):
                assert not stale and reason
                self.changes += 1
                ended = self.machines.pop(node, None)
                # This world's actor does not look again: the decision alone must be safe.
                assert ended is None or not (ended.servers or ended.promised), reason
            case Protect(node):
                if node in self.machines:
                    self.machines[node].protected = True

    @invariant()
    def never_above_the_maximum(self) -> None:
        if hasattr(self, "limits"):
            assert len(self.machines) <= self.limits.maximum

    def teardown(self) -> None:
        """Nothing more happens: what is wanted is there, the rest goes, then it is still."""
        if not hasattr(self, "limits"):
            return
        self.limits = rules(self.limits.minimum, self.limits.maximum, 0)
        self.no_capacity, self.hidden, self.failures = set(), None, []
        self.windows.clear()
        for machine in list(self.machines.values()):
            if machine.state is NodeState.RECLAIMING:
                del self.machines[machine.id]
            machine.broken = machine.broken and machine.state is NodeState.BOOTING
        for _ in range(120):
            self.now += 100
            self.controller_decides(0)
            self.spawner_promises()
        capacity = self.limits.maximum * SEATS
        alive = sum(len(m.servers | m.promised) for m in self.machines.values())
        assert not self.queue or alive + len(self.queue) > capacity
        assert not any(m.promised for m in self.machines.values())
        used = [m for m in self.machines.values() if m.servers]
        # Headroom at rest is two seats: one worker at most beside those with students.
        assert len(self.machines) <= max(len(used) + 1, self.limits.minimum)
        assert len(self.machines) >= self.limits.minimum
        before = self.changes
        for _ in range(40):
            self.now += 100
            self.controller_decides(0)
        assert self.changes == before, "a quiet fleet is left alone"


TestAutoscaling = Autoscaling.TestCase
TestAutoscaling.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("late", range(4))
@pytest.mark.parametrize("minimum", range(3))
def test_classes_that_leave_stragglers(minimum: int, late: int) -> None:
    """What the rules above find by chance, each time: the same machine on a fixed course."""
    for count in (4, 8, 12):
        for silent in (False, True):
            machine = Autoscaling()
            machine.configure(minimum, 5, 0)
            for _ in range(2):
                machine.a_class_comes_and_leaves_stragglers(count, silent, late)
                machine.never_above_the_maximum()
                machine.students_come(2)
                machine.spawner_lags()
                machine.a_while_passes(5, 0)
            machine.sources_go_or_come(True)
            machine.students_come(5)
            for _ in range(3):
                machine.now += 5
                machine.controller_decides(0)
                machine.never_above_the_maximum()
            machine.teardown()
