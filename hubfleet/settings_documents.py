"""Read roles/*.json and environments/*.json strictly, and expand a role's run list.

policyfiles/lib/role_policy.rb does the same in Ruby when a lock is made, and says the same about
bad input. Every error names file, key path and, for an unknown key, the nearest valid one.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubfleet.errors import SettingsError, nearest
from hubfleet.settings_schema import Json, problems, schema_document

RUN_LIST_ITEM = re.compile(r"(recipe|role)\[([a-z0-9_]+(?:::[a-z0-9_]+)?)\]")

IMAGE_LOCK = "images/lock.json"


@dataclass(frozen=True)
class Expanded:
    """A role with everything that it includes."""

    run_list: list[str]
    default: Json
    override: Json


def merge(onto: Json, other: Json) -> Json:
    """Return `onto` with `other` over it: hashes merge, everything else is replaced.

    Arrays are replaced too, also between roles, where Chef itself would take the union:
    chef-client replaces them when it hoists a policy group, and a list such as `hub.admin_users`
    must be able to shrink. policyfiles/lib/role_policy.rb does the same.
    """
    merged = dict(onto)
    for key, value in other.items():
        mine = merged.get(key)
        merged[key] = (
            merge(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
        )
    return merged


def names(root: Path, folder: str) -> list[str]:
    """Return the sorted names of the documents in `folder` ("roles" or "environments")."""
    return sorted(path.stem for path in (root / folder).glob("*.json"))


def read_role(root: Path, name: str, wanted_by: str = "") -> Json:
    """Read and check one role; `wanted_by` is the role whose run list names it."""
    known = names(root, "roles")
    if name not in known:
        who = f"roles/{wanted_by}.json: run_list: " if wanted_by else ""
        raise SettingsError(f"{who}there is no role '{name}'{nearest(name, known)}")
    document = _read(root, "role", f"roles/{name}.json", name)
    found = []
    for index, item in enumerate(document["run_list"]):
        if not RUN_LIST_ITEM.fullmatch(item):
            found.append(f"run_list[{index}]: '{item}' is neither recipe[NAME] nor role[NAME]")
    if document["env_run_lists"]:
        found.append("env_run_lists: must be empty: a role has one run list in all environments")
    _raise(f"roles/{name}.json", found)
    return document


def read_environment(root: Path, name: str) -> Json:
    """Read and check one environment."""
    known = names(root, "environments")
    if name not in known:
        raise SettingsError(
            f"there is no environment '{name}'{nearest(name, known)}",
            f"environments: {', '.join(known)}",
        )
    document = _read(root, "environment", f"environments/{name}.json", name)
    found = []
    if document["cookbook_versions"]:
        found.append("cookbook_versions: must be empty: the policy locks pin the cookbooks")
    if name in schema_document()["properties"]:
        found.append(f"name: '{name}' is also a top-level attribute")
    _raise(f"environments/{name}.json", found)
    return document


def expand(root: Path, name: str) -> Expanded:
    """Expand a role as Chef does: nested roles first, each once, the last one to apply wins.

    Raises SettingsError on a missing role or a cycle.
    """
    recipes: list[str] = []
    applied: list[str] = []
    default: Json = {}
    override: Json = {}

    def visit(role: str, trail: tuple[str, ...]) -> None:
        nonlocal default, override
        if role in trail:
            cycle = " -> ".join((*trail[trail.index(role) :], role))
            raise SettingsError(f"roles/{trail[-1]}.json: run_list: cycle of roles: {cycle}")
        if role in applied:
            return
        applied.append(role)
        document = read_role(root, role, trail[-1] if trail else "")
        for item in document["run_list"]:
            kind, target = item.rstrip("]").split("[")
            if kind == "role":
                visit(target, (*trail, role))
                continue
            recipe = item if "::" in target else f"recipe[{target}::default]"
            if recipe not in recipes:
                recipes.append(recipe)
        default = merge(default, document["default_attributes"])
        override = merge(override, document["override_attributes"])

    visit(name, ())
    return Expanded(recipes, *(_with_tags(root, part) for part in (default, override)))


def _with_tags(root: Path, attributes: Json) -> Json:
    """Add the tag from images/lock.json to every image that `attributes` name."""
    if "images" not in attributes:
        return attributes
    lock = _image_lock(root)
    images = {}
    for name, image in attributes["images"].items():
        tag = lock.get(name, {}).get("tag")
        if not isinstance(tag, str) or not tag:
            raise SettingsError(f"{IMAGE_LOCK}: {name}.tag: missing", "run ./invoke policy.update")
        images[name] = image | {"tag": tag}
    return attributes | {"images": images}


def _image_lock(root: Path) -> Json:
    if not (root / IMAGE_LOCK).is_file():
        raise SettingsError(f"{IMAGE_LOCK}: missing", "run ./invoke policy.update, which writes it")
    return _parse(root, IMAGE_LOCK)


def _read(root: Path, kind: str, file: str, name: str) -> Json:
    document = _parse(root, file)
    schema = schema_document()
    found = list(problems(document, schema["$defs"][kind], ""))
    _raise(file, found)
    for level in ("default_attributes", "override_attributes"):
        part = document[level]
        found += problems(part, schema, level, partial=True)
        images = part.get("images", {})
        for image in images if isinstance(images, dict) else ():
            if isinstance(images[image], dict) and "tag" in images[image]:
                found.append(f"{level}.images.{image}.tag: comes from {IMAGE_LOCK}")
    if document["name"] != name:
        found.append(f"name: '{document['name']}' is not the file's name '{name}'")
    _raise(file, found)
    return document


def _parse(root: Path, file: str) -> Json:
    def unique(pairs: list[tuple[str, Any]]) -> Json:
        document = dict(pairs)
        if len(document) < len(pairs):
            keys = [key for key, _ in pairs]
            double = next(key for key in keys if keys.count(key) > 1)
            raise SettingsError(f"{file}: key '{double}' is there twice")
        return document

    def refuse(word: str) -> Any:
        raise json.JSONDecodeError(f"{word} is no JSON value", text, text.find(word))

    text = ""
    try:
        text = (root / file).read_text(encoding="utf-8")
        document = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise SettingsError(
            f"{file}: line {error.lineno}, column {error.colno}: broken JSON: {error.msg}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{file}: expected an object")
    return document


def _raise(file: str, found: list[str]) -> None:
    if found:
        raise SettingsError("\n".join(f"{file}: {problem}" for problem in found))
