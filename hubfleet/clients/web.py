"""Plain HTTPS requests, verified against the deployment's certificate authority; certificates."""

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from hubfleet.errors import CommandError

TIMEOUT_S = 5


def get_json(
    url: str, ca_file: Path | None, timeout: float = TIMEOUT_S, *, public: bool = False
) -> Any:
    """Return the JSON document at an https URL, None for an empty or other document.

    A `public` address may be behind a proxy, and have a certificate of the system's authorities;
    without `ca_file` these alone are trusted.
    Raises CommandError where nobody answers within `timeout` seconds, the certificate is not ours,
    or the status is not 200.
    """
    try:
        context = ssl.create_default_context(cafile=None if public else str(ca_file))
        if ca_file is not None:
            context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one too
        raise CommandError(f"{ca_file} is no certificate authority: {error}") from error
    # Proxies of the environment have no part in a connection to this machine.
    proxies = ProxyHandler() if public else ProxyHandler({})
    opener = build_opener(proxies, HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=timeout) as answer:
            body = answer.read()
    except HTTPError as error:
        raise CommandError(f"{url} answers {error.code} {error.reason}") from error
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise CommandError(f"{url} does not answer: {reason}") from error
    try:
        return json.loads(body)
    except ValueError:
        return None


def served_certificate(
    host: str, port: int, ca_file: Path | None = None, timeout: float = TIMEOUT_S
) -> bytes:
    """Return the certificate that a server shows, in DER; no proxy is used.

    With `ca_file` it must be that authority's, and name `host`. Without one it is not verified: it
    tells when it ends, also where it has ended, and nothing is sent there. Raises CommandError.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        if ca_file is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((host, port), timeout) as connection,
            context.wrap_socket(connection, server_hostname=host) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
    except OSError as error:
        raise CommandError(f"{host}:{port} shows no certificate: {error}") from error
    if shown is None:
        raise CommandError(f"{host}:{port} shows no certificate")
    return shown
