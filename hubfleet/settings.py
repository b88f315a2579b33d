"""The merged, typed view of roles/*.json, environments/*.json and images/lock.json.

Precedence is that of chef-client with a Policyfile: a role's attributes are the policy's default
and override attributes; an environment is the policy group, whose attributes chef-client hoists
over the policy's own of the same level, arrays replaced; override beats default.
"""

from pathlib import Path

from hubfleet.errors import SettingsError
from hubfleet.settings_documents import expand, merge, names, read_environment
from hubfleet.settings_model import HubView, Settings, parse, read_hub_view
from hubfleet.settings_schema import Json
from hubfleet.settings_types import ONE_PASSWORD

__all__ = [
    "ROOT",
    "HubView",
    "Settings",
    "environments",
    "expected_attributes",
    "load",
    "named_run_lists",
    "policy_attributes",
    "read_hub_view",
    "role_settings",
    "roles",
    "run_list",
]

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

VIEW = "hub"
"""The role that most of what Python asks belongs to."""


def environments(root: Path = ROOT) -> list[str]:
    """Return the names of all environments, sorted."""
    return names(root, "environments")


def roles(root: Path = ROOT) -> list[str]:
    """Return the names of all roles, sorted."""
    return names(root, "roles")


def run_list(role: str, root: Path = ROOT) -> list[str]:
    """Return the expanded run list of `role`, as a lock holds it (`recipe[x::default]`)."""
    return expand(root, role).run_list


def named_run_lists(role: str, root: Path = ROOT) -> dict[str, list[str]]:
    """Return the named run lists of policy `role`: `image` is what Packer converges, if anything.

    That is, in the order of the run list, the recipe `image` of each cookbook that has one.
    """
    cookbooks = dict.fromkeys(
        item.removeprefix("recipe[").split("::")[0] for item in run_list(role, root)
    )
    found = [name for name in cookbooks if (root / f"cookbooks/{name}/recipes/image.rb").is_file()]
    return {"image": [f"recipe[{name}::image]" for name in found]} if found else {}


def load(environment: str, root: Path = ROOT, view: str = VIEW) -> Settings:
    """Return the settings of `environment` over all roles; where roles differ, those of `view`.

    Raises SettingsError where a file is wrong or where the values together make no sense.
    """
    merged: Json = {}
    for role in sorted(roles(root), key=lambda name: (name != view, name)):
        merged = merge(role_settings(role, environment, root), merged)
    settings = parse(Settings, merged, f"environment {environment}")
    if settings.hub.authenticator == "dummy" and environment not in ONE_PASSWORD:
        where = f"environments/{environment}.json: hub.authenticator"
        raise SettingsError(f"{where}: dummy is only for {' and '.join(ONE_PASSWORD)}")
    return settings


def role_settings(role: str, environment: str, root: Path = ROOT) -> Json:
    """Return the attributes of a node of `role` in `environment`, merged over all levels."""
    group = read_environment(root, environment)
    expanded = expand(root, role)
    default = merge(expanded.default, group["default_attributes"])
    return merge(default, merge(expanded.override, group["override_attributes"]))


def policy_attributes(role: str, root: Path = ROOT) -> dict[str, Json]:
    """Return `default` and `override` as the lock of policy `role` holds them.

    That is the role's own values, and one key for each environment that has any.
    """
    expanded = expand(root, role)
    levels = {"default": dict(expanded.default), "override": dict(expanded.override)}
    for name in environments(root):
        document = read_environment(root, name)
        for level, attributes in levels.items():
            if document[f"{level}_attributes"]:
                attributes[name] = document[f"{level}_attributes"]
    return levels


def expected_attributes(role: str, environment: str, root: Path = ROOT) -> dict[str, Json]:
    """Return `default` and `override` as the node object of a converged node holds them.

    That is the lock's attributes with those of the node's own policy group hoisted; the groups
    themselves stay visible. chef-client adds `audit` and `chef-vault` of its own.
    """
    return {
        level: merge(attributes, attributes.get(environment, {}))
        for level, attributes in policy_attributes(role, root).items()
    }
