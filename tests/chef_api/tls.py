"""TLS in front of a server process, as nginx is on a machine."""

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from hubfleet.pki import Authority

TIMEOUT_S = 30


@contextmanager
def behind_tls(url: str, directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield an https URL that leads to `url`, and the certificate of its own authority."""
    authority = Authority.ensure(directory / "ca.crt", directory / "ca.key", "another CA")
    certificate, key = authority.issue(["localhost"])
    pair = directory / "server.pem"
    pair.write_text(certificate + key)
    with in_front(url, pair) as port:
        yield f"https://localhost:{port}", directory / "ca.crt"


@contextmanager
def in_front(url: str, pair: Path, port: int = 0) -> Iterator[int]:
    """Lead to `url` from a port, which is yielded; `pair` has certificate and key in PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    target = urlsplit(url)

    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            behind = http.client.HTTPConnection(target.netloc, timeout=TIMEOUT_S)
            headers = {**self.headers, "X-Forwarded-Proto": "https"}
            behind.request(self.command, self.path, body, headers)
            answer = behind.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            behind.close()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = forward

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    front = ThreadingHTTPServer(("127.0.0.1", port), Front)
    front.daemon_threads = True
    front.socket = context.wrap_socket(front.socket, server_side=True)
    thread = threading.Thread(target=front.serve_forever, daemon=True)
    thread.start()
    try:
        yield front.server_port
    finally:
        front.shutdown()
        front.server_close()
        thread.join()
        front.server_close()
