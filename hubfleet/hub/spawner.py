"""FleetSpawner: SwarmSpawner for a real Swarm, with true states, reasons, and no orphans.

What differs from dockerspawner's SwarmSpawner, and why, is in docs/explanation/spawner.md.
"""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from docker.errors import APIError
from dockerspawner import SwarmSpawner
from jupyterhub.spawner import SpawnException
from traitlets import Any as AnyTrait
from traitlets import default

from hubfleet.errors import HubfleetError
from hubfleet.hub import service
from hubfleet.hub.homes import ensure_home
from hubfleet.hub.names import service_name, start_alias
from hubfleet.hub.readiness import INTERVAL_S, until_answers
from hubfleet.hub.tasks import Status, newest

_ENGINE_THREADS = 8
"""Calls to the engine at once; dockerspawner's one thread makes every start wait for every poll."""


def _is_gone(error: APIError) -> bool:
    return error.response is not None and error.response.status_code == 404


class FleetSpawner(SwarmSpawner):
    """A student's server: one Swarm service on a worker."""

    settings = AnyTrait(config=True, help="The settings that Chef rendered, a HubView.")
    line = AnyTrait(config=True, help="The Line that all starts of this hub stand in.")

    _executor = ThreadPoolExecutor(_ENGINE_THREADS, thread_name_prefix="engine")
    object_id: str
    _alias = ""
    _status: Status | None = None

    @default("object_name")
    def _default_object_name(self) -> str:
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
        self._alias = ""
        self.object_name = service_name(self.user.name, self.name)

    async def look(self) -> Status | None:
        """Return the state of the server's newest task, None where there is no service."""
        try:
            tasks = await self.docker("tasks", filters={"service": self.object_name})
        except APIError as error:
            if _is_gone(error):
                return None
            raise
        return newest(tasks, self.object_id)

    async def poll(self) -> str | int | None:
        """Return None while the server lives or will live again, else its end in words.

        A server that has ended leaves a service behind, which the hub would never remove, as it
        does not stop what is not running: it is removed here.
        """
        if not self.object_id:
            return 0
        status = await self.look()
        if status is not None and status.alive:
            return None
        await self.remove_object()
        return status.message if status else 0

    async def create_object(self) -> Any:
        """Create the service and return the engine's answer."""
        order = service.Order(
            user=self.user.name,
            server=self.name,
            image=self.image,
            command=await self.get_command(),
            environment=self.get_env(),
            home=str(self._home()),
            alias=self._alias,
        )
        return await self.docker(
            "create_service",
            task_template=service.task_template(order, self.settings),
            endpoint_spec={"Mode": "dnsrr"},
            name=self.object_name,
            labels=service.labels(order),
        )

    def _home(self) -> Path:
        base = Path(self.settings.storage.homes)
        try:
            return ensure_home(base, self.user.name, self.settings.notebook.uid)
        except HubfleetError as error:
            raise SpawnException(error.message, reason="home") from error

    async def start(self) -> Any:
        """Start the server and return its address and port.

        Raises SpawnException with the engine's own words where the server cannot start; then no
        service is left behind.
        """
        self._status = None
        self._alias = start_alias(self.object_name)
        limit_s = self.settings.hub.start_timeout_s
        try:
            async with self.line.turn(self), asyncio.timeout(limit_s):
                return await super().start()
        except TimeoutError:
            await self.remove_object()
            seen = self._status.message if self._status else "The Swarm has not answered"
            raise SpawnException(
                f"Your server was not ready after {limit_s} s. {seen}", reason="timeout"
            ) from None

    async def start_object(self) -> None:
        """Wait until the server answers, or say why it will not."""
        while (status := await self.look()) is None or status.state != "running":
            self._status = status or self._status
            if status and not status.rising:
                await self.remove_object()
                raise SpawnException(f"{status.message}.", reason=status.state)
            await asyncio.sleep(INTERVAL_S)
        self._status = status
        await until_answers(f"http://{self._alias}:{self.port}{self.server.base_url}api")

    async def get_ip_and_port(self) -> tuple[str, int]:
        """Return the DNS name of this start, and the port."""
        return self._alias, self.port

    @property
    def internal_hostname(self) -> str:
        """Return the name by which hub and proxy reach the server."""
        return self._alias

    async def remove_object(self) -> None:
        """Remove the service; that it is gone already is as good."""
        try:
            await self.docker("remove_service", self.object_id or self.object_name)
        except APIError as error:
            if not _is_gone(error):
                raise
        self.object_id = ""

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
        return self._status.percent, self._status.message
