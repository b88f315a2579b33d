"""JupyterHub's authenticators, saying why where they refuse a user's name."""

from importlib.metadata import entry_points
from typing import Any

from jupyterhub.auth import Authenticator
from tornado import web

from hubfleet.hub.names import USERNAME_RULE


class SaysWhy(Authenticator):
    """Tells who has shown the right password that it is the name that does not do.

    Without it the login page says "Invalid username or password".
    """

    async def authenticate(self, handler: Any, data: Any) -> Any:
        """Return what the class below returns; raise 403 with the rule for a name it breaks."""
        found = await super().authenticate(handler, data)
        name = found.get("name") if isinstance(found, dict) else found
        if name is not None and not self.validate_username(self.normalize_username(name)):
            raise web.HTTPError(403, USERNAME_RULE)
        return found


def authenticator(name: str) -> type[Authenticator]:
    """Return the authenticator that is registered as `name`; its options go to its own class."""
    (entry,) = entry_points(group="jupyterhub.authenticators", name=name)
    return says_why(entry.load())


def says_why(kind: type[Authenticator]) -> type[Authenticator]:
    """Return an authenticator that says why, with the options of `kind`."""
    return type(f"SaysWhy{kind.__name__}", (SaysWhy, kind), {})
