"""Secrets: made once, private, never shown."""

import stat
from pathlib import Path

import pytest

from hubfleet.secrets import (
    Secret,
    SecretStore,
    htpasswd_line,
    htpasswd_matches,
    random_hex,
    random_password,
)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"
    with pytest.raises(TypeError):
        hash(secret)


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    first = store.ensure("hub", "token", random_hex)
    assert store.ensure("hub", "token", random_hex) == first
    assert len(first.reveal()) == 64
    assert stat.S_IMODE(store.path("hub", "token").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "hub").stat().st_mode) == 0o700


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    store.ensure_role("hub")
    store.path("hub", "token").touch()
    assert store.read("hub", "token") is None
    assert store.ensure("hub", "token", lambda: "x").reveal() == "x"


def test_an_equal_value_is_not_written_again(tmp_path: Path) -> None:
    store = SecretStore(tmp_path)
    store.write("hub", "token", Secret("x"))
    before = store.path("hub", "token").stat().st_ino
    store.write("hub", "token", Secret("x"))
    assert store.path("hub", "token").stat().st_ino == before


def test_an_htpasswd_line_is_of_one_user_and_password() -> None:
    line = htpasswd_line("publisher", Secret("right"))
    assert line.startswith("publisher:$2b$10$")
    assert htpasswd_matches(line, "publisher", Secret("right"))
    assert not htpasswd_matches(line, "publisher", Secret("wrong"))
    assert not htpasswd_matches(line, "other", Secret("right"))


def test_passwords_can_be_typed_and_differ() -> None:
    assert len({random_password() for _ in range(20)}) == 20
    assert all(len(group) == 5 for group in random_password().split("-"))
