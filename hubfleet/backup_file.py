r"""The form of a backup file: encrypted, and every kind of damage has its own sentence.

    magic      "hubfleet-chef-backup\n"
    version    one byte, FORMAT
    length     of the header, 4 bytes, big-endian
    header     JSON: deployment, time, size (of what follows the checksum), salt, nonce, check
    checksum   SHA-256 of all before it, 32 bytes: finds damage that is no attack
    content    AES-256-GCM; all before it is authenticated with it

The key is derived from a passphrase by scrypt, together with 16 bytes (`check`) by which a wrong
passphrase is told from an altered file.
"""

import base64
import hashlib
import hmac
import json
import secrets
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hubfleet.errors import HubfleetError, PreconditionError
from hubfleet.secrets import Secret

MAGIC = b"hubfleet-chef-backup\n"
FORMAT = 1
CHECKSUM_BYTES = 32
MAX_HEADER_BYTES = 4096

MAX_BYTES = 512 * 1024 * 1024
"""Largest content: it is encrypted in one piece, in memory. The server's limit is the same."""

SCRYPT = {"n": 2**17, "r": 8, "p": 1}
"""The least that OWASP's cheat sheet on storing passwords accepts: 128 MiB, about half a second."""


class BackupFileError(HubfleetError):
    """A backup file cannot be used: not one, of another version, truncated, altered."""


@dataclass(frozen=True)
class Header:
    """What a backup file says of itself."""

    deployment: str
    time: datetime


def seal(content: bytes, passphrase: Secret, header: Header) -> bytes:
    """Return a backup file; raise HubfleetError where the content is larger than MAX_BYTES."""
    if len(content) > MAX_BYTES:
        raise HubfleetError(
            f"the backup has {len(content)} bytes, at most {MAX_BYTES} are possible"
        )
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    key, check = _derive(passphrase, salt)
    document = {
        "deployment": header.deployment,
        "time": header.time.astimezone(UTC).isoformat(timespec="seconds"),
        "size": len(content) + 16,
        "salt": _text(salt),
        "nonce": _text(nonce),
        "check": _text(check),
    }
    raw = json.dumps(document).encode()
    head = MAGIC + struct.pack(">BI", FORMAT, len(raw)) + raw
    head += hashlib.sha256(head).digest()
    return head + AESGCM(key).encrypt(nonce, content, head)


def describe(data: bytes) -> Header:
    """Return what a file says of itself, which only `unseal` proves; raise BackupFileError."""
    return _read(data)[0]


def unseal(data: bytes, passphrase: Secret) -> bytes:
    """Return the content; raise BackupFileError, or PreconditionError for a wrong passphrase."""
    _, document, head = _read(data)
    key, check = _derive(passphrase, _bytes(document["salt"]))
    if not hmac.compare_digest(check, _bytes(document["check"])):
        raise PreconditionError(
            "the passphrase is wrong",
            "give that of the backup with --passphrase-file",
        )
    try:
        return AESGCM(key).decrypt(_bytes(document["nonce"]), data[len(head) :], head)
    except InvalidTag as error:
        raise BackupFileError("the backup has been altered", "take another one") from error


def _read(data: bytes) -> tuple[Header, dict[str, Any], bytes]:
    """Return header, its document and the bytes up to the content of a file that is whole."""
    start = len(MAGIC) + 5
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise BackupFileError("this is no backup of a Chef server", "backups end in .hfb")
    if len(data) < start:
        raise _truncated()
    version, length = struct.unpack(">BI", data[len(MAGIC) : start])
    if version != FORMAT:
        raise BackupFileError(
            f"the backup has format {version}, this version reads {FORMAT}",
            "use the version that wrote it",
        )
    if length > MAX_HEADER_BYTES:
        raise _damaged()
    body = start + length + CHECKSUM_BYTES
    if len(data) < body:
        raise _truncated()
    checksum = data[body - CHECKSUM_BYTES : body]
    if hashlib.sha256(data[: body - CHECKSUM_BYTES]).digest() != checksum:
        raise _damaged()
    document = json.loads(data[start : start + length])
    if len(data) - body < document["size"]:
        raise _truncated()
    time = datetime.fromisoformat(document["time"])
    return Header(document["deployment"], time), document, data[:body]


def _derive(passphrase: Secret, salt: bytes) -> tuple[bytes, bytes]:
    derived = Scrypt(salt=salt, length=48, **SCRYPT).derive(passphrase.reveal().encode())
    return derived[:32], derived[32:]


def _truncated() -> BackupFileError:
    return BackupFileError("the backup is truncated", "copy it again, or take another one")


def _damaged() -> BackupFileError:
    return BackupFileError("the backup's header has been altered", "take another one")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
