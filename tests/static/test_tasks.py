"""Every task, and every option of a task, says what it is."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.loader import FilesystemLoader


@pytest.fixture(scope="module")
def collection(root: Path) -> Collection:
    spec = FilesystemLoader(start=str(root)).find("tasks")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Collection.from_module(module)


def options(collection: Collection) -> Iterator[tuple[str, str, str | None]]:
    """Yield task, option and the option's help."""
    for name in collection.task_names:
        for argument in collection[name].get_arguments():
            yield name, str(argument.name), argument.help


def test_tasks_file_only_puts_collections_together(root: Path) -> None:
    assert (root / "tasks.py").read_text().count("\n") <= 60


def test_every_task_has_a_line_of_help(collection: Collection) -> None:
    for name in collection.task_names:
        first = (collection[name].__doc__ or "").strip().splitlines()[:1]
        assert first and first[0].endswith("."), name


def test_every_option_has_help(collection: Collection) -> None:
    silent = [f"{task} --{option}" for task, option, text in options(collection) if not text]
    assert not silent


def test_the_everyday_commands_are_there(collection: Collection) -> None:
    assert {"deploy", "status", "verify", "destroy", "check", "test"} <= set(collection.task_names)
