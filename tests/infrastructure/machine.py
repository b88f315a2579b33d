"""What a new machine of AWS finds around it: its metadata service, and AWS's APIs at one address.

SSM is moto's. The metadata service is played here, version 2 only, and so is the answer to a launch
hook: moto knows neither.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import requests

INSTANCE = "i-0123456789abcdef0"
TOKEN = "a-token-for-this-machine"
KEYS = '{"AccessKeyId": "ASIATEST", "SecretAccessKey": "secret", "Token": "session"}'

METADATA = {
    "instance-id": INSTANCE,
    "iam/security-credentials/": "hubfleet-role",
    "iam/security-credentials/hubfleet-role": KEYS,
}


@dataclass
class Surroundings:
    """The address, and what the machine said to the Auto Scaling group."""

    address: str
    hooks: list[dict[str, str]] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    """Requests to AWS without signature or session token."""


@contextmanager
def surroundings(moto: str) -> Iterator[Surroundings]:
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
                self.answer(200 if name in METADATA else 404, METADATA.get(name, ""))

        def do_POST(self) -> None:
            self.forward()

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            signed = "/aws4_request" in self.headers.get("Authorization", "")
            if not signed or self.headers.get("X-Amz-Security-Token") != "session":
                found.unsigned.append(self.path)
            form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
            if form.get("Action") == "CompleteLifecycleAction":
                found.hooks.append(form)
                self.answer(200, "")
                return
            there = requests.request(
                self.command, moto + self.path, data=body, headers=dict(self.headers), timeout=20
            )
            self.answer(there.status_code, there.text)

        def answer(self, status: int, text: str) -> None:
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Surroundings(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
