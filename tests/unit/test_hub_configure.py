"""The hub's configuration: from rendered settings to traits, and the service of a server."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.auth import DummyAuthenticator
from oauthenticator.github import GitHubOAuthenticator
from tornado.web import HTTPError
from traitlets.config import Config

from hubfleet import settings
from hubfleet.errors import SettingsError
from hubfleet.hub import configure
from hubfleet.hub.authenticators import authenticator
from hubfleet.hub.names import USERNAME_PATTERN
from hubfleet.hub.service import Order, labels, task_template
from hubfleet.hub.spawner import FleetSpawner

ORDER = Order(
    user="ann",
    server="",
    image="registry.example/notebook:1",
    command=["jupyterhub-singleuser"],
    environment={"B": "2", "A": "1"},
    home="/srv/homes/ann",
    alias="student-ann-01",
)


def render(tmp_path: Path, environment: str = "local", **hub: Any) -> Path:
    """Write settings as the hub cookbook does, and the secrets."""
    attributes = settings.role_settings("hub", "local")
    attributes["hub"] = {**attributes["hub"], **hub}
    for name in (
        *("fleet_api_token", "proxy_token", "login_password"),
        *("oauth_client_id", "oauth_client_secret"),
    ):
        (tmp_path / name).write_text(f"{name}-value\n")
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"environment": environment, "attributes": attributes}))
    return file


def configured(tmp_path: Path, **options: Any) -> Any:
    """Return the configuration made from rendered settings."""
    c = Config()
    configure(c, render(tmp_path, **options), tmp_path)
    return c


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the stack of cookbook jupyterhub sets."""
    monkeypatch.setenv("HUBFLEET_NOTEBOOK_IMAGE", ORDER.image)


def test_a_server_that_nobody_uses_is_stopped_by_a_service_that_may_do_little_else(
    tmp_path: Path,
) -> None:
    c = configured(tmp_path, idle_s=600)
    (culler,) = (each for each in c.JupyterHub.services if each["name"] == "idle-culler")
    assert culler["command"][-3:] == ["jupyterhub_idle_culler", "--timeout=600", "--cull-every=300"]
    (role,) = (each for each in c.JupyterHub.load_roles if each["name"] == "idle-culler")
    assert role["services"] == ["idle-culler"]
    assert not [scope for scope in role["scopes"] if scope.startswith("admin")]
    never = configured(tmp_path, idle_s=0)
    assert [each["name"] for each in never.JupyterHub.services] == ["fleet"]


def test_servers_run_the_image_that_the_node_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured(tmp_path).FleetSpawner.image == ORDER.image
    monkeypatch.delenv("HUBFLEET_NOTEBOOK_IMAGE")
    with pytest.raises(SettingsError, match="HUBFLEET_NOTEBOOK_IMAGE is not set"):
        configure(Config(), render(tmp_path), tmp_path)


def test_a_restart_of_the_hub_ends_nobodys_server(tmp_path: Path) -> None:
    c = configured(tmp_path)
    assert c.JupyterHub.cleanup_servers is False
    assert c.ConfigurableHTTPProxy.should_start is False
    assert c.ConfigurableHTTPProxy.auth_token == "proxy_token-value"
    assert c.JupyterHub.cookie_secret_file == str(tmp_path / "cookie_secret")


def test_all_students_stand_in_one_line(tmp_path: Path) -> None:
    c = configured(tmp_path)
    users = [SimpleNamespace(name=name, id=1, url=f"/user/{name}/") for name in ("ann", "bob")]
    orm = SimpleNamespace(name="", server=None)
    ann, bob = (FleetSpawner(config=c, user=user, orm_spawner=orm) for user in users)
    assert ann.line is bob.line
    assert ann.room is bob.room
    assert ann.placement is bob.placement


def test_one_password_for_all_only_on_a_laptop(tmp_path: Path) -> None:
    c = configured(tmp_path)
    assert issubclass(c.JupyterHub.authenticator_class, DummyAuthenticator)
    assert c.DummyAuthenticator.password == "login_password-value"
    with pytest.raises(SettingsError, match="only for local and class"):
        configured(tmp_path, environment="production")


