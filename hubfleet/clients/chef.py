"""The Chef server's API: the `chef` module, with protocol 1.3, a pinned CA and timeouts.

The module itself signs with protocol 1.0 (SHA-1) only, which our server refuses, and waits for
ever for an answer.
"""

import base64
import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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

SIGNATURE_LINE = 60
"""Characters of the signature in one X-Ops-Authorization header."""

Json = dict[str, Any]


class ChefServerError(HubfleetError):
    """The Chef server refused a request; `status` is the HTTP status."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


def sign(
    key: rsa.RSAPrivateKey, client: str, method: str, path: str, body: str, at: datetime
) -> dict[str, str]:
    """Return the headers that authenticate a request by protocol 1.3 (mixlib-authentication 3).

    `path` is the path of the URL without its query; `at` is the time of the request with its zone.
    """
    canonical = re.sub("/+", "/", path)
    fields = {
        "Method": method.upper(),
        "Path": canonical.rstrip("/") if len(canonical) > 1 else canonical,
        "X-Ops-Content-Hash": base64.b64encode(hashlib.sha256(body.encode()).digest()).decode(),
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
        self._private = _private_key(key)
        self._ca = ca
        self._timeout = timeout
        super().__init__(url, key.read_bytes(), client)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        data: str | None = None,
    ) -> requests.Response:
        """Send a signed request; raise ModuleError with the server's own words."""
        signed_path = self.parsed_url.path + path.split("?", 1)[0]
        signature = sign(
            self._private, self.client, method, signed_path, data or "", datetime.now(UTC)
        )
        with requests.Session() as session:
            # Proxies and CA bundles of the environment have no part in this connection.
            session.trust_env = False
            response = session.request(
                method,
                self.url + path,
                data=data,
                headers={**(headers or {}), **signature, "X-Chef-Version": "18.0.0"},
                verify=str(self._ca),
                timeout=self._timeout,
            )
        if not response.ok:
            raise ModuleError.from_error(_reason(response), code=response.status_code)
        return response


class Chef:
    """A Chef organization at `url`, as client `client` with its private key."""

    def __init__(
        self, url: str, key: Path, ca: Path, client: str = "operator", timeout: float = TIMEOUT_S
    ) -> None:
        for file in (key, ca):
            if not file.is_file():
                raise PreconditionError(f"{file} is missing", "run ./invoke deploy")
        self.url = url
        self.client = client
        self._api = _Api(url, key, client, ca, timeout)

    def nodes(self) -> list[str]:
        """Return the names of all nodes, sorted."""
        return sorted(self._call("GET", "/nodes"))

    def node(self, name: str) -> Json:
        """Return a node object as chef-client has saved it."""
        return self._call("GET", f"/nodes/{name}")

    def delete_node(self, name: str) -> bool:
        """Delete a node object; return whether there was one."""
        return self._delete(f"/nodes/{name}")

    def clients(self) -> list[str]:
        """Return the names of all clients, sorted."""
        return sorted(self._call("GET", "/clients"))

    def create_client(self, name: str, public_key: str) -> None:
        """Create a client whose public key (PEM) is known, so that no private key travels."""
        self._call("POST", "/clients", {"name": name, "public_key": public_key})

    def delete_client(self, name: str) -> bool:
        """Delete a client; return whether there was one."""
        return self._delete(f"/clients/{name}")

    def policies(self) -> dict[str, list[str]]:
        """Return the revisions that the server holds of each policy, sorted."""
        found = self._call("GET", "/policies")
        return {name: sorted(policy["revisions"]) for name, policy in found.items()}

    def policy_groups(self) -> dict[str, dict[str, str]]:
        """Return for each policy group the revision of each of its policies."""
        found = self._call("GET", "/policy_groups")
        return {
            group: {
                policy: entry["revision_id"] for policy, entry in data.get("policies", {}).items()
            }
            for group, data in found.items()
        }

    def _delete(self, path: str) -> bool:
        try:
            self._call("DELETE", path)
        except ChefServerError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _call(self, method: str, path: str, data: Json | None = None) -> Json:
        what = f"the Chef server at {self.url}"
        try:
            answer = self._api.api_request(method, path, data=data)
        except requests.exceptions.SSLError as error:
            raise PreconditionError(
                f"{what} shows a certificate that the deployment's CA has not signed: {error}",
                "another deployment may hold the port: ./invoke status",
            ) from error
        except requests.exceptions.Timeout as error:
            raise PreconditionError(f"{what} does not answer in time") from error
        except requests.exceptions.ConnectionError as error:
            raise PreconditionError(
                f"{what} cannot be reached: {error}", "run ./invoke doctor"
            ) from error
        except ModuleError as error:
            hint = "is the clock right, and the key?" if error.code == 401 else ""
            refused = f"{what} refused {method} {path} for {self.client!r}"
            raise ChefServerError(f"{refused} ({error.code}): {error}", hint, error.code) from error
        except ValueError as error:
            raise ChefServerError(f"{what} answered {method} {path} without JSON") from error
        if not isinstance(answer, dict):
            raise ChefServerError(f"{what} answered {method} {path} without an object")
        return answer


def _private_key(file: Path) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except ValueError as error:
        raise PreconditionError(f"{file} holds no private key: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise PreconditionError(f"{file} is not an RSA key, as the Chef protocol needs")
    return key


def _reason(response: requests.Response) -> str:
    """Return what a Chef server says under `error`, or the HTTP reason."""
    try:
        error = json.loads(response.text)["error"]
    except (ValueError, KeyError, TypeError):
        return str(response.reason)
    return "; ".join(map(str, error)) if isinstance(error, list) else str(error)
