"""Signed requests as they go over the wire, so that each part of them can be altered."""

import http.client
import itertools
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa

from hubfleet.clients.chef_wire import private_key, sign
from tests.chef_api.target import Target

TIMEOUT_S = 20
SPREAD = 600
"""Requests are dated up to so many seconds ahead, so that no two writes have one signature."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    text: str

    @property
    def document(self) -> Any:
        """The answer's JSON."""
        return json.loads(self.text)


@dataclass
class Raw:
    """A server, asked request by request over one connection.

    `variant` names the control that a server of tests/chef_api/loosened.rb leaves out.
    """

    target: Target
    variant: str = ""
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @cached_property
    def connection(self) -> http.client.HTTPConnection:
        """One connection for all requests; paths and headers go as they are given."""
        url = urlsplit(self.target.url)
        host = url.hostname or ""
        if url.scheme == "http":
            return http.client.HTTPConnection(host, url.port, timeout=TIMEOUT_S)
        context = ssl.create_default_context(cafile=str(self.target.ca))
        return http.client.HTTPSConnection(host, url.port, timeout=TIMEOUT_S, context=context)

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    @property
    def root(self) -> str:
        """Path of the organization."""
        return urlsplit(self.target.url).path

    def path(self, path: str) -> str:
        """Return a path of the server for one below the organization; `/...` is one already."""
        return path if path.startswith("/") else f"{self.root}/{path}" if path else self.root

    def key(self, name: str) -> rsa.RSAPrivateKey:
        """Return the private key in keys/NAME.pem."""
        if name not in self.keys:
            self.keys[name] = private_key(Path(self.target.keys / f"{name}.pem"))
        return self.keys[name]

    def headers(
        self,
        client: str,
        verb: str,
        path: str,
        body: str | bytes = "",
        *,
        key: str = "",
        at: datetime | None = None,
    ) -> dict[str, str]:
        """Return the headers that sign a request; `at` is a time of its own when not given."""
        when = at or datetime.now(UTC) + timedelta(seconds=next(self.numbers) % SPREAD)
        signed_path = self.path(path).split("?", 1)[0]
        return sign(self.key(key or client), client, verb, signed_path, body, when)

    def send(
        self, verb: str, path: str, headers: Mapping[str, str], body: str | bytes = ""
    ) -> Answer:
        """Send a request as it is given."""
        extra = {"X-Variant": self.variant} if self.variant else {}
        self.connection.request(
            verb,
            self.path(path),
            body or None,
            {"Accept": "application/json", **extra, **headers},
        )
        response = self.connection.getresponse()
        return Answer(response.status, response.read().decode(errors="replace"))

    def ask(
        self, client: str, verb: str, path: str, document: Any = None, *, key: str = ""
    ) -> Answer:
        """Send a signed request; the document goes as JSON, bytes as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document or {})
        if document is None and verb in ("GET", "DELETE", "HEAD"):
            body = ""
        headers = self.headers(client, verb, path, body, key=key)
        return self.send(verb, path, {**headers, "Content-Type": "application/json"}, body)
