"""Sign-up, as a browser meets it, at the JupyterHub of the hub image."""

from collections.abc import Iterator

import pytest
import requests

from hubfleet.clients.chef_process import free_port
from tests.images.hub_page import Browser, jupyterhub

PASSWORD = "a long password of a test"
HUB = "Is(authenticator='native', admin_users=['teacher'], allowed_users=[])"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with jupyterhub(tmp_path_factory.mktemp("hub"), free_port(), HUB, {}) as url:
        yield url


def log_in(who: Browser, name: str, password: str = PASSWORD) -> requests.Response:
    return who.send("login", username=name, password=password)


def test_an_administrator_signs_up_logs_in_and_lets_a_student_in(hub: str) -> None:
    teacher, student = Browser(hub), Browser(hub)
    teacher.sign_up("teacher", PASSWORD)
    assert log_in(teacher, "teacher").status_code == 302
    student.sign_up("anna", PASSWORD)
    refused = log_in(student, "anna")
    assert refused.status_code == 200
    assert "has not been authorized by an administrator" in " ".join(refused.text.split())
    assert "anna" in teacher.look("authorize").text
    assert teacher.look("authorize/anna").status_code == 302
    assert log_in(student, "anna").status_code == 302


def test_a_wrong_password_is_told_on_the_form(hub: str) -> None:
    refused = log_in(Browser(hub), "nobody", "a wrong password")
    assert refused.status_code == 200
    assert "Invalid username or password" in refused.text
    assert 'name="password"' in refused.text


def test_a_form_that_has_grown_old_is_shown_again_with_a_word(hub: str) -> None:
    form = {"username": "anna", "password": PASSWORD, "_xsrf": "old"}
    refused = requests.post(f"{hub}/login", data=form, timeout=30)
    assert refused.status_code == 403
    assert "Login form invalid or expired. Try again." in refused.text
    assert 'name="password"' in refused.text