@pytest.mark.parametrize("kind", ["dummy", "native", "github", "generic-oauth"])
def test_every_authenticator_says_why_it_refuses_a_name(kind: str) -> None:
    assert authenticator(kind).authenticate.__qualname__.startswith("SaysWhy")


@pytest.mark.filterwarnings("ignore:.*DummyAuthenticator:DeprecationWarning")
def test_a_bad_name_with_the_right_password_is_refused_with_the_rule() -> None:
    login = authenticator("dummy")(password="x", username_pattern=USERNAME_PATTERN + r"\Z")

    def attempt(name: str, password: str = "x") -> Any:
        return asyncio.run(login.authenticate(None, {"username": name, "password": password}))

    assert attempt("BOB") == "BOB"
    assert attempt("b o b", "wrong") is None
    with pytest.raises(HTTPError, match="one word") as caught:
        attempt("b o b")
    assert caught.value.status_code == 403


def test_the_hubs_own_clocks_do_not_cut_a_start_or_a_move(tmp_path: Path) -> None:
    c = configured(tmp_path)
    view = settings.load("local")
    assert c.Spawner.http_timeout >= view.hub.start_timeout_s + view.hub.http_timeout_s


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    file = render(tmp_path)
    (tmp_path / "login_password").unlink()
    with pytest.raises(SettingsError, match="login_password"):
        configure(Config(), file, tmp_path)


def test_oauth_lets_in_only_those_named(tmp_path: Path) -> None:
    oauth = {
        "callback_url": "https://hub.example/hub/oauth_callback",
        "authorize_url": "",
        "token_url": "",
        "userdata_url": "",
        "username_claim": "login",
    }
    c = configured(
        tmp_path,
        environment="production",
        authenticator="github",
        allowed_users=["ann"],
        oauth=oauth,
    )
    assert issubclass(c.JupyterHub.authenticator_class, GitHubOAuthenticator)
    assert c.GitHubOAuthenticator.client_secret == "oauth_client_secret-value"
    assert c.Authenticator.allow_all is False
    assert c.Authenticator.allowed_users == {"ann"}


def test_broken_settings_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text("{")
    with pytest.raises(SettingsError, match=r"settings\.json"):
        configure(Config(), file, tmp_path)


def test_the_service_of_a_server_in_full(tmp_path: Path) -> None:
    _, view = settings.read_hub_view(render(tmp_path))
    notebook = view.notebook
    assert task_template(ORDER, view) == {
        "ContainerSpec": {
            "Image": "registry.example/notebook:1",
            "Args": ["jupyterhub-singleuser"],
            "Env": ["A=1", "B=2"],
            "User": f"{notebook.uid}:{notebook.uid}",
            "Dir": "/home/student",
            "Mounts": [{"Type": "bind", "Source": "/srv/homes/ann", "Target": "/home/student"}],
            "CapabilityDrop": ["ALL"],
            "Privileges": {"NoNewPrivileges": True},
            "StopGracePeriod": notebook.stop_grace_s * 10**9,
            "Labels": labels(ORDER),
        },
        "Resources": {
            "Limits": {
                "MemoryBytes": notebook.memory_limit_mb * 2**20,
                "NanoCPUs": int(notebook.cpu_limit * 10**9),
                "Pids": notebook.pids_limit,
            },
            "Reservations": {
                "MemoryBytes": notebook.memory_guarantee_mb * 2**20,
                "NanoCPUs": int(notebook.cpu_guarantee * 10**9),
                "GenericResources": [{"DiscreteResourceSpec": {"Kind": "seat", "Value": 1}}],
            },
        },
        "Networks": [{"Target": "notebooks", "Aliases": ["student-ann-01"]}],
        "Placement": {"Constraints": ["node.role==worker"]},
        "RestartPolicy": {
            "Condition": "on-failure",
            "Delay": 10**9,
            "MaxAttempts": 5,
            "Window": 120 * 10**9,
        },
    }
