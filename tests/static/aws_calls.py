"""Calls of AWS in hubfleet's sources, found in their syntax, in the words of IAM policies.

A call is `x.call("service", "operation", ...)`, `x.pages("service", "operation", ...)` or
`x.client("service").operation(...)`, as hubfleet.clients.aws_fleet has them, with both names
written out.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import botocore.session
from botocore import xform_name

from tests.infrastructure.calls import ACTIONS

PREFIXES = {"efs": "elasticfilesystem", "service-quotas": "servicequotas"}
"""Services of boto3 whose actions begin with another name."""

OWN = {"exceptions", "meta"}
"""Parts of boto3's clients that ask AWS nothing."""

WITHOUT_PERMISSION = {"sts:GetCallerIdentity"}

MEANS = ("call", "pages")

TRANSFERS = {"upload_file": "put_object", "upload_fileobj": "put_object"} | {
    "download_file": "get_object",
    "download_fileobj": "get_object",
}
"""boto3's own on top of S3's operations."""


class NotWrittenOutError(Exception):
    """A call whose operation stands in a variable: nobody can compare it with a policy."""


@dataclass
class Function:
    """What a function does by itself: its actions, and what it names."""

    actions: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


def functions(root: Path, files: Iterable[Path]) -> dict[str, Function]:
    """Return the functions and methods of the files, as `hubfleet.module.Class.method`.

    Raises NotWrittenOutError.
    """
    found: dict[str, Function] = {}
    for file in files:
        module = ".".join(file.relative_to(root).with_suffix("").parts)
        tree = ast.parse(file.read_text(), str(file))
        own = {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.ClassDef)}
        places = _imported(tree) | {name: f"{module}.{name}" for name in own}
        for name, body in _defined(tree, module):
            found[name] = _read(body, {**places, **_imported(body)})
    return found


def reached(known: Mapping[str, Function], roots: Iterable[str]) -> set[str]:
    """Return the actions of all that can be reached from some functions.

    The syntax does not tell an object's class: a method is reached where its name is called and its
    class is named, anywhere on the way.
    """
    named = set(roots)
    while True:
        seen = {name for name in known if name in named or _is_called(name, named)}
        more = {name for each in seen for name in known[each].names} - named
        if not more:
            return {action for name in seen for action in known[name].actions}
        named |= more


def _is_called(name: str, named: Iterable[str]) -> bool:
    owner, _, method = name.rpartition(".")
    return owner in named and (f".{method}" in named or method.startswith("__"))


def action(service: str, operation: str) -> str:
    """Return the action that boto3's `operation` needs; raises KeyError where there is none."""
    operation = TRANSFERS.get(operation, operation)
    name = f"{PREFIXES.get(service, service)}:{_operations(service)[operation]}"
    return ACTIONS.get(name, name)


@cache
def _operations(service: str) -> dict[str, str]:
    model: Any = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def _defined(tree: ast.Module, module: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for each in tree.body:
        if isinstance(each, ast.FunctionDef):
            yield f"{module}.{each.name}", each
        elif isinstance(each, ast.ClassDef):
            for part in each.body:
                if isinstance(part, ast.FunctionDef):
                    yield f"{module}.{each.name}.{part.name}", part


def _imported(tree: ast.AST) -> dict[str, str]:
    """Return what the imports in a module or function call by which name."""
    found = {}
    for each in ast.walk(tree):
        if isinstance(each, ast.ImportFrom) and each.module:
            for name in each.names:
                found[name.asname or name.name] = f"{each.module}.{name.name}"
    return found


def _read(body: ast.FunctionDef, places: Mapping[str, str]) -> Function:
    function = Function()
    for each in ast.walk(body):
        if isinstance(each, ast.Name):
            function.names.add(places.get(each.id, each.id))
        elif isinstance(each, ast.Attribute):
            function.names.add(f".{each.attr}")
            if isinstance(each.value, ast.Name) and each.value.id in places:
                function.names.add(f"{places[each.value.id]}.{each.attr}")
    for call in _calls(body):
        names = [a.value for a in call if isinstance(a, ast.Constant)]
        if len(names) != 2:
            words = ", ".join(ast.unparse(each) for each in call)
            raise NotWrittenOutError(f"line {call[0].lineno}: {words}")
        function.actions.add(action(str(names[0]), str(names[1])))
    return function


def _calls(body: ast.FunctionDef) -> Iterator[list[ast.expr]]:
    """Yield service and operation of each call, as they are written."""
    used = set()
    for each in ast.walk(body):
        if isinstance(each, ast.Attribute) and _takes(each.value, ("client",)):
            used.add(each.value)
            if each.attr not in OWN:
                yield [*each.value.args[:1], ast.Constant(each.attr)]
        elif _takes(each, MEANS):
            yield each.args[:2]
        elif _takes(each, ("client",)) and each not in used:
            yield [*each.args[:1], each]


def _takes(node: ast.AST, names: Iterable[str]) -> TypeGuard[ast.Call]:
    """Tell whether it is a call of a method of one of the names, with a service given."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in names
        and bool(node.args)
    )
