"""JupyterHub's API as the controller uses it, with the token of the hub's service `fleet`.

Times are POSIX seconds. Every method raises CommandError where the hub refuses or does not answer.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests

from hubfleet.errors import CommandError

TIMEOUT_S = 15
SETTLED_S = 30.0
"""What a server does so long after its start is part of the start."""

PAGE = 200
"""Users, or routes, in one answer."""

PAGINATED = "application/jupyterhub-pagination+json"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that the hub knows, ready or on its way."""

    user: str
    ready: bool
    pending: str
    """`spawn`, `stop` or empty."""
    started_at: float | None
    last_activity: float | None
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the spawner keeps; `object_id` is the Swarm service's id."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What it was started with; `prestart` names the group that it was started ahead for."""

    @property
    def used(self) -> bool:
        """Say whether anybody has used it since its start, as far as the hub was told."""
        if self.started_at is None or self.last_activity is None:
            return False
        return self.last_activity > self.started_at + SETTLED_S


class HubService:
    """The hub whose pages are at `url`, such as http://127.0.0.1:8000."""

    def __init__(self, url: str, token: str, ca_file: str | None = None) -> None:
        self._api = f"{url.rstrip('/')}/hub/api"
        self._session = requests.Session()
        # Proxies of the environment have no part in a connection within the deployment.
        self._session.trust_env = False
        self._session.verify = ca_file or True
        self._session.headers["Authorization"] = f"token {token}"

    def servers(self) -> list[Server]:
        """Return the servers that the hub knows: ready, starting or stopping."""
        # `active` also names those whose server is on its way.
        found: list[Server] = []
        with _odd("/users"):
            for page in self._pages("/users", state="active", include_stopped_servers=0):
                for user in page:
                    found += [_server(user["name"], each) for each in user["servers"].values()]
        return found

    def start(self, user: str, prestart: str = "") -> None:
        """Have a student's server started; one that runs or starts is no error.

        `prestart` is the group that it is started ahead for, which the hub then tells in `options`.
        """
        options = {"prestart": prestart} if prestart else {}
        self._call("POST", f"{_user(user)}/server", allow={400}, body=options)

    def stop(self, user: str) -> None:
        """Have a student's server stopped; one that is not there is no error."""
        self._call("DELETE", f"{_user(user)}/server", allow={404, 400})

    def groups(self) -> dict[str, list[str]]:
        """Return the members of every group."""
        with _odd("/groups"):
            return {each["name"]: list(each["users"]) for each in self._call("GET", "/groups")}

    def routes(self) -> dict[str, str]:
        """Return where the proxy sends each path."""
        # Without pages the hub leaves out what is beyond its largest one.
        with _odd("/proxy"):
            return {
                path: str(route["target"])
                for page in self._pages("/proxy")
                for path, route in page.items()
            }

    def check_routes(self) -> None:
        """Have the hub give the proxy the routes that it lacks."""
        self._call("POST", "/proxy")

    def _pages(self, path: str, **query: str | int) -> Iterator[Any]:
        """Yield the items of every page of an answer."""
        offset: int | None = 0
        while offset is not None:
            page = self._call("GET", path, params={**query, "offset": offset, "limit": PAGE})
            yield page["items"]
            following = page["_pagination"]["next"]
            offset = following["offset"] if following else None

    def _call(
        self,
        method: str,
        path: str,
        *,
        allow: frozenset[int] | set[int] = frozenset(),
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> Any:
        try:
            answer = self._session.request(
                method,
                f"{self._api}{path}",
                params=params,
                json=body,
                headers={"Accept": PAGINATED} if params else None,
                timeout=TIMEOUT_S,
            )
        except OSError as error:  # so are requests' own, and a CA file that is not there
            raise CommandError(f"the hub does not answer: {error}") from error
        if not answer.ok and answer.status_code not in allow:
            raise CommandError(
                f"the hub refuses {method} {path}: {answer.status_code} {_why(answer)}"
            )
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise CommandError(f"{method} {path}: the hub's answer is no JSON") from error


@contextmanager
def _odd(path: str) -> Iterator[None]:
    """Turn what an answer in another shape raises into our error: it is no data."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CommandError(f"GET {path}: the hub's answer is in an odd shape: {error!r}") from error


def _user(name: str) -> str:
    return f"/users/{quote(name, safe='@~')}"


def _why(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason


def _server(user: str, found: Mapping[str, Any]) -> Server:
    return Server(
        user=user,
        ready=bool(found["ready"]),
        pending=found.get("pending") or "",
        started_at=_seconds(found.get("started")),
        last_activity=_seconds(found.get("last_activity")),
        state=found.get("state") or {},
        options=found.get("user_options") or {},
    )


def _seconds(moment: str | None) -> float | None:
    return datetime.fromisoformat(moment).timestamp() if moment else None
