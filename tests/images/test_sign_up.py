"""Sign-up, as a browser meets it, at the JupyterHub of the hub image."""

import re
import time
from collections.abc import Iterator

import pytest
import requests

from hubfleet import images
from hubfleet.clients import docker, engine

PASSWORD = "a long password of a test"
UP_S = 60

CONFIG = """
from pathlib import Path
from types import SimpleNamespace as Is

from hubfleet.hub.authentication import authenticate

c = get_config()
hub = Is(authenticator="native", admin_users=["teacher"], allowed_users=[])
authenticate(c, "production", Is(hub=hub), Path("/nowhere"))
c.JupyterHub.db_url = "sqlite:////tmp/hub.sqlite"
c.JupyterHub.cookie_secret_file = "/tmp/cookie_secret"
c.ConfigurableHTTPProxy.pid_file = "/tmp/proxy.pid"
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start JupyterHub with its own proxy, and yield its address."""
    config = tmp_path_factory.mktemp("hub") / "config.py"
    config.write_text(CONFIG)
    made = docker.client().containers.run(
        images.reference("hub"),
        ["jupyterhub", "-f", "/config.py"],
        volumes={str(config): {"bind": "/config.py", "mode": "ro"}},
        ports={"8000/tcp": ("127.0.0.1", None)},
        detach=True,
    )
    try:
        made.reload()
        port = made.ports["8000/tcp"][0]["HostPort"]
        url = f"http://127.0.0.1:{port}/hub"
        until = time.monotonic() + UP_S
        while not answers(f"{url}/health"):
            assert time.monotonic() < until, engine.logs(str(made.id))
            time.sleep(0.2)
        yield url
    finally:
        engine.remove_container(str(made.id))


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


class Browser:
    """Somebody at the hub's pages."""

    def __init__(self, hub: str) -> None:
        self.hub, self.session = hub, requests.Session()

    def sign_up(self, name: str) -> str:
        """Return what the page says."""
        form = {"signup_password": PASSWORD, "signup_password_confirmation": PASSWORD}
        return self.send("signup", username=name, **form).text

    def log_in(self, name: str, password: str) -> requests.Response:
        return self.send("login", username=name, password=password)

    def send(self, page: str, **form: str) -> requests.Response:
        """Fill in a page's form and send it."""
        url = f"{self.hub}/{page}"
        token = re.search(r'name="_xsrf"\s+value="([^"]+)"', self.session.get(url, timeout=30).text)
        assert token
        sent = {**form, "_xsrf": token[1]}
        return self.session.post(url, data=sent, timeout=30, allow_redirects=False)


def test_an_administrator_signs_up_logs_in_and_lets_a_student_in(hub: str) -> None:
    teacher, student = Browser(hub), Browser(hub)
    teacher.sign_up("teacher")
    assert teacher.log_in("teacher", PASSWORD).status_code == 302
    student.sign_up("anna")
    refused = student.log_in("anna", PASSWORD)
    assert refused.status_code == 200
    assert "has not been authorized by an administrator" in " ".join(refused.text.split())
    listed = teacher.session.get(f"{hub}/authorize", timeout=30).text
    assert "anna" in listed
    assert teacher.session.get(f"{hub}/authorize/anna", timeout=30).status_code == 200
    assert student.log_in("anna", PASSWORD).status_code == 302


def test_a_wrong_password_is_told_on_the_form(hub: str) -> None:
    refused = Browser(hub).log_in("nobody", "a wrong password")
    assert refused.status_code == 200
    assert "Invalid username or password" in refused.text
    assert 'name="password"' in refused.text


def test_a_form_that_has_grown_old_is_shown_again_with_a_word(hub: str) -> None:
    form = {"username": "anna", "password": PASSWORD, "_xsrf": "old"}
    refused = requests.post(f"{hub}/login", data=form, timeout=30)
    assert refused.status_code == 403
    assert "Login form invalid or expired. Try again." in refused.text
    assert 'name="password"' in refused.text
