"""The program that gives a node a new key, run against a server, and cut off at every step."""

import hashlib
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hubfleet.clients.chef import Chef
from hubfleet.clients.chef_wire import ChefServerError
from hubfleet.pki import ensure_rsa_key, fingerprint, public_pem
from hubfleet.settings import ROOT
from tests.chef_api.target import PREFIX, Target

NODE = f"{PREFIX}rotates"
PROGRAM = ROOT / "cookbooks/node_base/files/rotate_key.rb"


class Node:
    """A node's files, and its place on the server."""

    def __init__(self, target: Target, directory: Path) -> None:
        self.target = target
        self.directory = directory
        self.key_file = directory / "client.pem"
        self.next_file = directory / "client.pem.next"
        self.old_file = directory / "old.pem"
        target.operator.create_client(NODE, public_pem(ensure_rsa_key(self.key_file)))
        self.old_file.write_bytes(self.key_file.read_bytes())
        (directory / "client.rb").write_text(
            f"chef_server_url '{target.url}'\nnode_name '{NODE}'\n"
            f"client_key '{self.key_file}'\nlockfile '{directory}/lock'\n"
            "authentication_protocol_version '1.3'\n"
        )

    def rotate(self) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        argv: list[str | Path] = [
            ROOT / "bin/_bundle",
            "ruby",
            PROGRAM,
            self.directory / "client.rb",
        ]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def key_works(self, file: Path) -> bool:
        """Say whether the server takes a key for this node."""
        try:
            Chef(self.target.url, file, self.target.ca, NODE).wire.object("GET", f"/clients/{NODE}")
        except ChefServerError as error:
            assert error.status == 401
            return False
        return True

    def new_key(self) -> rsa.RSAPrivateKey:
        """Make the next key, as the program does first."""
        return ensure_rsa_key(self.next_file)

    def add(self) -> None:
        """Make the next key and tell the server."""
        public = public_pem(self.new_key())
        self.target.operator.create_client_key(NODE, f"key-{fingerprint(public)[:16]}", public)

    def install(self) -> None:
        """Go on to where the new key is in the old one's place."""
        self.add()
        self.next_file.replace(self.key_file)


@pytest.fixture
def node(target: Target, tmp_path: Path) -> Iterator[Node]:
    yield Node(target, tmp_path)
    target.operator.delete_client(NODE)


BEGINNINGS: dict[str, Callable[[Node], object]] = {
    "from the beginning": lambda node: None,
    "cut off while the key was written": lambda node: node.next_file.write_text("-----BEGIN"),
    "cut off before the server knew": Node.new_key,
    "cut off before the new key was installed": Node.add,
    "cut off before the old key was given up": Node.install,
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_rotation_ends_with_one_key_that_is_new(
    node: Node, beginning: Callable[[Node], object]
) -> None:
    beginning(node)
    done = node.rotate()
    assert done.returncode == 0, done.stderr
    assert node.key_works(node.key_file)
    assert not node.key_works(node.old_file)
    assert list(node.target.operator.client_keys(NODE)) == [done.stdout.strip()]
    assert not node.next_file.exists()
    assert stat.S_IMODE(node.key_file.stat().st_mode) == 0o600
    public = ensure_rsa_key(node.key_file).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert done.stdout.strip() == f"key-{hashlib.sha256(der).hexdigest()[:16]}"


def test_a_refused_node_keeps_its_key(node: Node) -> None:
    node.target.operator.delete_client(NODE)
    before = node.key_file.read_bytes()
    done = node.rotate()
    assert done.returncode == 1
    assert done.stderr.startswith("hubfleet-rotate-key: 401")
    assert node.key_file.read_bytes() == before
    node.target.operator.create_client(NODE, public_pem(ensure_rsa_key(node.key_file)))
