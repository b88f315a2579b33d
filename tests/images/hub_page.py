"""A JupyterHub of the hub image, with an authenticator of ours and its own proxy; a browser."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from hubfleet import images
from hubfleet.clients import docker, engine

UP_S = 60

CONFIG = """
from pathlib import Path
from types import SimpleNamespace as Is

from hubfleet.hub.authentication import authenticate

c = get_config()
hub = {hub}
authenticate(c, "production", Is(hub=hub), Path("/given/secrets"))
{more}
c.JupyterHub.db_url = "sqlite:////tmp/hub.sqlite"
c.JupyterHub.cookie_secret_file = "/tmp/cookie_secret"
c.ConfigurableHTTPProxy.pid_file = "/tmp/proxy.pid"
"""


@contextmanager
def jupyterhub(
    folder: Path, port: int, hub: str, secrets: Mapping[str, str], more: str = ""
) -> Iterator[str]:
    """Start it on a port, with the settings `hub` (Python) and `more` traits; yield its address."""
    (folder / "secrets").mkdir()
    for name, value in secrets.items():
        (folder / "secrets" / name).write_text(value)
    (folder / "config.py").write_text(CONFIG.format(hub=hub, more=more))
    made = docker.client().containers.run(
        images.reference("hub"),
        ["jupyterhub", "-f", "/given/config.py"],
        volumes={str(folder): {"bind": "/given", "mode": "ro"}},
        ports={"8000/tcp": ("127.0.0.1", port)},
        detach=True,
    )
    url = f"http://127.0.0.1:{port}/hub"
    try:
        until = time.monotonic() + UP_S
        while not _answers(f"{url}/health"):
            assert time.monotonic() < until, engine.logs(str(made.id))
            time.sleep(0.2)
        yield url
    finally:
        engine.remove_container(str(made.id))


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


class Browser:
    """Somebody at the hub's pages."""

    def __init__(self, hub: str, ca_crt: Path | None = None) -> None:
        self.hub, self.session = hub, requests.Session()
        self.session.verify = str(ca_crt) if ca_crt else True
        # Proxies of the environment lead nowhere near.
        self.session.trust_env = False

    def look(self, page: str, **words: str) -> requests.Response:
        """Open a page, and stay there."""
        url = page if page.startswith("http") else f"{self.hub}/{page}"
        return self.session.get(url, params=words, timeout=30, allow_redirects=False)

    def send(self, page: str, **form: str) -> requests.Response:
        """Fill in a page's form and send it."""
        token = re.search(r'name="_xsrf"\s+value="([^"]+)"', self.look(page).text)
        assert token
        sent = {**form, "_xsrf": token[1]}
        url = f"{self.hub}/{page}"
        return self.session.post(url, data=sent, timeout=30, allow_redirects=False)

    def sign_up(self, name: str, password: str) -> None:
        """Choose a name and a password."""
        form = {"signup_password": password, "signup_password_confirmation": password}
        done = self.send("signup", username=name, **form)
        assert done.status_code == 200, done.text
