"""Who may log in: one authenticator by setting, with its secrets from files."""

from pathlib import Path
from typing import Any

from hubfleet.errors import SettingsError
from hubfleet.hub.authenticators import authenticator, says_why
from hubfleet.hub.names import USERNAME_PATTERN
from hubfleet.settings_model import HubView
from hubfleet.settings_types import ONE_PASSWORD


def authenticate(c: Any, environment: str, settings: HubView, secrets: Path) -> None:
    """Set the authenticator's traits on the configuration `c`.

    Raises SettingsError for the one-password authenticator outside the environment local.
    """
    hub = settings.hub
    if hub.authenticator == "dummy" and environment not in ONE_PASSWORD:
        raise SettingsError(f"hub.authenticator dummy is only for {' and '.join(ONE_PASSWORD)}")
    c.Authenticator.username_pattern = USERNAME_PATTERN + r"\Z"
    c.Authenticator.admin_users = set(hub.admin_users)
    c.Authenticator.allowed_users = set(hub.allowed_users)
    c.Authenticator.allow_all = not hub.allowed_users
    {"dummy": _dummy, "native": _native, "github": _github, "oidc": _oidc}[hub.authenticator](
        c, settings, secrets
    )


def _dummy(c: Any, settings: HubView, secrets: Path) -> None:
    c.JupyterHub.authenticator_class = authenticator("dummy")
    c.DummyAuthenticator.password = _read(secrets, "login_password")


def _native(c: Any, settings: HubView, secrets: Path) -> None:
    from hubfleet.hub.native import TEMPLATES, SignUp

    c.JupyterHub.authenticator_class = says_why(SignUp)
    c.JupyterHub.template_paths.append(TEMPLATES)
    # Who signs up waits for an administrator's word.
    c.NativeAuthenticator.open_signup = False
    c.NativeAuthenticator.check_common_password = True
    c.NativeAuthenticator.minimum_password_length = 10
    c.NativeAuthenticator.allowed_failed_logins = 5
    c.NativeAuthenticator.seconds_before_next_try = 60


def _github(c: Any, settings: HubView, secrets: Path) -> None:
    c.JupyterHub.authenticator_class = authenticator("github")
    c.GitHubOAuthenticator.oauth_callback_url = settings.hub.oauth.callback_url
    _client(c.GitHubOAuthenticator, secrets)
    _named_users_only(c)


def _oidc(c: Any, settings: HubView, secrets: Path) -> None:
    oauth = settings.hub.oauth
    c.JupyterHub.authenticator_class = authenticator("generic-oauth")
    c.GenericOAuthenticator.oauth_callback_url = oauth.callback_url
    c.GenericOAuthenticator.authorize_url = oauth.authorize_url
    c.GenericOAuthenticator.token_url = oauth.token_url
    c.GenericOAuthenticator.userdata_url = oauth.userdata_url
    c.GenericOAuthenticator.username_claim = oauth.username_claim
    c.GenericOAuthenticator.scope = ["openid", "profile", "email"]
    _client(c.GenericOAuthenticator, secrets)
    _named_users_only(c)


def _client(trait: Any, secrets: Path) -> None:
    trait.client_id = _read(secrets, "oauth_client_id")
    trait.client_secret = _read(secrets, "oauth_client_secret")


def _named_users_only(c: Any) -> None:
    # Everybody on GitHub is not a class: without a list nobody but administrators may log in.
    c.Authenticator.allow_all = False


def _read(secrets: Path, name: str) -> str:
    try:
        return (secrets / name).read_text().strip()
    except OSError as error:
        raise SettingsError(f"the secret {name} cannot be read: {error.strerror}") from error
