"""No file of the checkout holds what belongs to one machine only."""

import configparser
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import package_hosts

PRINTED_BY = (["pip", "config", "list"], ["npm", "config", "get", "registry"])


def machine_configuration() -> str:
    """Return what this machine's package tools are told: indexes, mirrors, proxies."""
    parts = [
        value
        for name, value in os.environ.items()
        if re.search(r"(?i)proxy|index|mirror|registry", name) or name.startswith(("PIP_", "UV_"))
    ]
    for pattern in ("apt/sources.list", "apt/sources.list.d/*", "apt/apt.conf.d/*", "pip.conf"):
        parts += [path.read_text(errors="replace") for path in Path("/etc").glob(pattern)]
    for argv in PRINTED_BY:
        try:
            parts.append(subprocess.run(argv, capture_output=True, text=True, check=False).stdout)
        except FileNotFoundError:
            continue
    lines = "\n".join(parts).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("#", "//")))


def private_hosts() -> set[str]:
    return package_hosts.hosts(machine_configuration()) - package_hosts.public()


@pytest.fixture(scope="module")
def texts(files: list[Path]) -> dict[Path, str]:
    found = {}
    for path in files:
        raw = path.read_bytes()
        if b"\0" not in raw:
            found[path] = raw.decode()
    return found


def test_no_file_names_this_machines_mirrors_or_proxies(texts: dict[Path, str]) -> None:
    for host in private_hosts():
        assert not [path for path, text in texts.items() if host in text], host


def test_images_are_left_with_debians_own_archive() -> None:
    found = package_hosts.of_debian()
    assert found
    assert not [host for host in found if not host.endswith(".debian.org")]


def test_no_file_names_where_this_checkout_lies(texts: dict[Path, str], root: Path) -> None:
    # A checkout in a short, common place, such as /app, would say nothing.
    if len(root.parts) < 3:
        pytest.skip("the checkout's path is too common to search for")
    place = re.compile(rf"(?<![\w.-]){re.escape(str(root))}(?![\w-])")
    assert not [path for path, text in texts.items() if place.search(text)]


def test_text_is_tidy(texts: dict[Path, str]) -> None:
    for path, text in texts.items():
        if path.name == "LICENSE" or path.suffix == ".svg":
            continue
        assert "\r" not in text, path
        assert not text or text.endswith("\n"), f"{path} does not end with a line end"


def test_no_key_is_committed(texts: dict[Path, str]) -> None:
    marker = "-----BEGIN " + "(RSA |EC |OPENSSH )?PRIVATE KEY-----\n[A-Za-z0-9+/]{60}"
    assert not [path for path, text in texts.items() if re.search(marker, text)]


def test_scripts_are_executable_and_strict(files: list[Path]) -> None:
    for path in files:
        text = path.read_bytes()[:2000]
        if not text.startswith(b"#!"):
            continue
        assert os.access(path, os.X_OK), f"{path} has a first line for the kernel but may not run"
        if text.splitlines()[0].endswith(b"bash") and text.count(b"\n") > 4:
            assert b"\nset -euo pipefail\n" in text, path


def test_git_keeps_state_and_caches_out(root: Path) -> None:
    kept = configparser.ConfigParser(allow_no_value=True, delimiters=("=",))
    kept.read_string("[ignored]\n" + (root / ".gitignore").read_text())
    assert {"/.state/", "__pycache__/", "/.kitchen/"} <= set(kept["ignored"])
