"""User names, and the names made from them: home directory, Swarm service, DNS alias.

A slug is the user's name itself where that is a short DNS label, else its readable part and a hash:
kubespawner's scheme (kubespawner/slugs.py). Two users never share a slug: what contains `--` is
never its own slug, and the hash tells the others apart.
"""

import hashlib
import re
import secrets

USERNAME_PATTERN = r"[\w@+](?:[\w.@+-]{0,62}[\w@+])?"
"""Names that may log in: 1 to 64 letters (of any script), digits and `_ @ + . -`, the last two only
inside. No separators, spaces or control characters, so that a name is one word everywhere."""

USERNAME_RULE = (
    "A user name is one word of at most 64 letters, digits and _ @ + . -, where it neither begins "
    "nor ends with . or -."
)
"""USERNAME_PATTERN for people."""

_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_READABLE = 20
_HASH = 16
"""64 bits: a collision among 300 students has a probability under 1e-14."""

SERVICE_PREFIX = "student-"


def slug(username: str, server: str = "") -> str:
    """Return a DNS label of at most 38 characters for a user's server.

    Raises ValueError for an empty name.
    """
    if not username:
        raise ValueError("a user name cannot be empty")
    name = f"{username}/{server}" if server else username
    if _PLAIN.fullmatch(name) and "--" not in name:
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_READABLE].strip("-") or "x"
    return f"{readable}--{hashlib.sha256(name.encode()).hexdigest()[:_HASH]}"


def home_name(username: str) -> str:
    """Return the name of a user's home directory; all servers of a user share it."""
    return slug(username)


def service_name(username: str, server: str = "") -> str:
    """Return the name of the Swarm service of a user's server."""
    return SERVICE_PREFIX + slug(username, server)


def start_alias(service: str) -> str:
    """Return a DNS name for one start of `service`.

    A stopped server's container still answers on the service's name until its grace period ends, so
    every start has a name of its own.
    """
    return f"{service}-{secrets.token_hex(4)}"
