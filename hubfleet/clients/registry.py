"""A deployment's image registry, through skopeo: TLS verified against one certificate authority."""

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hubfleet.clients import process
from hubfleet.errors import CommandError

INSPECT_TIMEOUT_S = 30
PUSH_TIMEOUT_S = 600

ABSENT = ("manifest unknown", "name unknown", "repository name not known")
"""How registries say that they lack an image (OCI distribution specification, error codes)."""


def pack(archive: Path, target: Path) -> None:
    """Compress the archive that `docker save` writes; `target` becomes a directory."""
    argv: list[str | Path] = ["skopeo", "copy", "--quiet", "--dest-compress"]
    process.run([*argv, f"docker-archive:{archive}", f"dir:{target}"], timeout=PUSH_TIMEOUT_S)


@dataclass(frozen=True)
class Registry:
    """The writing side of a registry at `address` ("host:port", or with a path: "host/prefix").

    Without `ca_file` the system's certificate authorities count.
    """

    address: str
    ca_file: Path | None
    user: str
    password: str = field(repr=False)

    def has(self, repository: str, tag: str) -> bool:
        """Say whether the registry holds this tag; raise CommandError where it cannot be asked."""
        with self._credentials() as (certificates, authfile):
            argv: list[str | Path] = ["skopeo", "inspect", "--raw", f"--authfile={authfile}"]
            argv += [f"--cert-dir={certificates}", self._target(repository, tag)]
            done = process.run(argv, timeout=INSPECT_TIMEOUT_S, check=False)
        if done.returncode == 0:
            return True
        if any(words in done.stderr for words in ABSENT):
            return False
        raise CommandError(
            f"the registry at {self.address} does not answer as it should",
            "run ./invoke doctor",
            process.tail(done.stderr),
        )

    def push(self, packed: Path, repository: str, tag: str) -> None:
        """Publish an image from the directory that `pack` has written."""
        with self._credentials() as (certificates, authfile):
            argv: list[str | Path] = ["skopeo", "copy", "--quiet", f"--dest-authfile={authfile}"]
            argv += [f"--dest-cert-dir={certificates}", f"dir:{packed}"]
            process.run([*argv, self._target(repository, tag)], timeout=PUSH_TIMEOUT_S)

    def _target(self, repository: str, tag: str) -> str:
        return f"docker://{self.address}/{repository}:{tag}"

    @contextmanager
    def _credentials(self) -> Iterator[tuple[Path, Path]]:
        """Yield a directory with only the CA's certificate, and a file with the password.

        skopeo takes every *.key of such a directory for a client's key; and arguments of a program
        can be read by everybody on the machine.
        """
        with tempfile.TemporaryDirectory() as folder:
            certificates = Path(folder) / "certificates"
            certificates.mkdir()
            if self.ca_file is not None:
                (certificates / "ca.crt").write_bytes(self.ca_file.read_bytes())
            token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            authfile = Path(folder) / "auth.json"
            authfile.touch(0o600)
            authfile.write_text(json.dumps({"auths": {self.address: {"auth": token}}}))
            yield certificates, authfile
