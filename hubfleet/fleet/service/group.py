"""The workers as an Auto Scaling group keeps them: orders, lifecycle hooks, spot notices, deaths.

Times are POSIX seconds. Safe to use from several threads: one lock makes an order and a look at the
workers one after the other, so that what was ordered is always in the next list. Machines are
removed outside of it, which takes seconds.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hubfleet.errors import HubfleetError, UsageError
from hubfleet.fleet.base import State
from hubfleet.fleet.scaling import Failure, Hook, NoCapacity, Worker
from hubfleet.fleet.service import messages
from hubfleet.fleet.service.machines import Machine, Machines
from hubfleet.fleet.service.queue import Queue
from hubfleet.fleet.service.records import GroupState, Pulse, Record, Timings
from hubfleet.fleet.service.store import Kept

HOOK = "hubfleet-terminating"

log = logging.getLogger(__name__)


class Full(HubfleetError):
    """An order beyond the most workers that the settings allow."""


class Gone(HubfleetError):
    """No worker of that id is there."""


class Group:
    """The workers of one deployment; never more than its settings allow."""

    def __init__(
        self,
        machines: Machines,
        queue: Queue,
        file: Path,
        timings: Timings,
        clock: Callable[[], float],
    ) -> None:
        self.name = machines.deployment.network
        self.machines = machines
        self.queue = queue
        self._kept = Kept(file, GroupState())
        self._timings = timings
        self._clock = clock
        self._pulse = Pulse(timings)
        self._lock = threading.RLock()
        self._enders = ThreadPoolExecutor(4, "end")
        self._being_ended: set[str] = set()

    @property
    def maximum(self) -> int:
        """No more workers than that."""
        return self.machines.settings.fleet.workers.max

    def workers(self) -> Sequence[Worker]:
        """Return the living workers in the order of their launch."""
        with self._lock:
            found, state = self._look(), self._kept.value
            workers = [state.workers[machine.id].worker(machine) for machine in found.values()]
        return sorted(workers, key=lambda worker: worker.launched_at)

    def standing(self, instance_id: str) -> Worker:
        """Return one worker; raise Gone where it is not there."""
        for worker in self.workers():
            if worker.id == instance_id:
                return worker
        raise Gone(f"{instance_id} is no worker of {self.name}")

    def launch(self, count: int, pool: str) -> Sequence[str]:
        """Start `count` workers of a pool and return their ids.

        Raises UsageError for an unknown pool, Full beyond the maximum, NoCapacity where the pool
        has none, CommandError where the engine refuses. What was started before that stays.
        """
        pools = self.machines.settings.autoscaler.pools.order
        if pool not in pools:
            raise UsageError(f"no pool is named {pool!r}; there is: {', '.join(pools)}")
        with self._lock:
            living = len(self._look())
            if living + count > self.maximum:
                raise Full(f"{living} workers live, {count} more would exceed {self.maximum}")
            return [self._launch(pool) for _ in range(count)]

    def terminate(self, instance_id: str) -> None:
        """Begin a worker's end: its lifecycle hook. Once begun, it changes nothing.

        Raises Gone where there is no such worker, NotAWorker for another machine.
        """
        with self._lock:
            record, now = self._record(instance_id), self._clock()
            if record.ending or record.hook_until is not None:
                return
            record.token = str(uuid.uuid4())
            record.hook_most = now + self._timings.hook_most_s
            record.beat(now, self._timings)
            # The message first: should this process end here, it is about a hook that never was,
            # which does no harm; a hook without its message would run out unheard.
            hook = Hook(self.name, HOOK, record.token, instance_id)
            self.queue.send(messages.lifecycle(hook, now))
            self._kept.save()
        log.info("%s: its termination has begun", instance_id)

    def protect(self, instance_id: str) -> None:
        """Note that the fleet never ends a worker by itself. Raises Gone or NotAWorker."""
        with self._lock:
            self._record(instance_id).protected = True
            self._kept.save()

    def failures(self) -> Sequence[Failure]:
        """Return the orders of the last hour that were not filled, the oldest first."""
        with self._lock:
            return self._kept.value.recent(self._clock())

    def heartbeat(self, hook: Hook) -> None:
        """Have a hook wait on; one that is over, or never was, is no error."""
        with self._lock:
            if record := self._waiting(hook):
                record.beat(self._clock(), self._timings)
                self._kept.save()

    def complete(self, hook: Hook) -> None:
        """Let a termination go on; one that is over, or never was, is no error."""
        with self._lock:
            if self._waiting(hook):
                self._end(hook.instance_id, "its lifecycle hook is complete")

    def turn(self) -> None:
        """Do what time alone brings: ends that are due, and deaths; raises as the engine does."""
        with self._lock:
            now, found = self._clock(), self._look()
            dead = set(self._pulse.dead(found, now))
            for instance_id, record in self._kept.value.workers.items():
                why = "it has died" if instance_id in dead else record.over(now)
                if record.ending:
                    self._remove(instance_id)
                elif why:
                    self._end(instance_id, why)

    def spot(self, instance_id: str) -> None:
        """Have the spot market take a worker back: a notice now, the end when its time is over."""
        with self._lock:
            record, now = self._record(instance_id), self._clock()
            record.spot_until = now + self._timings.notice_s
            self._kept.save()
            self.queue.send(messages.spot_warning(instance_id, now))

    def rebalance(self, instance_id: str) -> None:
        """Advise to leave a worker, which goes on."""
        with self._lock:
            self._record(instance_id)
            self.queue.send(messages.rebalance(instance_id, self._clock()))

    def kill(self, instance_id: str) -> None:
        """Let a worker die without a word."""
        with self._lock:
            self._record(instance_id)
            self.machines.kill(instance_id)

    def fail_boots(self, count: int) -> None:
        """Have the next `count` workers come up and never answer."""
        with self._lock:
            self._kept.value.hang = count
            self._kept.save()

    def run_dry(self, pool: str, seconds: float) -> None:
        """Leave a pool without capacity for so long."""
        with self._lock:
            self._kept.value.dry[pool] = self._clock() + seconds
            self._kept.save()

    def _launch(self, pool: str) -> str:
        """Start one worker; what hinders it is noted among the failures."""
        state, now = self._kept.value, self._clock()
        try:
            if now < state.dry.get(pool, 0):
                raise NoCapacity(f"pool {pool} has no capacity")
            instance_id = self.machines.launch_worker(hang=state.hang > 0)
        except HubfleetError as error:
            state.fail(pool, now, error.message)
            self._kept.save()
            raise
        state.hang = max(0, state.hang - 1)
        state.workers[instance_id] = Record(launched_at=now, pool=pool, protected=True)
        self._kept.save()
        log.info("%s: launched in pool %s", instance_id, pool)
        return instance_id

    def _look(self) -> Mapping[str, Machine]:
        """Return the machines there are, after the records were brought in line with them."""
        found, now = self.machines.workers(), self._clock()
        records, changed = self._kept.value.workers, False
        for machine in found.values():
            if machine.id not in records:
                # A deploy has launched it.
                records[machine.id] = Record(launched_at=machine.launched_at)
                changed = True
            if records[machine.id].running_at is None and machine.state is State.RUNNING:
                records[machine.id].running_at = now
                changed = True
        for instance_id in [*(records.keys() - found.keys())]:
            # The message first: should this process end here, it is sent twice, and not never.
            self.queue.send(messages.terminated(instance_id, now))
            del records[instance_id]
            changed = True
            log.info("%s: terminated", instance_id)
        if changed:
            self._kept.save()
        return found

    def _record(self, instance_id: str) -> Record:
        self.machines.require_worker(instance_id)
        self._look()
        record = self._kept.value.workers.get(instance_id)
        if record is None:
            raise Gone(f"{instance_id} is no worker of {self.name}")
        return record

    def _waiting(self, hook: Hook) -> Record | None:
        """Return the worker whose termination waits for just this hook."""
        record = self._kept.value.workers.get(hook.instance_id)
        known = (self.name, HOOK) == (hook.group, hook.name)
        if record is None or not known or record.ending or record.hook_until is None:
            return None
        return record if record.token == hook.token else None

    def _end(self, instance_id: str, why: str) -> None:
        log.info("%s: ended, because %s", instance_id, why)
        self._kept.value.workers[instance_id].ending = True
        self._kept.save()
        self._remove(instance_id)

    def _remove(self, instance_id: str) -> None:
        """Remove a machine in another thread; `turn` comes again where that fails."""
        if instance_id not in self._being_ended:
            self._being_ended.add(instance_id)
            self._enders.submit(self._remove_now, instance_id)

    def _remove_now(self, instance_id: str) -> None:
        try:
            self.machines.end(instance_id)
        except HubfleetError as error:
            log.warning("%s could not be removed: %s", instance_id, error.message)
        finally:
            self._being_ended.discard(instance_id)
