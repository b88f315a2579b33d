"""Every `./invoke` command that a workflow, a page or a hint names exists, with its options."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.loader import FilesystemLoader

COMMAND = re.compile(r"\./invoke\s+([a-z][a-z.]*[a-z])\b((?:\\\n|[^\n`|>;)])*)")
"""A task and the rest of its line, or of the lines that a backslash joins."""

OPTION = re.compile(r"(?<![\w-])(--?[a-z](?:[a-z-]*[a-z])?)\b")

EVERYWHERE = {"--debug", "--help"}

WORDS = {"makes"}
"""What may follow `./invoke` in a comment or docstring where it means the program."""

NAMED_IN = (
    *(".github/workflows/*.yml", "README.md", "CONTRIBUTING.md", "docs/**/*.md"),
    *("hubfleet/**/*.py", "terraform/**/*.tf", "packer/*.hcl", "packer/scripts/*"),
)


@pytest.fixture(scope="module")
def tasks(root: Path) -> Collection:
    spec = FilesystemLoader(start=str(root)).find("tasks")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Collection.from_module(module)


def commands(text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each task that a text calls, and the options that stand behind it."""
    for task, rest in COMMAND.findall(text):
        if task not in WORDS:
            # Behind these comes another program, a remark, or the rest of a sentence.
            own = re.split(r"&&|\s#\s|, ", rest)[0]
            yield task, set(OPTION.findall(own)) - EVERYWHERE


def unknown(tasks: Collection, text: str) -> list[str]:
    """Return the tasks and options that do not exist."""
    found = []
    for task, options in commands(text):
        try:
            arguments = tasks[task].get_arguments()
        except (KeyError, ValueError):
            found.append(task)
            continue
        flags = {
            f"-{'-' if len(name) > 1 else ''}{name.replace('_', '-')}"
            for argument in arguments
            for name in argument.names
        }
        found += [f"{task} {option}" for option in sorted(options - flags)]
    return found


def test_all_that_is_named_exists(root: Path, tasks: Collection) -> None:
    files = sorted({path for pattern in NAMED_IN for path in root.glob(pattern) if path.is_file()})
    texts = {str(path.relative_to(root)): path.read_text() for path in files}
    assert sum(1 for text in texts.values() for _ in commands(text)) > 150
    wrong = {name: found for name, text in texts.items() if (found := unknown(tasks, text))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('run: ./invoke depoly --env "$X"', ["depoly"]),
        ("`./invoke images.bark`", ["images.bark"]),
        ("./invoke destroy --env staging --force\n", ["destroy --force"]),
        ("./invoke destroy \\\n  --env staging --force\n", ["destroy --force"]),
        ("./invoke destroy ${YES:+--sure}", ["destroy --sure"]),
        ("./invoke policy.history -n 3 -k 2 | head -k", ["policy.history -k"]),
        ("./invoke plan --env staging --dry-run && ./invoke status", ["plan --dry-run"]),
        ("./invoke plan --students 12; `./invoke status --json` (--yes)", []),
    ],
)
def test_what_does_not_exist_is_noticed(tasks: Collection, text: str, found: list[str]) -> None:
    assert unknown(tasks, text) == found
