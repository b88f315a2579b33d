"""Secrets of a deployment: made once, kept in files of mode 0600, never shown by accident."""

import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

import bcrypt

from hubfleet.errors import PreconditionError
from hubfleet.state import make_private_dir, write_private


class Secret:
    """A value that neither `print` nor a log nor a traceback shows; `reveal()` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._value.encode(), other._value.encode()
        )

    __hash__ = None  # type: ignore[assignment]


class SecretStore:
    """Secrets as files `<root>/<role>/<name>`: the directory of a role is mounted in its nodes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, role: str, name: str) -> Path:
        """Return the file of a secret."""
        return self.root / role / name

    def read(self, role: str, name: str) -> Secret | None:
        """Return a secret, or None where it is missing or empty."""
        try:
            value = self.path(role, name).read_text()
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise PreconditionError(
                f"secret {self.path(role, name)} belongs to another user",
                "run the command as the user who deployed",
            ) from error
        return Secret(value) if value else None

    def write(self, role: str, name: str, value: Secret) -> None:
        """Keep a secret, whole or not at all; an equal one is left alone."""
        if self.read(role, name) != value:
            write_private(self.path(role, name), value.reveal())

    def ensure(self, role: str, name: str, make: Callable[[], str]) -> Secret:
        """Return a secret, made on the first call."""
        found = self.read(role, name)
        if found is not None:
            return found
        made = Secret(make())
        self.write(role, name, made)
        return made

    def ensure_role(self, role: str) -> Path:
        """Return the directory of a role, which then exists."""
        directory = self.root / role
        make_private_dir(directory)
        return directory


def random_hex(length: int = 32) -> str:
    """Return `length` random bytes in hexadecimal."""
    return secrets.token_hex(length)


def random_password() -> str:
    """Return a password that a person can type: four groups of five characters, 97 bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


def htpasswd_line(user: str, password: Secret) -> str:
    """Return a line of an htpasswd file; docker-registry takes bcrypt and nothing else."""
    salt = bcrypt.gensalt(rounds=10)
    return f"{user}:{bcrypt.hashpw(password.reveal().encode(), salt).decode()}\n"


def htpasswd_matches(line: str, user: str, password: Secret) -> bool:
    """Say whether an htpasswd line is of this user and password."""
    name, _, digest = line.strip().partition(":")
    return name == user and bcrypt.checkpw(password.reveal().encode(), digest.encode())
