"""The controller as a service of the stack: `python3 -m hubfleet.controller`."""

import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server

from hubfleet.clients.chef import Chef
from hubfleet.clients.hub_service import HubService
from hubfleet.clients.swarm_manager import SwarmManager
from hubfleet.controller.act import Actor
from hubfleet.controller.births import Nursery
from hubfleet.controller.classes import ClassList
from hubfleet.controller.loop import Loop
from hubfleet.controller.model import rules_of
from hubfleet.controller.observe import Observer
from hubfleet.controller.publish import Journal, Metrics
from hubfleet.controller.reaper import Reaper
from hubfleet.controller.sweep import Sweeper
from hubfleet.errors import HubfleetError, SettingsError
from hubfleet.fleet.scaling_of import scaling_fleet
from hubfleet.settings_model import ControllerView, read_view

SETTINGS = Path("/etc/hubfleet/settings.json")
SECRETS = Path("/run/secrets")
CA_FILE = Path("/etc/chef/trusted_certs/hubfleet-ca.crt")
CHEF_CLIENT = "fleet"

RETRY_S = 5.0

TELL_AGAIN_S = 60.0


class Absences:
    """Tells that a source does not answer once for each reason, and again after TELL_AGAIN_S."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._told: dict[str, tuple[str, float]] = {}

    def __call__(self, what: str, error: HubfleetError) -> None:
        """Take in that `what` could not be read."""
        reason, at = self._told.get(what, ("", 0.0))
        now = time.time()
        if error.message != reason or now - at >= TELL_AGAIN_S:
            self._told[what] = error.message, now
            self._journal.write("unread", now, source=what, reason=error.message)


def settings_of(file: Path, good: Path, journal: Journal) -> tuple[str, ControllerView]:
    """Return environment and settings; where they are broken, the last good ones.

    Raises SettingsError where there are no good ones either.
    """
    try:
        found = read_view(file, ControllerView)
    except SettingsError as error:
        if not good.exists():
            raise
        journal.write("settings_refused", time.time(), reason=error.message, kept=str(good))
        return read_view(good, ControllerView)
    shutil.copyfile(file, good)
    return found


def hold(lock_file: Path) -> int:
    """Wait until no other controller acts; return the lock, which lasts as long as the process."""
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def build(directory: Path, secrets: Path, journal: Journal) -> Loop:
    """Put the controller together. Raises HubfleetError where a part cannot be had."""
    environment, settings = settings_of(SETTINGS, directory / "settings.good.json", journal)
    token = (secrets / "fleet_api_token").read_text().strip()
    hub = HubService(f"http://127.0.0.1:{settings.hub.port}", token)
    swarm = SwarmManager()
    chef = Chef(os.environ["HUBFLEET_CHEF_URL"], secrets / "fleet_key", CA_FILE, CHEF_CLIENT)
    fleet = scaling_fleet(environment, settings, secrets, CA_FILE)

    away = Absences(journal)

    def problem(text: str) -> None:
        journal.write("calendar", time.time(), reason=text)

    observer = Observer(fleet, swarm, hub, away)
    reaper = Reaper(
        fleet, swarm, chef, Sweeper(chef, environment, away), environment, journal.write
    )
    prior_s = settings.autoscaler.ready.prior_s
    loop = Loop(
        observer,
        Actor(fleet, swarm, hub, observer, time.time),
        reaper,
        Nursery(chef, environment, observer.ready_times, prior_s, away),
        rules_of(settings),
        ClassList(settings.classes, directory / "calendar.ics", problem).windows,
        journal,
        Metrics(registry := CollectorRegistry()),
        directory / "report.json",
    )
    start_http_server(settings.autoscaler.metrics_port, "127.0.0.1", registry)
    reaper.listen(loop.wake, away)
    _listen(swarm.events, loop.wake, lambda error: away("swarm events", error))
    return loop


def _listen(
    events: Callable[[], Iterable[None]],
    wake: Callable[[], None],
    away: Callable[[HubfleetError], None],
) -> None:
    """Wake the loop at every event, from a thread of its own."""

    def forever() -> None:
        while True:
            try:
                for _ in events():
                    wake()
            except HubfleetError as error:
                away(error)
            time.sleep(RETRY_S)

    threading.Thread(target=forever, daemon=True, name="events").start()


def main() -> int:
    """Run until the Swarm ends it."""
    journal, directory = Journal(), Path.cwd()
    hold(directory / "lock")
    try:
        loop = build(directory, SECRETS, journal)
    except HubfleetError as error:
        journal.write("refused", time.time(), reason=error.message, hint=error.hint)
        return error.exit_code
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    journal.write("started", time.time())
    loop.run(time.time)
    journal.write("ended", time.time())
    return 0


if __name__ == "__main__":
    sys.exit(main())
