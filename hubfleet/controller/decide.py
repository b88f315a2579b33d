"""The autoscaler's decision: pure, total, and the same in production and in the simulator.

What holds whatever is observed (each has a property test):

- Workers are never more than the maximum, ordered ones included.
- A worker that has taken students ends only when it was seen paused, and later, in a fresh
  observation, still paused and empty. A worker that never joined ends only by boot timeout.
- Without fresh data nothing is paused or ended, nor while a command wants the fleet steady.
- A worker that somebody else has paused is neither resumed nor ended.
- Nothing is ordered once the day's budget is spent.
"""

import math

from hubfleet.controller.headroom import Headroom, headroom
from hubfleet.controller.memory import remember, rested, spent
from hubfleet.controller.model import (
    Action,
    Decision,
    Figures,
    Launch,
    Memory,
    Node,
    NodeState,
    Observation,
    Pause,
    Protect,
    Resume,
    Rules,
    Terminate,
)
from hubfleet.controller.prestart import prestarts


def decide(seen: Observation, memory: Memory, rules: Rules, now: float) -> Decision:
    """Return what to do at `now`; the one who acts finishes it before the next observation."""
    turn = _Turn(seen, remember(seen, memory, rules, now), rules, now)
    turn.protect()
    turn.resume()
    turn.launch()
    turn.terminate()
    turn.pause()
    actions, credit = prestarts(seen, turn.memory, rules, now, turn.free)
    return turn.decision([*turn.actions, *actions], credit)


