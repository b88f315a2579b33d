"""FleetSpawner: SwarmSpawner for a real Swarm, with true states, reasons, and no orphans.

What differs from dockerspawner's SwarmSpawner, and why, is in docs/explanation/spawner.md.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException
from dockerspawner import SwarmSpawner
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import maybe_future
from traitlets import Any as AnyTrait
from traitlets import default

from hubfleet.controller import report
from hubfleet.errors import HubfleetError
from hubfleet.hub import service
from hubfleet.hub.homes import ensure_home
from hubfleet.hub.names import service_name, start_alias
from hubfleet.hub.readiness import INTERVAL_S, until_answers
from hubfleet.hub.tasks import Status, first_failure, newest
from hubfleet.hub.wait import Wait, too_late, wait

_ENGINE_THREADS = 8
"""Calls to the engine at once; dockerspawner's one thread makes every start wait for every poll."""

_ENGINE_ERRORS = (DockerException, OSError)
"""What docker-py raises: the engine refuses, or does not answer (requests raises OSErrors)."""

_REMOVE_ATTEMPTS = 4
_RETRY_S = 2.0
"""A manager that restarts takes seconds until it can change anything; each pause is longer."""

_STORAGE_S = 20
"""Longest wait for the storage of the homes: a file server that is away blocks for ever."""


def _is_gone(error: Exception) -> bool:
    return isinstance(error, APIError) and error.status_code == 404


