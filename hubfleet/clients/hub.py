"""A student's browser: logs in by the form, starts a server, runs cells over a websocket.

Used by `verify`, the end-to-end tests and the benchmarks; nothing here knows the deployment.
"""

import asyncio
import json
import re
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import aiohttp

from hubfleet.errors import HubfleetError

_REQUEST_S = 180
"""Longest wait for one answer, in seconds: the hub holds a slow start's request for a while."""

_SILENCE_S = 60
"""Longest silence of a start that tells its progress, in seconds: the hub says something every 8 s
(JupyterHub's keepalive), and a wait for a machine may last longer than any one answer."""

_TLS_CLOSE_S = 0.25

_CELL_S = 60
"""Longest wait for one cell, in seconds."""


class HubError(HubfleetError):
    """The hub has refused what a student asked for, or a server has failed."""


@dataclass
class Start:
    """One start of a server."""

    seconds: float = 0.0
    """From the click until the server's page answers."""
    messages: list[tuple[float, str]] = field(default_factory=list)
    """What the student was told, with the seconds since the click."""


class Kernel:
    """An open websocket to a kernel of a student's server."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def run(self, code: str, timeout: float = _CELL_S) -> str:
        """Run a cell; return what it printed, or its traceback. Raises TimeoutError."""
        request = uuid.uuid4().hex
        await self._socket.send_json(_execute_request(request, code))
        output = ""
        async with asyncio.timeout(timeout):
            while True:
                message = json.loads(await self._socket.receive_str())
                if message.get("parent_header", {}).get("msg_id") != request:
                    continue
                content = message["content"]
                if message["msg_type"] == "stream":
                    output += content["text"]
                elif message["msg_type"] == "error":
                    output += "\n".join(content["traceback"])
                elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                    return output.strip()


class Student:
    """A student with a browser of their own; use as `async with`."""

    def __init__(self, url: str, name: str, password: str, ca_file: Path) -> None:
        self.url = url.rstrip("/")
        self._typed = name
        self.name = name.strip().lower()
        self._password = password
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._token: dict[str, str] = {}

    @property
    def path(self) -> str:
        """The path of the student's server."""
        return f"/user/{quote(self.name, safe='@~')}"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            connector=aiohttp.TCPConnector(ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_S),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()
        # aiohttp returns before the TLS connections are closed (its documentation, "Graceful
        # shutdown"); their sockets would outlive the event loop.
        await asyncio.sleep(_TLS_CLOSE_S)

    async def login(self) -> Self:
        """Log in by the form, and take an API token as the hub's page does.

        Raises HubError where the hub refuses.
        """
        async with self._session.get(f"{self.url}/hub/login") as page:
            found = re.search(r'name="_xsrf"\s+value="([^"]+)"', await page.text())
        if not found:
            raise HubError(f"{self.url}/hub/login shows no form (status {page.status})")
        form = {"username": self._typed, "password": self._password, "_xsrf": found[1]}
        target = f"{self.url}/hub/login?next=/hub/home"
        async with self._session.post(target, data=form, allow_redirects=False) as answer:
            if answer.status != 302:
                raise HubError(f"the hub does not let {self._typed!r} in (status {answer.status})")
        async with self._session.get(f"{self.url}/hub/home") as page:
            page.raise_for_status()
        headers = {"X-XSRFToken": self._xsrf(), "Referer": f"{self.url}/hub/home"}
        user = quote(self.name, safe="@~")
        async with self._session.post(
            f"{self.url}/hub/api/users/{user}/tokens", json={"note": "hubfleet"}, headers=headers
        ) as answer:
            if answer.status != 201:
                raise HubError(f"no token for {self.name!r}: {await answer.text()}")
            self._token = {"Authorization": f"token {(await answer.json())['token']}"}
        return self

    def _xsrf(self) -> str:
        return next(
            (
                c.value
                for c in self._session.cookie_jar
                if c.key == "_xsrf" and c["path"] == f"{urlsplit(self.url).path}/hub/"
            ),
            "",
        )

    async def request(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Send a request with the student's token; return status and body (JSON where it is)."""
        async with self._session.request(
            method, self.url + path, headers=self._token, **options
        ) as answer:
            text = await answer.text()
            try:
                return answer.status, json.loads(text)
            except ValueError:
                return answer.status, text

    async def browse(self, path: str) -> tuple[int, str]:
        """Open a page with the browser's cookies alone; return status and final address."""
        async with self._session.get(self.url + path) as page:
            await page.read()
            return page.status, str(page.url)

    async def _must(self, method: str, path: str, **options: Any) -> Any:
        status, body = await self.request(method, path, **options)
        if status >= 400:
            raise HubError(f"{method} {path}: {status} {str(body)[:300]}")
        return body

    @property
    def _api(self) -> str:
        return f"/hub/api/users/{quote(self.name, safe='@~')}"

    async def start(self, **options: str) -> Start:
        """Start the server, with what is asked of it, and wait until its page answers.

        Raises HubError with the reason where it does not start.
        """
        began = time.monotonic()
        start = Start()
        status, body = await self.request("POST", f"{self._api}/server", json=options)
        if status not in {201, 202}:
            raise HubError(f"the server of {self.name} did not start: {_reason(body)}")
        if status == 202:
            await self._follow(start, began)
        await self.ask_status()
        start.seconds = time.monotonic() - began
        return start

    async def ask_status(self) -> Any:
        """Return what the server says of itself. Raises HubError where it does not answer."""
        return await self._must("GET", f"{self.path}/api/status")

    async def _follow(self, start: Start, began: float) -> None:
        target = f"{self.url}{self._api}/server/progress"
        patience = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_S)
        async with self._session.get(target, headers=self._token, timeout=patience) as events:
            async for line in events.content:
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line[5:])
                start.messages.append((time.monotonic() - began, event.get("message", "")))
                if event.get("failed"):
                    raise HubError(f"the server of {self.name} failed: {event['message']}")
                if event.get("ready"):
                    return
        raise HubError(f"the server of {self.name}: the hub stopped telling its progress")

    async def stop(self) -> None:
        """Stop the server and wait until the hub knows that it is gone."""
        await self._must("DELETE", f"{self._api}/server")
        while (await self._must("GET", self._api))["servers"]:
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def kernel(self) -> AsyncIterator[Kernel]:
        """Open a kernel; it is shut down afterwards."""
        made = await self.start_kernel()
        async with self.attach(made) as kernel:
            yield kernel
        await self._must("DELETE", f"{self.path}/api/kernels/{made}")

    async def start_kernel(self) -> str:
        """Start a kernel that stays; return its id."""
        made = await self._must("POST", f"{self.path}/api/kernels", json={"name": "python3"})
        return str(made["id"])

    @asynccontextmanager
    async def attach(self, kernel: str) -> AsyncIterator[Kernel]:
        """Open a connection to a kernel that runs; it runs on afterwards."""
        async with self._session.ws_connect(
            f"{self.url}{self.path}/api/kernels/{kernel}/channels", headers=self._token
        ) as socket:
            yield Kernel(socket)

    async def run(self, code: str, timeout: float = _CELL_S) -> str:
        """Run a cell in a kernel of its own and return its output."""
        async with self.kernel() as kernel:
            return await kernel.run(code, timeout)

    async def write(self, file: str, text: str) -> None:
        """Save a text file in the student's home."""
        body = {"type": "file", "format": "text", "content": text}
        await self._must("PUT", f"{self.path}/api/contents/{file}", json=body)

    async def read(self, file: str) -> str:
        """Return a text file of the student's home."""
        body = await self._must("GET", f"{self.path}/api/contents/{file}")
        return str(body["content"])


def _reason(body: Any) -> str:
    return str(body.get("message", body)) if isinstance(body, dict) else str(body)[:300]


def _execute_request(request: str, code: str) -> dict[str, Any]:
    """Jupyter messaging protocol 5.3, execute_request."""
    return {
        "header": {
            "msg_id": request,
            "msg_type": "execute_request",
            "username": "",
            "session": request,
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "channel": "shell",
        "content": {
            "code": code,
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
        },
    }
