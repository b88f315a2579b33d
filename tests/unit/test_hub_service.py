"""The hub's answers as the controller reads them: good ones, refusals, and odd ones."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hubfleet.clients.hub_service import HubService
from hubfleet.errors import CommandError

Answer = Callable[[int, str], HubService]


@pytest.fixture
def hub() -> Iterator[Answer]:
    """Return what sets the hub's only answer, and returns the client."""
    said: list[Any] = [200, ""]

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = said[1].encode()
            self.send_response(said[0])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def answers(status: int, body: str) -> HubService:
        said[:] = [status, body]
        return HubService(f"http://127.0.0.1:{server.server_port}", "token")

    yield answers
    server.shutdown()
    thread.join()
    server.server_close()


def page(items: Any) -> str:
    return json.dumps({"items": items, "_pagination": {"next": None}})


def test_what_the_hub_knows_is_read(hub: Answer) -> None:
    server = {"ready": True, "pending": None, "started": "2026-01-01T00:00:00Z"}
    (found,) = hub(200, page([{"name": "ann", "servers": {"": server}}])).servers()
    assert (found.user, found.ready, found.started_at) == ("ann", True, 1767225600.0)
    assert hub(200, '[{"name": "chem", "users": ["ann"]}]').groups() == {"chem": ["ann"]}
    assert hub(200, page({"/user/ann/": {"target": "http://a:1"}})).routes() == {
        "/user/ann/": "http://a:1"
    }


ODD = [
    "",
    "null",
    "[]",
    "{}",
    '{"items": null, "_pagination": {"next": null}}',
    '{"items": [{}]}',
    '{"items": {"/a": {}}, "_pagination": {"next": null}}',
    '{"items": {"/a": null}, "_pagination": {"next": null}}',
    '{"items": [{"name": "a", "servers": null}], "_pagination": {"next": null}}',
    '{"items": [{"name": "a", "servers": {"": {"ready": 1, "started": "now"}}}]}',
    '[{"name": "a"}]',
    '["a"]',
    "7",
    "<html>",
]


@pytest.mark.parametrize("body", ODD)
def test_an_answer_in_an_odd_shape_is_no_data(hub: Answer, body: str) -> None:
    service = hub(200, body)
    for read in (service.servers, service.groups, service.routes):
        try:
            assert not read()
        except CommandError as error:
            assert "answer" in error.message


def test_a_refusal_says_why(hub: Answer) -> None:
    with pytest.raises(CommandError, match="403 no such scope"):
        hub(403, '{"message": "no such scope"}').groups()
    with pytest.raises(CommandError, match="502"):
        hub(502, "<html>bad gateway</html>").groups()
