"""What a new machine of AWS finds around it: its metadata service, and AWS's APIs at one address.

SSM is moto's. The metadata service is played here, version 2 only, and so is, where moto does not
know it, the answer to a launch hook.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import requests

INSTANCE = "i-0123456789abcdef0"
TOKEN = "a-token-for-this-machine"
KEYS = {
    "Code": "Success",
    "AccessKeyId": "ASIATEST",
    "SecretAccessKey": "secret",
    "Token": "session",
    "Expiration": "2099-01-01T00:00:00Z",
}

FORWARDED_S = 40
"""An answer takes no longer; a queue holds one back for 20 seconds."""

OF_ONE_CONNECTION = {"connection", "content-encoding", "content-length", "transfer-encoding"}


def metadata(instance: str) -> dict[str, str]:
    """Return what the metadata service tells a machine of itself."""
    return {
        "instance-id": instance,
        "iam/security-credentials/": "hubfleet-role",
        "iam/security-credentials/hubfleet-role": json.dumps(KEYS),
    }


@dataclass
class Surroundings:
    """The address, and what machines have asked of AWS."""

    address: str
    hooks: list[dict[str, str]] = field(default_factory=list)
    """Answers to launch hooks, where they are played here."""
    unsigned: list[str] = field(default_factory=list)
    """Requests to AWS without signature or session token."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Machine and action of each request to AWS."""


@contextmanager
def surroundings(
    moto: str,
    host: str = "127.0.0.1",
    who: Callable[[str], str] = lambda _: INSTANCE,
    plays_hooks: bool = True,
) -> Iterator[Surroundings]:
    """Serve at an address of this machine; `who` tells which machine has an address."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            wanted = "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
            self.answer(200 if wanted and self.path == "/latest/api/token" else 400, TOKEN)

        def do_GET(self) -> None:
            name = self.path.removeprefix("/latest/meta-data/")
            if name == self.path:
                self.forward()
            elif self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
                self.answer(401, "")
            else:
                known = metadata(who(self.client_address[0]))
                self.answer(200 if name in known else 404, known.get(name, ""))

        def do_POST(self) -> None:
            self.forward()

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            signed = "/aws4_request" in self.headers.get("Authorization", "")
            if not signed or self.headers.get("X-Amz-Security-Token") != "session":
                found.unsigned.append(self.path)
            form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            found.asked.append((who(self.client_address[0]), form.get("Action", target)))
            if plays_hooks and form.get("Action") == "CompleteLifecycleAction":
                found.hooks.append(form)
                self.answer(200, "")
                return
            there = requests.request(
                self.command,
                moto + self.path,
                data=body,
                headers=dict(self.headers),
                timeout=FORWARDED_S,
            )
            self.answer(there.status_code, there.content, dict(there.headers))

        def answer(
            self, status: int, said: str | bytes, headers: dict[str, str] | None = None
        ) -> None:
            content = said.encode() if isinstance(said, str) else said
            self.send_response_only(status)
            for name, value in (headers or {}).items():
                if name.lower() not in OF_ONE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # who asked may have ended meanwhile
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True  # one may hold a long poll, which nobody waits for any more
    found = Surroundings(f"http://{host}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
