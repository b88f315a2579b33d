"""The wire of the Chef API: the `chef` module, with protocol 1.3, a pinned CA and timeouts.

The module itself signs with protocol 1.0 (SHA-1) only, which our server refuses, and waits for
ever for an answer.
"""

import base64
import hashlib
import json
import re
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hubfleet.errors import HubfleetError, PreconditionError

with warnings.catch_warnings():
    # The module imports pkg_resources, which warns on import.
    warnings.simplefilter("ignore")
    from chef.api import ChefAPI
    from chef.exceptions import ChefServerError as ModuleError

TIMEOUT_S = 30
"""Seconds to wait for a connection, and for each part of an answer."""

API_VERSION = "2"
"""X-Ops-Server-API-Version, as chef-client 18 sends it."""

REPEATED = "sign it again"
"""Words of our server where a write has the very signature of an earlier one: the protocol has no
nonce, so two equal writes of one second have one signature (docs/adr/0010)."""

HINTS = {
    "clock": "the clocks differ: start a time service (NTP) on this machine and on the server",
    "key": "the key is not the one that the server knows for this client, or it was revoked",
}
"""What to do about a 401, by the word of the server's sentence that tells which it is."""

SIGNATURE_LINE = 60
"""Characters of the signature in one X-Ops-Authorization header."""

Json = dict[str, Any]


class ChefServerError(HubfleetError):
    """The Chef server refused a request; `status` is the HTTP status."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


def sign(
    key: rsa.RSAPrivateKey, client: str, method: str, path: str, body: str | bytes, at: datetime
) -> dict[str, str]:
    """Return the headers that authenticate a request by protocol 1.3 (mixlib-authentication 3).

    `path` is the path of the URL without its query; `at` is the time of the request with its zone.
    """
    content = body.encode() if isinstance(body, str) else body
    canonical = re.sub("/+", "/", path)
    fields = {
        "Method": method.upper(),
        "Path": canonical.rstrip("/") if len(canonical) > 1 else canonical,
        "X-Ops-Content-Hash": base64.b64encode(hashlib.sha256(content).digest()).decode(),
        "X-Ops-Sign": "version=1.3",
        "X-Ops-Timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "X-Ops-UserId": client,
        "X-Ops-Server-API-Version": API_VERSION,
    }
    text = "\n".join(f"{name}:{value}" for name, value in fields.items())
    raw = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    signature = base64.b64encode(raw).decode()
    headers = {name: value for name, value in fields.items() if name.startswith("X-Ops-")}
    headers["X-Ops-Sign"] = "algorithm=sha256;version=1.3;"
    lines = range(0, len(signature), SIGNATURE_LINE)
    for number, start in enumerate(lines, 1):
        headers[f"X-Ops-Authorization-{number}"] = signature[start : start + SIGNATURE_LINE]
    return headers


class _Api(ChefAPI):  # type: ignore[misc]
    """The module's API with our signature and connection."""

    def __init__(self, url: str, key: Path, client: str, ca: Path, timeout: float) -> None:
        self._private = private_key(key)
        self._ca = ca
        self._timeout = timeout
        super().__init__(url, key.read_bytes(), client)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        data: str | bytes | None = None,
    ) -> requests.Response:
        """Send a signed request; raise ModuleError with the server's own words.

        A write that equals one of the same second is sent once more in the next one.
        """
        response = self._signed(method, path, headers or {}, data)
        if response.status_code == 409 and REPEATED in _reason(response):
            time.sleep(1 - time.time() % 1)
            response = self._signed(method, path, headers or {}, data)
        if not response.ok:
            raise ModuleError.from_error(_reason(response), code=response.status_code)
        return response

    def _signed(
        self, method: str, path: str, headers: Mapping[str, str], data: str | bytes | None
    ) -> requests.Response:
        signed_path = self.parsed_url.path + path.split("?", 1)[0]
        signature = sign(
            self._private, self.client, method, signed_path, data or "", datetime.now(UTC)
        )
        with requests.Session() as session:
            # Proxies and CA bundles of the environment have no part in this connection.
            session.trust_env = False
            return session.request(
                method,
                self.url + path,
                data=data,
                headers={**headers, **signature, "X-Chef-Version": "18.0.0"},
                verify=str(self._ca),
                timeout=self._timeout,
            )


