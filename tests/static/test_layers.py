"""The layer rule: tasks -> everything else -> clients -> settings, errors."""

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

from hubfleet.image_inputs import image_sources
from tests.static.conftest import Module

GROUND = ("hubfleet.settings", "hubfleet.errors", "hubfleet.parallel", "hubfleet.state")
"""Prefixes of the modules under the clients; they know nothing above them."""

OUTSIDE = {
    *("subprocess", "urllib.request", "http.client", "requests"),
    *("docker", "boto3", "botocore", "chef"),
}
"""Modules that reach out of the process."""

INSIDE_HUB = {
    *("aiohttp", "docker", "dockerspawner", "jupyterhub", "nativeauthenticator", "oauthenticator"),
    *("pydantic", "sqlalchemy", "tornado", "traitlets"),
    *(
        "boto3",
        "botocore",
        "chef",
        "cryptography",
        "icalendar",
        "prometheus_client",
        "recurring_ical_events",
        "requests",
    ),
}
"""What the hub image has installed."""


def belongs(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def ours(module: Module) -> set[str]:
    return {name for name in module.imports if belongs(name, ["hubfleet"])} - {"hubfleet"}


def test_nothing_imports_tasks(modules: list[Module]) -> None:
    for module in modules:
        if module.name != "tasks" and not belongs(module.name, ["hubfleet.tasks"]):
            assert not [name for name in ours(module) if belongs(name, ["hubfleet.tasks"])], (
                module.name
            )


def test_clients_know_only_the_ground(modules: list[Module]) -> None:
    for module in modules:
        if belongs(module.name, ["hubfleet.clients"]):
            wrong = [n for n in ours(module) if not n.startswith(("hubfleet.clients", *GROUND))]
            assert not wrong, module.name


def test_the_ground_knows_nothing_above(modules: list[Module]) -> None:
    for module in modules:
        if module.name.startswith(GROUND):
            assert not [name for name in ours(module) if not name.startswith(GROUND)], module.name


def test_only_clients_reach_outside(modules: list[Module]) -> None:
    for module in modules:
        # The hub subpackage runs inside the hub image: it is JupyterHub's own way to the engine.
        if belongs(module.name, ["hubfleet.clients", "hubfleet.hub"]):
            continue
        assert not [name for name in module.imports if belongs(name, OUTSIDE)], module.name


def test_the_code_in_the_hub_image_needs_only_what_the_image_has(
    root: Path, modules: list[Module]
) -> None:
    allowed = INSIDE_HUB | set(sys.stdlib_module_names)
    files = {name for name in image_sources("hub", root) if name.startswith("hubfleet/")}
    inside = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files
    }
    for module in modules:
        if module.name not in inside:
            continue
        for name in module.imports:
            fine = name in inside or name.rpartition(".")[0] in inside
            assert fine or name.split(".")[0] in allowed, f"{module.name} imports {name}"


def test_only_the_console_prints(modules: list[Module]) -> None:
    for module in modules:
        # The probe's text is run by a student's kernel, where printing is the way to answer.
        # The controller's log is its container's.
        allowed = {"hubfleet.console", "hubfleet.probe_in_kernel", "hubfleet.controller.publish"}
        if module.name in allowed:
            continue
        assert not belongs("rich", module.imports), module.name
        for node in ast.walk(module.tree):
            call = isinstance(node, ast.Call) and ast.unparse(node.func)
            assert call not in {"print", "input", "os.system", "os.popen"}, module.name
            stream = isinstance(node, ast.Attribute) and ast.unparse(node)
            assert stream not in {"sys.stdout", "sys.stderr"}, module.name


def test_modules_and_functions_stay_small(modules: list[Module]) -> None:
    for module in modules:
        assert module.text.count("\n") <= 300, module.name
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines <= 60, f"{module.name}.{node.name}: {lines} lines"


def test_modules_say_what_they_are_for(modules: list[Module]) -> None:
    for module in modules:
        assert ast.get_docstring(module.tree), module.name
