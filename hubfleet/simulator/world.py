"""The simulated world: students ask for servers, workers boot, hold them, end; simpy's clock.

A policy decides about workers; the world carries out what it orders and keeps the accounts. What a
policy does to students is counted here and cannot be hidden by it: waits from the first click,
servers ended under them, hours of workers from their order on, at least a minute each.
"""

import math
import random
from collections.abc import Generator
from typing import Any

import simpy

from hubfleet.controller.model import NodeState
from hubfleet.simulator.entities import (
    NOTICE_S,
    OPEN_S,
    SHORTEST_BILL_S,
    START_S,
    Accounts,
    Policy,
    Server,
    Setting,
    Worker,
)
from hubfleet.simulator.workload import Session, Workload


class World:
    """One run of one workload under one policy."""

    def __init__(self, load: Workload, setting: Setting, policy: Policy, seed: int) -> None:
        self.load, self.setting, self.policy = load, setting, policy
        self.rng = random.Random(f"world-{load.name}-{seed}")
        self.env = simpy.Environment(initial_time=load.begin)
        self.accounts = Accounts()
        self.workers: dict[str, Worker] = {}
        self.queue: list[Server] = []
        self.arrivals: list[float] = []
        self.ready_times: list[float] = []
        self.failures: list[float] = []
        self.ahead: dict[str, Server] = {}
        """Servers that were started before their student came, by user."""
        self.starts = simpy.Resource(self.env, setting.starts_at_once)
        self.changed = self.env.event()

    @property
    def now(self) -> float:
        """The time."""
        return float(self.env.now)

    def run(self) -> Accounts:
        """Run to the end and return the accounts."""
        self.policy.begin(self)
        self.env.process(self._students())
        self.env.process(self._control())
        for moment, share in self.load.faults.reclaims:
            self.env.process(self._reclaim(moment, share))
        self.env.run(until=self.load.end)
        for worker in list(self.workers.values()):
            self._bill(worker)
        self.accounts.unserved = len(self.queue)
        for server in self.queue:
            self._waited(server, self.now)
        return self.accounts

    def launch(self, count: int, ready: bool = False) -> None:
        """Order workers; with `ready` they are there at once, as at the beginning of the day."""
        if any(begin <= self.now < end for begin, end in self.load.faults.no_capacity):
            self.failures.append(self.now)
            return
        for _ in range(min(count, self.setting.maximum - len(self.workers))):
            self.accounts.launches += 1
            worker = Worker(f"i-{self.accounts.launches:05}", self.setting.seats, self.now)
            self.workers[worker.id] = worker
            if ready:
                worker.state, worker.ready_at = NodeState.ACTIVE, self.now
            else:
                self.env.process(self._boot(worker))
        self.note()

    def terminate(self, worker: Worker) -> None:
        """End a worker now; the servers on it are ended under their students."""
        self.accounts.killed += sum(not server.unused for server in worker.servers)
        self._end(worker)

    def prestart(self, course: str, count: int) -> None:
        """Start servers for `count` students of a class who have none."""
        listed = [s for s in self.load.sessions if s.course == course and s.listed]
        absent = dict(self.load.absent).get(course, 0)
        end = next(w.end for w in self.load.windows if w.name == course)
        ghosts = [
            Session(f"{course}-absent{n}", 0, end - self.now, end, course) for n in range(absent)
        ]
        missing = [s for s in (*listed, *ghosts) if s.user not in self.ahead]
        for session in missing[:count]:
            server = Server(session, self.now, unused=True)
            self.ahead[session.user] = server
            self._ask(server)

    def release(self, course: str) -> None:
        """Stop the servers of a class that were started ahead and not opened."""
        for server in self.unused(course):
            del self.ahead[server.session.user]
            self._leave(server)

    def unused(self, course: str) -> list[Server]:
        """Return the servers that were started ahead for a class and not opened yet."""
        return [s for s in self.ahead.values() if s.unused and s.session.course == course]

    def note(self) -> None:
        """Write down the state for the charts, and wake a policy that reacts."""
        used = ready = booting = 0
        for worker in self.workers.values():
            if worker.state is NodeState.BOOTING:
                booting += worker.seats
            else:
                ready += worker.seats
                used += len(worker.servers)
        self.accounts.series.append((self.now, used, ready, booting, len(self.queue)))
        if self.policy.reacts and not self.changed.triggered:
            self.changed.succeed()

    def fill(self) -> None:
        """Give seats to those who wait, first come, first served."""
        while self.queue and (worker := self.policy.choose(self)) is not None:
            server = self.queue.pop(0)
            server.worker = worker
            worker.servers.add(server)
            self.accounts.densest = max(self.accounts.densest, len(worker.servers))
            server.process = self.env.process(self._live(server, worker))

    def _students(self) -> Generator[simpy.Event, Any, None]:
        for session in self.load.sessions:
            if session.arrive > self.now:
                yield self.env.timeout(session.arrive - self.now)
            server = self.ahead.get(session.user)
            if server is None:
                self._ask(Server(session, self.now))
                continue
            server.unused, server.asked = False, self.now
            if server.started:
                self.accounts.waits.append((_kind(session), OPEN_S))

    def _ask(self, server: Server) -> None:
        self.arrivals.append(self.now)
        self.queue.append(server)
        self.fill()
        if self.load.faults.retry_s and server in self.queue:
            self.env.process(self._click_again(server))
        self.note()

    def _click_again(self, server: Server) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self.env.timeout(self.load.faults.retry_s)
            if server not in self.queue:
                return
            self.accounts.retries += 1
            self.queue.remove(server)
            self.queue.append(server)

    def _live(self, server: Server, worker: Worker) -> Generator[simpy.Event, Any, None]:
        """Start a server, keep it for its time, and free its seat; ends early when interrupted."""
        try:
            with self.starts.request() as turn:
                yield turn
                yield self.env.timeout(START_S)
            if not server.unused:
                self._waited(server, self.now)
            server.started = True
            session = server.session
            server.leave = server.leave or session.leave or self.now + session.length
            yield self.env.timeout(max(60.0, server.leave - self.now))
        except simpy.Interrupt:
            return
        self._leave(server)

    def _waited(self, server: Server, until: float) -> None:
        self.accounts.waits.append((_kind(server.session), until - server.asked))

    def _leave(self, server: Server) -> None:
        if server.worker is None:
            if server in self.queue:
                self.queue.remove(server)
            return
        server.worker.servers.discard(server)
        server.worker = None
        if server.process is not self.env.active_process and server.process.is_alive:
            server.process.interrupt()
        self.fill()
        self.note()

    def _boot(self, worker: Worker) -> Generator[simpy.Event, Any, None]:
        if self.rng.random() < self.load.faults.boot_failures:
            return
        # Log-normal around 5/6 of the 95th percentile: a measured time to ready varies by a tenth.
        typical = self.setting.ready_p95_s * 5 / 6
        sigma = math.log(6 / 5) / 1.645
        yield self.env.timeout(self.rng.lognormvariate(math.log(typical), sigma))
        if worker.id in self.workers and worker.state is NodeState.BOOTING:
            worker.state, worker.ready_at = NodeState.ACTIVE, self.now
            self.ready_times.append(self.now - worker.ordered_at)
            self.fill()
            self.note()

    def _reclaim(self, moment: float, share: float) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(moment - self.now)
        living = sorted(self.workers.values(), key=lambda w: w.id)
        taken = self.rng.sample(living, min(len(living), max(1, round(share * len(living)))))
        for worker in taken:
            worker.state = NodeState.RECLAIMING
        self.note()
        yield self.env.timeout(NOTICE_S)
        for worker in taken:
            if worker.id in self.workers:
                self.accounts.reclaimed += len(worker.servers)
                self._end(worker)

    def _end(self, worker: Worker) -> None:
        del self.workers[worker.id]
        self._bill(worker)
        lost = sorted(worker.servers, key=lambda s: s.session.user)
        for server in lost:
            worker.servers.discard(server)
            if server.process.is_alive:
                server.process.interrupt()
            # Its student asks for another one at once.
            again = Server(server.session, self.now, unused=server.unused, leave=server.leave)
            if server.session.user in self.ahead:
                self.ahead[server.session.user] = again
            self.queue.append(again)
        self.fill()
        self.note()

    def _bill(self, worker: Worker) -> None:
        self.accounts.node_seconds += max(SHORTEST_BILL_S, self.now - worker.ordered_at)

    def _control(self) -> Generator[simpy.Event, Any, None]:
        while True:
            self.policy.step(self)
            self.fill()
            self.changed = self.env.event()
            yield self.env.any_of([self.changed, self.env.timeout(self.policy.heartbeat)])
            if self.changed.triggered:
                # Events of one moment are one decision; production waits no longer than that.
                yield self.env.timeout(1.0)


def _kind(session: Session) -> str:
    if session.listed:
        return "listed"
    return "class" if session.course else "background"
