"""Whatever comes in whatever order, whatever fails, whoever is killed: nothing is lost or left."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Hook
from tests.unit.departures import HUB, HUB_MEMBER, Lab, rebalance, replaced, state_change
from tests.unit.departures import termination as hook_message

INDEX = st.integers(0, 30)
PARTS = (
    "fleet", "fleet.standing", "fleet.terminate", "fleet.acknowledge", "fleet.hide",
    "fleet.heartbeat", "fleet.complete", "swarm", "swarm.set_availability", "swarm.remove_node",
    "chef", "chef.search", "chef.delete_client", "chef.delete_node",
)  # fmt: skip
BRIEF_S = 80
"""So long a worker may be lost to the Swarm and come back: less than a sweep believes."""


class Departures(RuleBasedStateMachine):
    """A fleet in which workers leave in all ways, beside those who stay."""

    def __init__(self) -> None:
        super().__init__()
        self.lab = Lab(5)
        self.lab.cloud.acknowledge = self._acknowledge  # type: ignore[method-assign]
        self.leaves: dict[str, str] = {}
        """Messages that tell the truth of a leave, and the worker each is about."""
        self.noticed: set[str] = set()
        self.dead: set[str] = set()
        self.away: dict[str, float] = {}
        """Workers that the Swarm has lost, and since when."""
        self.poison: set[str] = set()
        self.students = 0
        self._seen = 0
        self._acknowledged = type(self.lab.cloud).acknowledge

    def _acknowledge(self, message: Any) -> None:
        worker = self.leaves.get(message.id)
        if worker:
            assert self.lab.forgotten(worker), f"{message.id} is acknowledged too early"
        assert message.id not in self.poison
        self._acknowledged(self.lab.cloud, message)

    def pick(self, index: int) -> str:
        """Return a machine that there is or was."""
        return self.lab.ids[index % len(self.lab.ids)]

    def healthy(self, worker: str) -> bool:
        """Say whether a worker is to stay: nothing true was said of it, and the Swarm has it."""
        machine = self.lab.cloud.machines.get(worker)
        stays = machine is not None and not machine.leaving
        return stays and worker not in self.noticed and worker not in self.away

    @rule(index=INDEX)
    def a_student_comes(self, index: int) -> None:
        worker = self.pick(index)
        node = self.lab.cluster.members.get(f"member-{worker}")
        if node and node.availability == "active" and node.state == "ready":
            self.students += 1
            self.lab.seat(f"student{self.students}", worker)

    @precondition(lambda self: len(self.lab.ids) < 12)
    @rule(joined=st.booleans())
    def a_worker_is_ordered(self, joined: bool) -> None:
        self.lab.ids.append(self.lab.add(joined))

    @rule(index=INDEX)
    def a_worker_is_born(self, index: int) -> None:
        worker = self.pick(index)
        machine = self.lab.cloud.machines.get(worker)
        if machine and machine.state is State.PENDING and not machine.leaving:
            # A worker that is taken back while it boots may go before it was ready.
            taken = worker in self.noticed
            assert taken or worker in self.lab.chef.keys, "it has lost its key while it was born"
            self.lab.cloud.machines[worker] = replace(machine, state=State.RUNNING)
            self.lab.cluster.join(worker)

    @rule(index=INDEX)
    def chef_client_runs(self, index: int) -> None:
        if self.pick(index) in self.lab.cloud.machines:
            self.lab.chef.converge(self.pick(index))

    @rule(index=INDEX)
    def the_fleet_ends(self, index: int) -> None:
        if name := self.lab.cloud.end(self.pick(index)):
            self.leaves[name] = self.pick(index)

    @precondition(lambda self: not self.noticed)
    @rule(index=INDEX)
    def the_spot_market_takes(self, index: int) -> None:
        worker = self.pick(index)
        if self.lab.cloud.machines.get(worker) and worker not in self.lab.cloud.hooks:
            self.noticed.add(worker)
            self.leaves[self.lab.cloud.reclaim(worker)] = worker

    @rule(index=INDEX, word=st.booleans())
    def a_machine_dies(self, index: int, word: bool) -> None:
        if name := self.lab.cloud.kill(self.pick(index), word):
            self.leaves[name] = self.pick(index)

    @rule(index=INDEX)
    def the_swarm_loses(self, index: int) -> None:
        worker = self.pick(index)
        if self.healthy(worker) and f"member-{worker}" in self.lab.cluster.members:
            self.lab.cluster.lose(worker)
            self.away[worker] = self.lab.now

    @rule()
    def the_swarm_finds_again(self) -> None:
        for worker, since in list(self.away.items()):
            if self.lab.now - since < BRIEF_S and self.lab.cluster.find(worker):
                del self.away[worker]

    @rule(
        index=INDEX,
        make=st.sampled_from(
            [
                state_change,
                replaced,
                rebalance,
                lambda worker, now: hook_message(Hook("g", "n", "forged", worker), now),
            ]
        ),
        hub=st.booleans(),
        late=st.sampled_from([0, 100, 4000]),
    )
    def somebody_forges(self, index: int, make: Any, hub: bool, late: int) -> None:
        self.lab.cloud.put(make(HUB if hub else self.pick(index), self.lab.now - late))

    @rule(body=st.text(max_size=12))
    def somebody_writes_anything(self, body: str) -> None:
        self.poison.add(self.lab.cloud.put("{" + body))

    @rule(index=INDEX)
    def a_message_comes_twice(self, index: int) -> None:
        items = [i for i in self.lab.cloud.queue.values() if i.id not in self.poison]
        if items:
            item = items[index % len(items)]
            name = self.lab.cloud.put(item.body)
            if item.id in self.leaves:
                self.leaves[name] = self.leaves[item.id]

    @rule(part=st.sampled_from(PARTS))
    def a_part_fails(self, part: str) -> None:
        self.lab.wire.failing = {part}

    @rule()
    def all_parts_answer(self) -> None:
        self.lab.wire.failing = set()

    @rule(effects=st.integers(1, 6))
    def it_is_killed_soon(self, effects: int) -> None:
        self.lab.wire.kill_after = len(self.lab.wire.effects) + effects

    @rule()
    def it_is_killed(self) -> None:
        self.lab.restart()

    @rule(turns=st.integers(1, 8), step=st.sampled_from([1.0, 5.0]))
    def time_passes(self, turns: int, step: float) -> None:
        for _ in range(turns):
            self.lab.turn(step)

    @invariant()
    def who_stays_keeps_its_servers(self) -> None:
        for user, node_id in self.lab.cluster.moves[self._seen :]:
            worker = node_id.removeprefix("member-")
            assert not self.healthy(worker), f"{user} was moved off {worker}, which stays"
        self._seen = len(self.lab.cluster.moves)
        for node in self.lab.cluster.members.values():
            if self.healthy(node.hostname):
                assert node.availability == "active" or node.id == HUB_MEMBER

    @invariant()
    def who_stays_keeps_its_identity(self) -> None:
        for worker in self.lab.cloud.machines:
            assert not self.healthy(worker) or worker in self.lab.chef.keys

    @invariant()
    def the_hub_is_never_touched(self) -> None:
        node = self.lab.cluster.members[HUB_MEMBER]
        assert node.availability == "active" and not node.drained
        assert HUB in self.lab.chef.keys and HUB in self.lab.chef.policies

    def teardown(self) -> None:
        """Let all parts answer; then everyone who leaves must be gone, and nobody else."""
        lab = self.lab
        lab.wire.failing, lab.wire.kill_after = set(), None
        lab.ids.append(lab.add())  # an empty list is no answer to act on
        for worker in self.away:
            if worker in lab.cloud.machines:
                lab.cluster.find(worker)
        self.away.clear()
        stay = {worker for worker in lab.cloud.machines if self.healthy(worker)}
        lab.run(60)
        for step in [5.0] * 150 + [20.0] * 200:  # a stray Chef client is believed after an hour
            if self.at_rest():
                break
            lab.turn(step)
        assert stay <= set(lab.cloud.machines)
        assert self.at_rest(), [vars(line) for line in lab.lines[-8:]]
        assert not set(lab.cloud.dead) & set(self.leaves)

    def at_rest(self) -> bool:
        """Say whether everyone who leaves is gone, and nothing waits."""
        lab = self.lab
        left = set(lab.ids) - set(lab.cloud.machines)
        waits = lab.cloud.hooks or lab.reaper.cases or lab.cloud.queue or lab.cloud.reclaims
        return not waits and all(lab.forgotten(worker) for worker in left)


TestDepartures = Departures.TestCase
TestDepartures.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
