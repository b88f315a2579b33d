"""HTTPS to our own services: our authority or nothing, and every failure in words."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfleet.clients.web import get_json
from hubfleet.errors import CommandError
from hubfleet.pki import LOCAL_NAMES, Authority


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /json, /text and nothing else."""

    def do_GET(self) -> None:
        bodies = {"/json": b'{"a": 1}', "/text": b"hello"}
        body = bodies.get(self.path, b"")
        self.send_response(200 if body else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    authority = Authority.ensure(tmp_path / "ca.crt", tmp_path / "ca.key", "CA")
    (tmp_path / "server.pem").write_text("".join(authority.issue(LOCAL_NAMES)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_document_is_read(url: str, tmp_path: Path) -> None:
    assert get_json(f"{url}/json", tmp_path / "ca.crt") == {"a": 1}
    assert get_json(f"{url}/text", tmp_path / "ca.crt") is None


def test_a_proxy_of_the_environment_is_not_used(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert get_json(f"{url}/json", tmp_path / "ca.crt") == {"a": 1}


def test_another_status_is_an_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="503"):
        get_json(f"{url}/other", tmp_path / "ca.crt")


def test_another_authority_is_an_error(url: str, tmp_path: Path) -> None:
    Authority.ensure(tmp_path / "other.crt", tmp_path / "other.key", "CA")
    with pytest.raises(CommandError, match="CERTIFICATE_VERIFY_FAILED"):
        get_json(f"{url}/json", tmp_path / "other.crt")


def test_nobody_there_and_no_authority_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no certificate authority"):
        get_json("https://127.0.0.1:1/", tmp_path / "ca.crt")
    Authority.ensure(tmp_path / "ca.crt", tmp_path / "ca.key", "CA")
    with pytest.raises(CommandError, match="refused"):
        get_json("https://127.0.0.1:1/", tmp_path / "ca.crt")
