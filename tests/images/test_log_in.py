"""Log-in at a provider, as a browser meets it, at the JupyterHub of the hub image.

The provider is played: it takes everybody for whom the code says they are.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from hubfleet.clients import docker
from hubfleet.clients.chef_process import free_port
from tests.images.hub_page import Browser, jupyterhub

SECRETS = {"oauth_client_id": "the id", "oauth_client_secret": "the secret"}


@contextmanager
def provider(claim: str) -> Iterator[str]:
    """Serve a provider to containers: the token is the code, and the code is a user's name."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.answer({"access_token": form["code"][0], "token_type": "bearer"})

        def do_GET(self) -> None:
            name = self.headers["Authorization"].split()[1]
            self.answer({claim: name, "email": f"{name}@example.org"})

        def answer(self, document: dict[str, str]) -> None:
            content = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    bridge = docker.client().networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    server = ThreadingHTTPServer((bridge, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{bridge}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(
    scope="module", params=[("github", "login"), ("oidc", "preferred_username")], ids=lambda p: p[0]
)
def hub(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a hub and of its provider."""
    kind, claim = request.param
    port = free_port()
    with provider(claim) as there:
        urls = {name: f"{there}/{name}" for name in ("authorize_url", "token_url", "userdata_url")}
        oauth = {
            "callback_url": f"http://127.0.0.1:{port}/hub/oauth_callback",
            "username_claim": claim,
            **urls,
        }
        settings = (
            f"Is(authenticator={kind!r}, admin_users=['teacher'], allowed_users=['anna'], "
            f"oauth=Is(**{oauth!r}))"
        )
        # GitHub's own addresses are no settings.
        more = "\n".join(f"c.GitHubOAuthenticator.{key} = {url!r}" for key, url in urls.items())
        folder = tmp_path_factory.mktemp("hub")
        with jupyterhub(folder, port, settings, SECRETS, more) as url:
            yield url, there


def come_back(hub: str, there: str, name: str) -> tuple[Browser, int]:
    """Go to the provider, and come back as somebody; return the browser and the status."""
    browser = Browser(hub)
    sent = browser.look("oauth_login")
    assert sent.status_code == 302
    target = urlsplit(sent.headers["Location"])
    assert f"http://{target.netloc}{target.path}" == f"{there}/authorize_url"
    words = parse_qs(target.query)
    assert words["client_id"] == ["the id"]
    done = browser.look(words["redirect_uri"][0], code=name, state=words["state"][0])
    return browser, done.status_code


@pytest.mark.parametrize("name", ["anna", "teacher"])
def test_who_may_is_let_in(hub: tuple[str, str], name: str) -> None:
    browser, status = come_back(*hub, name)
    assert status == 302
    assert name in browser.look("home").text


def test_who_stands_in_no_list_is_not(hub: tuple[str, str]) -> None:
    browser, status = come_back(*hub, "mallory")
    assert status == 403
    assert browser.look("home").status_code == 302


def test_who_comes_back_without_having_gone_is_not(hub: tuple[str, str]) -> None:
    url, _ = hub
    browser = Browser(url)
    assert browser.look("oauth_callback", code="anna", state="made-up").status_code in {400, 403}
    assert browser.look("home").status_code == 302
