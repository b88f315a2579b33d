"""Run the load: each node in a thread of its own, its downloads in ten, as chef-client has it."""

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hubfleet.bench.chef_plan import Converge
from hubfleet.bench.report import percentile
from hubfleet.clients.chef_load import Call, Sample, Sender
from hubfleet.clients.chef_process import ChefProcess
from hubfleet.clients.chef_run import ChefClient
from hubfleet.errors import HubfleetError
from hubfleet.parallel import run_all

SYNC_THREADS = 10
"""chef-client's cookbook_sync_threads."""


@dataclass(frozen=True)
class Arrival:
    """Somebody who comes `at` seconds after the start: a replayed node, or a real chef-client."""

    at: float
    who: Converge | ChefClient


@dataclass
class Load:
    """What a load was: a sample per replayed call, what went wrong with the real clients."""

    samples: list[Sample] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    """Per real chef-client that failed, its last words."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    """Seconds of CPU time of the generator itself."""

    server_cpu_s: float = 0.0
    """Seconds of CPU time of the server."""

    late_s: float = 0.0
    """By how much the generator was late in starting a node, at most."""

    load_average: float = 0.0
    """Of this machine, over the last minute."""

    planned: int = 0
    """Calls that are sent where all goes well."""

    @property
    def mean_ms(self) -> float:
        """Milliseconds of a call in the mean."""
        return 1000 * sum(each.seconds for each in self.samples) / len(self.samples)

    @property
    def service_ms(self) -> float:
        """Milliseconds of the server's CPU time for a call in the mean.

        Those of the real chef-clients are not among the calls, but in the time: it compares loads
        of the same fleet only.
        """
        return 1000 * self.server_cpu_s / len(self.samples)

    def percentile_ms(self, share: float) -> float:
        """Return the milliseconds that `share` (0 to 1) of the calls did not take longer than."""
        return 1000 * percentile([each.seconds for each in self.samples], share)

    @property
    def words(self) -> str:
        """What the figures have to be read with."""
        kinds: dict[str, list[float]] = {}
        for each in self.samples:
            kinds.setdefault(each.kind, []).append(1000 * each.seconds)
        means = ", ".join(f"{kind} {sum(ms) / len(ms):.1f}" for kind, ms in kinds.items())
        return (
            f"{len(self.samples)} calls in {self.seconds:.1f} s, {self.mean_ms:.1f} ms in the mean "
            f"({means}); {self.service_ms:.2f} ms of the server's CPU time for each; the generator "
            f"took {self.cpu_s:.1f} s of CPU time and was {1000 * self.late_s:.0f} ms late at "
            f"most; load average {self.load_average:.1f}"
        )

    @property
    def problems(self) -> list[str]:
        """Everything that failed, in words."""
        calls = [f"{each.kind}: {each.problem}" for each in self.samples if each.problem]
        return calls + self.clients


def run(server: ChefProcess, arrivals: Sequence[Arrival]) -> Load:
    """Let them all come, each in its time; return after the last has gone."""
    load = Load(planned=sum(len(a.who) for a in arrivals if isinstance(a.who, Converge)))
    guard = threading.Lock()
    address = address_of(server.url)
    cpu, server_cpu, started = time.process_time(), server.cpu_s(), time.monotonic()

    def come(arrival: Arrival) -> None:
        wait = started + arrival.at - time.monotonic()
        time.sleep(max(0.0, wait))
        late = time.monotonic() - started - arrival.at
        if isinstance(arrival.who, ChefClient):
            samples, words = [], _words(arrival.who)
        else:
            samples, words = replay(address, arrival.who), ""
        with guard:
            load.samples += samples
            load.clients += [words] if words else []
            load.late_s = max(load.late_s, late)

    for outcome in run_all(come, arrivals):
        if isinstance(outcome, HubfleetError):
            load.clients.append(outcome.message)
    load.seconds = time.monotonic() - started
    load.cpu_s = time.process_time() - cpu
    load.server_cpu_s = server.cpu_s() - server_cpu
    load.load_average = os.getloadavg()[0]
    return load


def replay(address: tuple[str, int], converge: Converge) -> list[Sample]:
    """Send the calls of one run; it breaks off at the first that fails, as chef-client does."""
    samples = _row(address, converge.before)
    if samples[-1].problem:
        return samples
    downloads = _downloads(address, converge.downloads)
    samples += downloads
    if any(sample.problem for sample in downloads):
        return samples
    return samples + _row(address, converge.after)


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of a URL that names both."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"no host or no port in {url}")
    return parts.hostname, parts.port


def _row(address: tuple[str, int], calls: Sequence[Call]) -> list[Sample]:
    samples = []
    with Sender(address) as sender:
        for call in calls:
            samples.append(sender.send(call))
            if samples[-1].problem:
                break
    return samples


def _downloads(address: tuple[str, int], calls: Sequence[Call]) -> list[Sample]:
    queue, samples = deque(calls), deque[Sample]()

    def work() -> None:
        with Sender(address) as sender:
            while True:
                try:
                    call = queue.popleft()
                except IndexError:
                    return
                samples.append(sender.send(call, keep=True))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(SYNC_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(samples)


def _words(client: ChefClient) -> str:
    """Converge a real chef-client; return "" where it succeeded, else its last words."""
    done = client.converge()
    lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return "" if done.returncode == 0 else f"chef-client {client.name}: {' | '.join(lines[-5:])}"
