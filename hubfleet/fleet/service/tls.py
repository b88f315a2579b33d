"""The service's certificate, taken anew when a rotation has written another, and its tokens."""

import hmac
import logging
import ssl
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

log = logging.getLogger(__name__)


class Right(IntEnum):
    """What a token opens."""

    NONE = 0
    FLEET = 1
    """What the controller does."""
    FAULTS = 2
    """That, and what operators inject in drills."""


@dataclass(frozen=True)
class Tokens:
    """The files of both tokens. They are read with each request: a new one counts at once."""

    fleet: Path
    faults: Path

    def right(self, authorization: str) -> Right:
        """Return what a request's Authorization header opens; compared in constant time."""
        given = authorization.removeprefix("Bearer ").encode()
        found = Right.NONE
        for right, file in ((Right.FLEET, self.fleet), (Right.FAULTS, self.faults)):
            expected = _content(file)
            if expected and hmac.compare_digest(given, expected):
                found = right
        return found


class Certificate:
    """A certificate and its key, in files that are written anew now and then."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._seen = self._versions()
        self.context = _context()
        self.context.load_cert_chain(certificate, key)

    def refresh(self) -> None:
        """Serve new connections with what the files hold now, once they belong together."""
        versions = self._versions()
        if versions == self._seen:
            return
        try:
            # First in a context of its own: half a change would spoil the one in use.
            _context().load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            log.warning("the new certificate is not whole yet: %s", error)
            return
        self._seen = versions
        log.info("a new certificate is served")

    def _versions(self) -> list[tuple[int, int]]:
        """Return what tells one version of the files from another; nothing while one is missing."""
        try:
            return [(stat.st_ino, stat.st_mtime_ns) for stat in map(Path.stat, self._files)]
        except OSError:
            return []


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes().strip()
    except OSError:
        return b""
