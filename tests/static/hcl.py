"""HCL files as plain Python values, for the static tests of terraform/.

python-hcl2 8 returns strings and keys with their quotes, expressions as "${...}" and comments as a
key of their own; from here on a string is its text, an expression is still "${...}".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import hcl2

LABELS = {"resource": 2, "data": 2, "variable": 1, "output": 1, "provider": 1, "locals": 0}
"""How many labels a block of each kind has; terraform{} has none either."""

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Block:
    """A block at the top of a file, such as `resource "aws_vpc" "this"`."""

    file: str
    kind: str
    labels: tuple[str, ...]
    body: Body

    def __str__(self) -> str:
        return f"{self.file}: {' '.join((self.kind, *self.labels))}"


@dataclass(frozen=True)
class Stack:
    """All .tf files of a directory, by name; `texts` may be changed to see what a rule says."""

    texts: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Stack":
        return cls({path.name: path.read_text() for path in sorted(folder.glob("*.tf"))})

    def changed(self, file: str, old: str, new: str) -> "Stack":
        """Return the stack with one change; `old` must be there."""
        assert old in self.texts[file], f"{file} does not say {old!r}"
        return Stack({**self.texts, file: self.texts[file].replace(old, new)})

    @cached_property
    def blocks(self) -> list[Block]:
        return [block for file, text in self.texts.items() for block in _blocks(file, text)]

    def of(self, kind: str, label: str = "") -> list[Block]:
        """Return the blocks of a kind whose first label is `label`, where one is given."""
        return [b for b in self.blocks if b.kind == kind and label in ("", *b.labels[:1])]

    def resources(self, label: str) -> list[Block]:
        """Return the resources of a type; there must be one, or a rule would hold for nothing."""
        found = self.of("resource", label)
        assert found, f"there is no {label}"
        return found

    def one(self, label: str, name: str) -> Block:
        found = [block for block in self.resources(label) if block.labels[1] == name]
        assert len(found) == 1, f"{len(found)} of {label}.{name}"
        return found[0]

    @cached_property
    def locals(self) -> dict[str, Any]:
        return {key: value for block in self.of("locals") for key, value in block.body.items()}

    def policy(self, name: str) -> list[Body]:
        """Return the statements of a policy document, those in dynamic blocks among them."""
        found = [b for b in self.of("data", "aws_iam_policy_document") if b.labels[1] == name]
        assert len(found) == 1, f"{len(found)} policy documents {name}"
        return statements(found[0].body)


def statements(body: Body) -> list[Body]:
    """Return the statements of the body of a policy document."""
    dynamic = [each["statement"]["content"][0] for each in body.get("dynamic", [])]
    return [*body.get("statement", []), *dynamic]


def nested(body: Body, *path: str) -> Body:
    """Return the only block at a path of blocks; an empty one where there is none."""
    for key in path:
        blocks = body.get(key, [])
        body = blocks[0] if len(blocks) == 1 else {}
    return body


@cache
def _blocks(file: str, text: str) -> tuple[Block, ...]:
    """Return the blocks of a file; parsing takes 0.1 s for some, so each text is parsed once."""
    return tuple(_parsed(file, text))


def _parsed(file: str, text: str) -> Iterator[Block]:
    for kind, entries in plain(hcl2.loads(text)).items():
        for entry in entries:
            labels: tuple[str, ...] = ()
            for _ in range(LABELS.get(kind, 0)):
                ((label, entry),) = entry.items()
                labels += (label,)
            yield Block(file, kind, labels, entry)


def plain(value: Any) -> Any:
    """Return what python-hcl2 returned without quotes, comments and marks of its own."""
    if isinstance(value, dict):
        return {
            plain(key): plain(each)
            for key, each in value.items()
            if key not in ("__comments__", "__inline_comments__", "__is_block__")
        }
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value
