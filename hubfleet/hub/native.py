"""Sign-up with NativeAuthenticator under JupyterHub 6, which its log-in page does not know.

JupyterHub 6 has no statsd (jupyterhub/jupyterhub#5407), and shows what is wrong with a form
on the form itself. Of NativeAuthenticator the newest release is 1.3.0. Imported only where it is
used: it adds a table to the hub's database.
"""

from typing import Any

from nativeauthenticator import NativeAuthenticator, handlers

TEMPLATES: str = handlers.TEMPLATE_DIR
"""Its pages, which it shows JupyterHub itself, but not for errors."""


class Untimed:
    """What takes no time of a log-in, where the page has it taken."""

    def timer(self, _: str) -> "Untimed":
        """Return a timer."""
        return self

    def start(self) -> "Untimed":
        """Begin nothing."""
        return self

    def stop(self, *, send: bool) -> None:
        """End nothing."""


class Login(handlers.LoginHandler):
    """The log-in page."""

    statsd = Untimed()
    _words: dict[str, Any]

    def _render(
        self, login_error: str | None = None, username: str | None = None, **words: Any
    ) -> Any:
        self._words = words
        return super()._render(login_error, username)

    def render_template(self, name: str, **words: Any) -> Any:
        """Return a page; one for an error is written at once, as its words say."""
        return super().render_template(name, **getattr(self, "_words", {}) | words)


class SignUp(NativeAuthenticator):
    """Students choose a name and a password; an administrator lets them in."""

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        """Return NativeAuthenticator's pages, with our log-in page in place of its own."""
        pages = super().get_handlers(app)
        return [(path, Login if page is handlers.LoginHandler else page) for path, page in pages]
