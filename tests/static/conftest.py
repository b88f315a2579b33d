"""What the static tests look at: the files of the checkout, and its modules as syntax trees."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """A Python file and the dotted name under which it is imported."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def name(self) -> str:
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def imports(self) -> set[str]:
        """Return the full names of imported modules; `from a import b` counts as a and a.b."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0, f"{self.name}: relative imports hide a layer"
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        return found


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Return the files that are tracked, or would be: what a clone contains."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = {ROOT / name for name in listed.stdout.split("\0") if name}
    return sorted(path for path in paths if path.is_file())


@pytest.fixture(scope="session")
def modules(files: list[Path]) -> list[Module]:
    """Return the modules of the package and tasks.py."""
    chosen = [ROOT / "tasks.py", *(ROOT / "hubfleet").rglob("*.py")]
    return [Module(path) for path in files if path in chosen]
