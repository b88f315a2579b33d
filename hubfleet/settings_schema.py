"""One JSON schema for the attribute tree and its documents, and a checker that Ruby has as well.

`schema/attributes.schema.json` is generated from the models here.
policyfiles/lib/attribute_schema.rb reads the file and reports the same problems in the same words;
a test compares the two on a table of bad documents. Only this subset of JSON Schema is used,
inlined: type, properties, required, enum, additionalProperties, items, minimum, maximum.
"""

import functools
import json
from collections.abc import Iterator
from typing import Any

from hubfleet.errors import nearest
from hubfleet.settings_model import Settings

Json = dict[str, Any]

KEYWORDS = (
    "type",
    "description",
    "properties",
    "required",
    "enum",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
)


@functools.cache
def schema_document() -> Json:
    """Return the content of schema/attributes.schema.json.

    That is the attributes, and under `$defs` the documents that hold them: `role`, `environment`.
    """
    raw = Settings.model_json_schema()
    attributes = _inline(raw, raw["$defs"])
    text = {"type": "string"}
    part = {"type": "object", "description": "Any part of the attribute tree."}
    common = {
        "name": text | {"description": "The file's name without .json."},
        "description": text,
        "default_attributes": part,
        "override_attributes": part,
    }
    role = common | {
        "chef_type": text | {"enum": ["role"]},
        "json_class": text | {"enum": ["Chef::Role"]},
        "run_list": {"type": "array", "items": text},
        "env_run_lists": {"type": "object", "description": "Always empty: one run list for all."},
    }
    environment = common | {
        "chef_type": text | {"enum": ["environment"]},
        "json_class": text | {"enum": ["Chef::Environment"]},
        "cookbook_versions": {"type": "object", "description": "Always empty: the lock pins them."},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hubfleet attributes",
        **attributes,
        "$defs": {"role": _closed(role), "environment": _closed(environment)},
    }


def render_schema() -> str:
    """Return the schema file's text."""
    return json.dumps(schema_document(), indent=2, ensure_ascii=False) + "\n"


def problems(value: Any, schema: Json, path: str, *, partial: bool = False) -> Iterator[str]:
    """Yield `path: what is wrong` for everything in `value` that `schema` does not allow.

    With `partial`, missing keys are allowed: a role or environment holds only a part of the tree.
    """
    kind = _kind(value)
    wanted = schema.get("type", kind)
    if kind != wanted and (kind, wanted) != ("integer", "number"):
        yield f"{path}: expected {wanted}, found {_shown(value, kind)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(f"'{item}'" for item in schema["enum"])
        yield f"{path}: '{value}' is none of {allowed}{nearest(str(value), schema['enum'])}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{path}: {value} is less than {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{path}: {value} is more than {schema['maximum']}"
    if kind == "object":
        yield from _object_problems(value, schema, path, partial)
    if kind == "array" and "items" in schema:
        for index, item in enumerate(value):
            yield from problems(item, schema["items"], f"{path}[{index}]", partial=partial)


def _object_problems(value: Json, schema: Json, path: str, partial: bool) -> Iterator[str]:
    known = schema.get("properties", {})
    if not partial:
        for key in schema.get("required", ()):
            if key not in value:
                yield f"{_join(path, key)}: missing"
    for key, item in value.items():
        if key in known:
            yield from problems(item, known[key], _join(path, key), partial=partial)
        elif schema.get("additionalProperties") is False:
            yield f"{_join(path, key)}: unknown key{nearest(key, known)}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _kind(value: Any) -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def _shown(value: Any, kind: str) -> str:
    if kind in ("array", "object", "null"):
        return kind
    return f"{kind} {json.dumps(value, ensure_ascii=False)}"


def _closed(properties: Json) -> Json:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(sorted(properties.items())),
        "required": sorted(properties),
    }


def _inline(schema: Json, definitions: Json) -> Json:
    """Return `schema` with its references filled in and reduced to the keywords we use."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[1]]
        schema = target | {key: value for key, value in schema.items() if key != "$ref"}
    found = {key: schema[key] for key in KEYWORDS if key in schema}
    if "const" in schema:
        found["enum"] = [schema["const"]]
    if "properties" in schema:
        found["properties"] = {
            key: _inline(item, definitions) for key, item in sorted(schema["properties"].items())
        }
        found["required"] = sorted(schema["properties"])
    if "items" in schema:
        found["items"] = _inline(schema["items"], definitions)
    return found