class _Turn:
    """One decision in the making."""

    def __init__(self, seen: Observation, memory: Memory, rules: Rules, now: float) -> None:
        self.seen, self.memory, self.rules, self.now = seen, memory, rules, now
        self.actions: list[Action] = []
        self.notes: list[str] = []
        self.room: Headroom = headroom(seen, rules, now)
        self.fresh = self._fresh()
        by_age = sorted(seen.nodes, key=lambda node: (node.launched_at, node.id))
        self.usable = [n for n in by_age if n.state is NodeState.ACTIVE and not n.at_risk]
        self.paused = [n for n in by_age if n.state is NodeState.PAUSED]
        booting = [n for n in by_age if n.state is NodeState.BOOTING]
        self.overdue = [n for n in booting if n.id in memory.timed_out]
        self.booting = [n for n in booting if n.id not in memory.timed_out]
        self.free = sum(node.free for node in self.usable)
        self.coming = sum(node.seats for node in self.booting)
        # Who is about to lose a worker needs a seat elsewhere before that.
        leaving = sum(n.used for n in seen.nodes if n.state is NodeState.RECLAIMING)
        self.waiting = seen.queued + leaving
        # Those that stay: a paused worker with servers is a worker, too.
        held = [n for n in by_age if n.state is NodeState.HELD]
        staying = sum(bool(n.used) and not n.at_risk for n in [*self.paused, *held])
        self.kept = len(self.usable) + len(self.booting) + staying
        self.surplus_since: float | None = None
        if seen.steady:
            self.notes.append(f"nothing is ended: {seen.steady}")

    def _fresh(self) -> frozenset[str]:
        """Return the sources that are not stale."""
        read, limit = self.seen.read, self.rules.scaling.stale_s
        found = set()
        for name, moment in (("hub", read.hub), ("swarm", read.swarm), ("fleet", read.fleet)):
            if self.now - moment <= limit:
                found.add(name)
            else:
                self.notes.append(f"nothing is ended: no news from the {name} for {limit} s")
        return frozenset(found)

    @property
    def may_end(self) -> bool:
        """No data, no scale-in; nor while a command works on all workers."""
        return len(self.fresh) == 3 and not self.seen.steady

    def protect(self) -> None:
        """Have every living worker protected from the fleet's own choices."""
        for node in self.seen.nodes:
            if not node.protected and node.state is not NodeState.RECLAIMING:
                self.actions.append(Protect(node.id, "only this controller ends workers"))

    def resume(self) -> None:
        """Take paused workers back before new ones are ordered: they are ready at once."""
        wanted = self.waiting + self.room.now
        # The fullest first: it would stay longest anyway.
        for node in sorted(self.paused, key=lambda n: (-n.used, n.launched_at, n.id)):
            if node.at_risk:
                continue
            if node.promised:
                reason = f"{node.promised} servers were promised to it before it was paused"
            elif node.free and self.seen.queued > self.free:
                reason = f"{self.seen.queued} students wait, {self.free} seats are free"
            elif node.free and wanted > self.free + self.coming:
                reason = f"{wanted} free seats are wanted, there are {self.free + self.coming}"
            elif not node.used and self.kept < self.rules.minimum:
                reason = f"never fewer than {self.rules.minimum} workers"
            else:
                continue
            self.actions.append(Resume(node.id, reason))
            self.paused.remove(node)
            self.free += node.free
            self.kept += not node.used

    def launch(self) -> None:
        """Order workers for the seats that are short."""
        wanted = self.waiting + self.room.now
        short = wanted - self.free - self.coming
        seats = self.rules.seats
        missing = self.rules.minimum - self.kept
        count = max(math.ceil(short / seats), missing, 0)
        if not count:
            return
        reason = (
            f"{wanted} free seats are wanted ({self.waiting} waiting,"
            f" {self.room.announced} announced), there are {self.free + self.coming}"
            if short > 0
            else f"never fewer than {self.rules.minimum} workers"
        )
        last = self.memory.ordered_at
        if "fleet" not in self.fresh or (last is not None and self.seen.read.fleet <= last):
            self.notes.append(f"{count} workers not ordered: the fleet was not seen since the last")
            return
        room = max(0, self.rules.maximum - len(self.seen.nodes))
        if count > room:
            self.notes.append(f"{count} workers wanted, {room} below the maximum")
        count = min(count, room)
        if count and spent(self.memory, self.rules):
            self.notes.append(f"{count} workers not ordered: the day's budget is spent")
            count = 0
        pool = rested(self.memory, self.rules, self.now)
        if count and pool is None:
            self.notes.append(f"{count} workers not ordered: every pool has failed and rests")
        elif count and pool:
            self.actions.append(Launch(count, pool, reason))

    def terminate(self) -> None:
        """End workers that never came up, and those that are paused, empty and seen so before."""
        if not self.may_end:
            return
        timeout = self.rules.scaling.ready.boot_timeout_s
        for node in self.overdue:
            if not node.used:
                self.actions.append(Terminate(node.id, f"not ready {timeout} s after its order"))
        for node in self.paused:
            since = self.memory.paused_since.get(node.id, math.inf)
            if node.used == 0 and since < min(self.seen.at, self._oldest_read()):
                self.actions.append(
                    Terminate(node.id, f"paused for {self.now - since:.0f} s, empty")
                )

    def _oldest_read(self) -> float:
        read = self.seen.read
        return min(read.hub, read.swarm, read.fleet)

    def pause(self) -> None:
        """Pause workers that are too many, the emptiest first, once they were so for the hold."""
        if not self.may_end:
            return
        for node in self.seen.nodes:
            if node.at_risk and node.state is NodeState.ACTIVE:
                self.actions.append(Pause(node.id, "the fleet advises to leave it"))
        chosen = self._surplus()
        if not chosen:
            return
        since = self.memory.surplus_since
        self.surplus_since = self.now if since is None else since
        if self.now - self.surplus_since < self.rules.scaling.hold_s:
            return
        for node in chosen:
            self.actions.append(
                Pause(node.id, f"{self.room.later} free seats are wanted, the others have them")
            )
            self.usable.remove(node)
            self.free -= node.free

    def _surplus(self) -> list[Node]:
        """Return the workers without which all that is wanted within the hold still fits."""
        wanted = self.waiting + self.room.later
        free, left, minimum = self.free, self.kept, self.rules.minimum
        chosen: list[Node] = []
        # Of equally empty ones the newest: servers come to the oldest first.
        for node in sorted(self.usable, key=lambda n: (n.used, -n.launched_at, n.id)):
            last = minimum and len(chosen) + 1 == len(self.usable)
            fewer = left - (not node.used)
            if last or fewer < minimum or not node.free or free - node.free < wanted:
                break
            chosen.append(node)
            free, left = free - node.free, fewer
        return chosen

    def decision(self, actions: list[Action], credit: float) -> Decision:
        """Return the decision as data."""
        used = sum(node.used for node in self.seen.nodes)
        need = used + self.seen.queued + self.room.now
        memory = self.memory
        ordered = any(isinstance(action, Launch) for action in actions)
        next_memory = Memory(
            seen_at=memory.seen_at,
            ordered_at=self.now if ordered else memory.ordered_at,
            surplus_since=self.surplus_since,
            paused_since=memory.paused_since,
            timed_out=memory.timed_out,
            pools=memory.pools,
            day=memory.day,
            node_seconds=memory.node_seconds,
            prestart_credit=credit,
        )
        figures = Figures(
            used=used,
            queued=self.seen.queued,
            free=self.free,
            coming=self.coming,
            headroom=self.room.now,
            announced=self.room.announced,
            rate=self.room.rate,
            ready_s=self.room.ready_s,
            wanted=math.ceil(need / self.rules.seats),
        )
        placement = tuple(node.id for node in self.usable)
        return Decision(tuple(actions), next_memory, placement, figures, tuple(self.notes))