class Wire:
    """Signed requests to the organization at `url`, as client `client` with its private key.

    Every method raises PreconditionError where the server cannot be reached or is not the pinned
    one, ChefServerError where it refuses.
    """

    def __init__(
        self, url: str, key: Path, ca: Path, client: str = "operator", timeout: float = TIMEOUT_S
    ) -> None:
        for file in (key, ca):
            if not file.is_file():
                raise PreconditionError(f"{file} is missing", "run ./invoke deploy")
        self.url = url
        self.client = client
        self._api = _Api(url, key, client, ca, timeout)

    def call(self, method: str, path: str, document: Json | None = None) -> Any:
        """Send a document to a path and query below the organization; return the answer."""
        body = None if document is None else json.dumps(document)
        response = self._send(method, path, body, "application/json")
        try:
            return response.json()
        except ValueError as error:
            raise ChefServerError(f"{self._what} answered {method} {path} without JSON") from error

    def object(self, method: str, path: str, document: Json | None = None) -> Json:
        """Like `call`, for what is always answered by an object."""
        answer = self.call(method, path, document)
        if not isinstance(answer, dict):
            raise ChefServerError(f"{self._what} answered {method} {path} without an object")
        return answer

    def find(self, path: str) -> Json | None:
        """Return the object at a path, None where there is none."""
        try:
            return self.object("GET", path)
        except ChefServerError as error:
            if error.status == 404:
                return None
            raise

    def delete(self, path: str) -> bool:
        """Delete what is at a path; return whether there was anything."""
        try:
            self.call("DELETE", path)
        except ChefServerError as error:
            if error.status == 404:
                return False
            raise
        return True

    def download(self, url: str) -> bytes:
        """Return the content of a file at a URL that the server has named."""
        return self._send("GET", self._below(url), None, "*/*").content

    def upload(self, url: str, content: bytes) -> None:
        """Store the content of a file at a URL that the server has named."""
        self._send("PUT", self._below(url), content, "application/x-binary")

    @property
    def _what(self) -> str:
        return f"the Chef server at {self.url}"

    def _below(self, url: str) -> str:
        """Return a URL's path below ours: a server behind a proxy may name another host."""
        root = urlsplit(self.url).path
        path = urlsplit(url).path
        if not path.startswith(f"{root}/"):
            raise ChefServerError(f"{self._what} names a file outside the organization: {url}")
        return path[len(root) :]

    def _send(
        self, method: str, path: str, body: str | bytes | None, content_type: str
    ) -> requests.Response:
        headers = {"Accept": "application/json" if content_type != "*/*" else "*/*"}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            return self._api.request(method, path, headers, body)
        except requests.exceptions.SSLError as error:
            raise PreconditionError(
                f"{self._what} shows a certificate that our CA has not signed: {error}",
                "another deployment may hold the port: ./invoke status",
            ) from error
        except requests.exceptions.Timeout as error:
            raise PreconditionError(f"{self._what} does not answer in time") from error
        except requests.exceptions.ConnectionError as error:
            raise PreconditionError(
                f"{self._what} cannot be reached: {error}", "run ./invoke doctor"
            ) from error
        except ModuleError as error:
            hint = _hint(str(error)) if error.code == 401 else ""
            refused = f"{self._what} refused {method} {path} for {self.client!r}"
            raise ChefServerError(f"{refused} ({error.code}): {error}", hint, error.code) from error


def private_key(file: Path) -> rsa.RSAPrivateKey:
    """Return the RSA key in a file; raise PreconditionError where it holds none."""
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except ValueError as error:
        raise PreconditionError(f"{file} holds no private key: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise PreconditionError(f"{file} is not an RSA key, as the Chef protocol needs")
    return key


def _hint(sentence: str) -> str:
    """Return what to do where the server does not believe a signature."""
    return HINTS["clock" if "the clock" in sentence else "key"]


def _reason(response: requests.Response) -> str:
    """Return what a Chef server says under `error`, or the HTTP reason."""
    try:
        error = json.loads(response.text)["error"]
    except (ValueError, KeyError, TypeError):
        return str(response.reason)
    return "; ".join(map(str, error)) if isinstance(error, list) else str(error)