class StartFailed(SpawnException):
    """A start that failed for a reason that the student reads as it is."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason=reason)
        # Else JupyterHub shows the class name and the HTTP status, too.
        self.jupyterhub_message = message


class FleetSpawner(SwarmSpawner):
    """A student's server: one Swarm service on a worker."""

    settings = AnyTrait(config=True, help="The settings that Chef rendered, a HubView.")
    room = AnyTrait(config=True, help="The WaitingRoom of all starts that wait for a seat.")
    report_file = AnyTrait(config=True, help="Path of the controller's report.")
    placement = AnyTrait(config=True, help="The Placement that all starts of this hub ask.")
    line = AnyTrait(config=True, help="The Line that all starts of this hub stand in.")

    _executor = ThreadPoolExecutor(_ENGINE_THREADS, thread_name_prefix="engine")
    object_id: str
    _alias = ""
    _status: Status | None = None
    _waits: Wait | None = None
    _removed = False

    # dockerspawner's own name for it: it also calls the method whenever the image is set.
    @default("object_name")
    def _object_name_default(self) -> str:
        return service_name(self.user.name, self.name)

    def get_state(self) -> dict[str, Any]:
        """Return what the hub keeps of a running server."""
        return {**super().get_state(), "alias": self._alias}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what the hub has kept."""
        super().load_state(state)
        self._alias = state.get("alias", "")

    def clear_state(self) -> None:
        """Forget a stopped server."""
        super().clear_state()
        self._status = None
        self._alias = ""
        self.object_name = service_name(self.user.name, self.name)

    async def poll(self) -> str | int | None:
        """Return None while the server lives or will live again, else its end in words.

        An engine that does not answer says nothing about the server, which then counts as alive: a
        hub that comes up together with its machine must not drop everybody's server.
        """
        if not self.object_id:
            return 0
        try:
            status = newest(await self._tasks(), self.object_id)
            alive = await self._exists() if status is None else status.alive
            self._status = status or self._status
        except _ENGINE_ERRORS as error:
            self.log.warning("cannot look at the server of %s: %s", self._log_name, error)
            return None
        return None if alive else (status.message if status else 0)

    async def create_object(self) -> Any:
        """Create the service and return the engine's answer."""
        order = service.Order(
            user=self.user.name,
            server=self.name,
            image=self.image,
            command=service.command(self.user_options, await self.get_command(), self.settings),
            environment=self.get_env(),
            home=str(await self._home()),
            alias=self._alias,
            worker=self.placement.choose(),
        )
        try:
            return await self.docker(
                "create_service",
                task_template=service.task_template(order, self.settings),
                endpoint_spec={"Mode": "dnsrr"},
                name=self.object_name,
                labels=service.labels(order),
            )
        except _ENGINE_ERRORS as error:
            words = getattr(error, "explanation", None) or error
            raise StartFailed(f"The Swarm did not take your server: {words}", "engine") from error

    async def _home(self) -> Path:
        base = Path(self.settings.storage.homes)
        make = asyncio.to_thread(ensure_home, base, self.user.name, self.settings.notebook.uid)
        try:
            return await asyncio.wait_for(make, _STORAGE_S)
        except HubfleetError as error:
            raise StartFailed(error.message, "home") from error
        except TimeoutError as error:
            words = f"The storage of the homes did not answer within {_STORAGE_S} s"
            raise StartFailed(f"{words}; please tell your administrator.", "home") from error

    async def start(self) -> Any:
        """Start the server and return its address and port.

        Raises StartFailed with the engine's own words where the server cannot start. However a
        start ends before its time, no service is left behind.
        """
        self._status = None
        self._removed = False
        self._alias = start_alias(self.object_name)
        async with self.line.turn(self) as leave:
            self._leave = leave
            try:
                async with asyncio.timeout(self.settings.hub.start_timeout_s) as self._deadline:
                    return await super().start()
            except TimeoutError:
                await self.remove_object()
                raise StartFailed(self._too_late(), "timeout") from None
            except BaseException:
                await asyncio.shield(self.remove_object())
                raise
            finally:
                self.room.leave(self)

    _leave: Callable[[], None]
    _deadline: asyncio.Timeout

    def _too_late(self) -> str:
        hub, status = self.settings.hub, self._status
        if status is None:
            return f"The Swarm did nothing with your server for {hub.start_timeout_s} s"
        if status.state == "running":
            return f"Your server runs, but did not answer within {hub.http_timeout_s} s"
        if status.waits_for_room:
            return too_late(report.read(self.report_file, time.time()), hub.start_timeout_s)
        return f"Your server was not ready after {hub.start_timeout_s} s. {status.message}"

    async def start_object(self) -> None:
        """Wait until the server answers, or say why it will not."""
        url = f"http://{self._alias}:{self.port}{self.server.base_url}api"
        answer: asyncio.Task[None] | None = None
        try:
            while True:
                await self._look()
                if answer is None and self._status and self._status.state == "running":
                    answer = asyncio.create_task(until_answers(url))
                    now = asyncio.get_running_loop().time()
                    self._deadline.reschedule(now + self.settings.hub.http_timeout_s)
                if answer is None:
                    await asyncio.sleep(max(INTERVAL_S, self.room.pause(self)))
                elif (await asyncio.wait({answer}, timeout=1))[0]:
                    return answer.result()
        finally:
            if answer is not None:
                answer.cancel()

    async def _look(self) -> None:
        """Take in the newest task; raise StartFailed where one has failed."""
        try:
            tasks = await self._tasks()
        except _ENGINE_ERRORS as error:
            self.log.warning("cannot look at the start of %s: %s", self._log_name, error)
            return
        if failure := first_failure(tasks, self.object_id):
            raise StartFailed(f"{failure.message}.", failure.state)
        self._status = newest(tasks, self.object_id) or self._status
        if self._status and self._status.waits_for_room:
            self._leave()
            self._wait_for_room()
        else:
            self.room.leave(self)
            self._waits = None

    def _wait_for_room(self) -> None:
        """Note what to tell; while seats are on their way the start's own time does not run."""
        self.room.enter(self)
        now = time.time()
        place, waiting = self.room.place(self)
        self._waits = wait(report.read(self.report_file, now), place, waiting, now)
        if self._waits.hopeful:
            later = asyncio.get_running_loop().time() + self.settings.hub.start_timeout_s
            self._deadline.reschedule(later)

    async def _tasks(self) -> Any:
        """Return the tasks of the service; none where it is gone."""
        try:
            return await self.docker("tasks", filters={"service": self.object_id})
        except APIError as error:
            if not _is_gone(error):
                raise
            return []

    async def _exists(self) -> bool:
        try:
            await self.docker("inspect_service", self.object_id)
        except APIError as error:
            if not _is_gone(error):
                raise
            return False
        return True

    async def get_ip_and_port(self) -> tuple[str, int]:
        """Return the DNS name of this start, and the port."""
        return self._alias, self.port

    @property
    def internal_hostname(self) -> str:
        """Return the name by which hub and proxy reach the server."""
        return self._alias

    async def remove_object(self) -> None:
        """Remove the service; that it is gone already is as good."""
        for attempt in range(1, _REMOVE_ATTEMPTS + 1):
            try:
                await self.docker("remove_service", self.object_id or self.object_name)
                break
            except _ENGINE_ERRORS as error:
                if _is_gone(error):
                    break
                if attempt == _REMOVE_ATTEMPTS:
                    raise
                await asyncio.sleep(_RETRY_S * attempt)
        self.object_id = ""
        self._removed = True

    async def run_post_stop_hook(self) -> None:
        """Remove what is left when the hub drops a server that it did not have to stop.

        That is a server that has ended by itself, and one whose start the hub did not survive.
        """
        if not self._removed:
            await self.remove_object()
        await maybe_future(super().run_post_stop_hook())

    async def progress(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what happens to a start whenever it changes, with the reason of a wait."""
        told = ""
        while True:
            percent, message = self._news()
            if message != told:
                told = message
                yield {"progress": percent, "message": message}
            await asyncio.sleep(INTERVAL_S)

    def _news(self) -> tuple[int, str]:
        if place := self.line.place(self):
            return 0, f"Many start at once: you are number {place} in line"
        if self._status is None:
            return 5, "Your server is ordered"
        if self._waits:
            return self._status.percent, self._waits.sentence
        return self._status.percent, self._status.message

    @property
    def member(self) -> str:
        """Return the id of the Swarm's member that the server is on, as of the last look."""
        return self._status.node if self._status else ""
