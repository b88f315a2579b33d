"""The built images: nothing of the machine that built them, and what they promise to hold.

Needs a Docker engine that has the images of images/lock.json.
"""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubfleet import images
from hubfleet.clients import docker
from hubfleet.image_machine import (
    BUNDLE,
    INSIDE,
    apt_configuration,
    npm_configuration,
    pip_configuration,
)
from tests import package_hosts

SITE = "opt/venv/lib/python3.13/site-packages"
VENVS = ("hub", "notebook")
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----", re.DOTALL)


@pytest.fixture(scope="module", params=images.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of an image that the engine has."""
    image: str = request.param
    if docker.image_size(images.reference(image)) is None:
        pytest.fail(f"{images.reference(image)} is not built: run ./invoke images.build")
    return image


@pytest.fixture(scope="module")
def archive(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the image as `docker save` writes it: every layer, also what later ones hide."""
    path = tmp_path_factory.mktemp("image") / "image.tar"
    docker.save_image(images.reference(name), path)
    return path


def layers(archive: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield every entry of every layer, with the content of regular files."""
    with tarfile.open(archive) as whole:
        manifest = json.load(whole.extractfile("manifest.json") or io.BytesIO())
        for layer in manifest[0]["Layers"]:
            with tarfile.open(fileobj=whole.extractfile(layer)) as entries:
                for entry in entries:
                    stream = entries.extractfile(entry) if entry.isfile() else None
                    yield entry, stream.read() if stream else b""


@pytest.fixture(scope="module")
def entries(archive: Path) -> dict[str, tarfile.TarInfo]:
    """Return the entries of all layers by path."""
    return {entry.name.removeprefix("./"): entry for entry, _ in layers(archive)}


def machine_strings() -> set[bytes]:
    """Return what would betray this machine: its hosts, mirrors, proxies, own authorities."""
    text = apt_configuration() + pip_configuration() + npm_configuration()
    text += "\n".join(v for k, v in os.environ.items() if k.lower().endswith("_proxy"))
    hosts = package_hosts.hosts(text) - package_hosts.public()
    nameservers = re.findall(r"nameserver (\S+)", Path("/etc/resolv.conf").read_text())
    hosts |= {address for address in nameservers if not address.startswith("127.")}
    return {host.encode() for host in hosts if "." in host}


def test_no_layer_holds_anything_of_this_machine(archive: Path) -> None:
    betraying = machine_strings() | own_authorities()
    inside = f"{INSIDE}/".encode()
    for entry, content in layers(archive):
        path = entry.name.removeprefix("./")
        assert not path.startswith(INSIDE.lstrip("/")), path
        for needle in betraying:
            assert needle not in content, f"{path} holds {needle!r}"
        if entry.isfile() and not path.startswith("usr/share/doc/"):
            assert inside not in content, f"{path} names {INSIDE}"


def own_authorities() -> set[bytes]:
    """Return a line of each certificate that this machine trusts and Debian does not ship."""
    shipped = Path("/usr/share/ca-certificates").rglob("*.crt")
    known = {block for path in shipped for block in CERTIFICATE.findall(path.read_bytes())}
    return {
        block.split(b"\n")[5] for block in set(CERTIFICATE.findall(BUNDLE.read_bytes())) - known
    }


def test_no_layer_holds_caches_or_identity(entries: dict[str, tarfile.TarInfo]) -> None:
    for path, entry in entries.items():
        assert not re.match(r"var/lib/apt/lists/.*(Release|Packages)", path), path
        assert not re.match(r"var/cache/apt/archives/.*\.deb", path), path
        assert not re.match(r"(root/\.(cache|npm|gem)|tmp)/.", path), path
        if path in {"etc/resolv.conf", "etc/hostname", "etc/machine-id"}:
            assert entry.size == 0, path


def test_apt_is_left_with_debians_own_sources(archive: Path) -> None:
    sources = {
        entry.name.removeprefix("./"): content.decode()
        for entry, content in layers(archive)
        if entry.isfile() and re.search(r"etc/apt/sources\.list", entry.name)
    }
    text = "".join(sources.values())
    assert package_hosts.hosts(text) == package_hosts.of_debian()
    assert "trixie-security" in text


def test_sizes_are_within_budget(name: str) -> None:
    size = docker.image_size(images.reference(name)) or 0
    assert size / 1e6 <= images.SIZE_BUDGET_MB[name]


def test_environments_are_compiled_owned_by_root_and_without_what_harms(
    name: str, entries: dict[str, tarfile.TarInfo]
) -> None:
    if name not in VENVS:
        return
    inside = {path: entry for path, entry in entries.items() if path.startswith("opt/venv/")}
    assert all((entry.uid, entry.gid) == (0, 0) for entry in inside.values())
    assert not [path for path, e in inside.items() if e.mode & 0o022 and not e.issym()]
    for path in inside:
        if path.startswith(f"{SITE}/") and path.endswith(".py"):
            folder, _, file = path.rpartition("/")
            compiled = f"{folder}/__pycache__/{file.removesuffix('.py')}.cpython-313.pyc"
            assert compiled in inside, path
    for package in ("aiodns", "pycares", "rfc3987_syntax"):
        assert not [path for path in inside if path.startswith(f"{SITE}/{package}")], package


def test_a_student_is_user_1000_and_owns_nothing_but_the_home(
    name: str, entries: dict[str, tarfile.TarInfo]
) -> None:
    if name != "notebook":
        return
    configuration = docker.client().images.get(images.reference(name)).attrs["Config"]
    assert configuration["User"] == "1000:1000"
    assert configuration["WorkingDir"] == "/home/student"
    theirs = {path for path, entry in entries.items() if entry.uid == 1000}
    assert theirs
    assert all(path.startswith("home/student") for path in theirs)


def test_a_node_starts_nothing_that_chef_has_not_asked_for(
    name: str, entries: dict[str, tarfile.TarInfo]
) -> None:
    if name != "node":
        return
    wants = [path for path in entries if path.startswith("etc/systemd/system/multi-user.target")]
    assert [path for path in wants if path.endswith("hubfleet-bootstrap.service")]
    for unit in ("docker", "containerd", "nginx", "docker-registry"):
        whiteout = f"etc/systemd/system/multi-user.target.wants/.wh.{unit}.service"
        assert whiteout in wants or not [p for p in wants if p.endswith(f"/{unit}.service")], unit
