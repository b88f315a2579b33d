"""A scratch checkout with the real JSON, in which tests may break and change things."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubfleet.settings import ROOT

Json = dict[str, Any]


class Checkout:
    """A copy of what policies are made from, under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("roles", "environments", "schema"):
            shutil.copytree(ROOT / folder, root / folder)
        shutil.copytree(
            ROOT / "policyfiles", root / "policyfiles", ignore=shutil.ignore_patterns("*.lock.json")
        )
        (root / "images").mkdir()
        tags = {name: {"tag": f"tag-of-{name}"} for name in ("base", "node", "hub", "notebook")}
        (root / "images" / "lock.json").write_text(json.dumps(tags))

    def read(self, file: str) -> Json:
        document: Json = json.loads((self.root / file).read_text())
        return document

    def edit(self, file: str, change: Callable[[Json], object]) -> None:
        """Apply `change` to the parsed document."""
        document = self.read(file)
        change(document)
        (self.root / file).write_text(json.dumps(document, indent=2))

    def set(self, file: str, path: str, value: Any) -> None:
        """Set one value; `path` is dotted, its first part such as `default_attributes`."""
        *parents, last = path.split(".")

        def change(document: Json) -> None:
            for key in parents:
                document = document.setdefault(key, {})
            document[last] = value

        self.edit(file, change)

    def move_environment(self, old: str, new: str) -> None:
        """Rename an environment, in its file as well."""
        self.set(f"environments/{old}.json", "name", new)
        folder = self.root / "environments"
        (folder / f"{old}.json").rename(folder / f"{new}.json")

    def set_text(self, file: str, text: str) -> None:
        """Replace a file."""
        (self.root / file).write_text(text)

    def add_role(self, name: str, run_list: list[str], **attributes: Any) -> None:
        """Write a role with default attributes."""
        document = {
            "name": name,
            "description": "A role of a test.",
            "chef_type": "role",
            "json_class": "Chef::Role",
            "default_attributes": attributes,
            "override_attributes": {},
            "run_list": run_list,
            "env_run_lists": {},
        }
        (self.root / "roles" / f"{name}.json").write_text(json.dumps(document))

    def add_cookbooks(self) -> None:
        """Write an empty cookbook for everything that the roles' run lists name."""
        for file in (self.root / "roles").glob("*.json"):
            for item in self.read(f"roles/{file.name}")["run_list"]:
                kind, target = item.rstrip("]").split("[")
                if kind == "recipe":
                    cookbook, _, recipe = target.partition("::")
                    self.add_recipe(cookbook, recipe or "default")

    def add_recipe(self, cookbook: str, recipe: str = "default", text: str = "") -> None:
        """Write a recipe, and its cookbook where it is missing."""
        folder = self.root / "cookbooks" / cookbook
        (folder / "recipes").mkdir(parents=True, exist_ok=True)
        (folder / "recipes" / f"{recipe}.rb").write_text(text)
        (folder / "metadata.rb").write_text(f"name '{cookbook}'\nversion '0.1.0'\n")

    def add_tools(self) -> None:
        """Link what commands need: the shims, the package and what images are made from."""
        for name in ("bin", "hubfleet", "Gemfile.lock"):
            (self.root / name).symlink_to(ROOT / name)
        for folder in (ROOT / "images").iterdir():
            if folder.is_dir():
                (self.root / "images" / folder.name).symlink_to(folder)
