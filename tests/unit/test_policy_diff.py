"""What differs between two locks, as the nodes of one group see them."""

import io

from hubfleet.console import Console
from hubfleet.policy_diff import (
    File,
    PolicyDiff,
    Value,
    files_diff,
    list_diff,
    show,
    text_diff,
    values_diff,
)
from hubfleet.policy_group import canonical, hoisted, images_of
from hubfleet.promotion import without_urls

LOCK = {
    "default_attributes": {
        "hub": {"port": 1, "users": ["ann", "bob"]},
        "images": {"hub": {"repository": "r/hub", "tag": "1"}},
        "staging": {"hub": {"port": 2, "users": ["eve"]}},
        "production": {"images": {"hub": {"tag": "2"}}},
    },
    "override_attributes": {"hub": {"limit": 5}, "production": {"hub": {"limit": 6, "port": 9}}},
}
GROUPS = ["local", "staging", "production"]


def test_a_node_sees_its_own_groups_values_and_no_others() -> None:
    assert hoisted(LOCK, "local", GROUPS)["hub"] == {"port": 1, "users": ["ann", "bob"], "limit": 5}
    assert hoisted(LOCK, "staging", GROUPS)["hub"] == {"port": 2, "users": ["eve"], "limit": 5}
    assert hoisted(LOCK, "production", GROUPS)["hub"]["port"] == 9
    assert set(hoisted(LOCK, "local", GROUPS)) == {"hub", "images"}
    assert images_of(LOCK, "production", GROUPS) == {"hub": "r/hub:2"}
    assert images_of(LOCK, "staging", GROUPS) == {"hub": "r/hub:1"}


def test_values_that_differ_have_their_paths() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "gone": {"x": None}, "kind": 1}
    new = {"a": {"b": 1, "c": [2]}, "fresh": {"y": {"z": True}}, "kind": 1.0}
    assert values_diff(old, new) == [
        Value("a.c", [1, 2], [2]),
        Value("fresh.y.z", None, True),
        Value("gone.x", None, None),
        Value("kind", 1, 1.0),
    ]
    assert values_diff(old, old) == []


def test_run_lists_show_what_was_put_in_and_taken_out() -> None:
    assert list_diff(["a", "b", "c"], ["a", "c", "d"]) == ["- b", "+ d"]
    assert list_diff(["a"], ["a"]) == []


def test_files_are_compared_by_their_checksums() -> None:
    found = files_diff({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"})
    assert found == [File("b", "changed"), File("c", "removed"), File("d", "added")]


def test_text_is_shown_line_by_line_and_nothing_else_is() -> None:
    shown = text_diff("x.rb", b"one\ntwo\n", b"one\nthree\n")
    assert "-two" in shown.splitlines() and "+three" in shown.splitlines()
    assert text_diff("x", b"\0one", b"two") == ""
    assert text_diff("x", b"\xff\xfe", b"two") == ""
    assert text_diff("x", b"a" * 200_000, b"b") == ""


def shown(*found: PolicyDiff) -> list[str]:
    out = io.StringIO()
    show(Console(stdout=out), found, "local")
    return out.getvalue().splitlines()


def test_no_differences_are_said() -> None:
    assert shown(PolicyDiff("hub", "a" * 64, "a" * 64)) == [
        "no differences: group local has what this checkout describes"
    ]


def test_what_differs_for_others_only_is_said() -> None:
    lines = shown(PolicyDiff("hub", "a" * 64, "b" * 64))
    assert lines == ["hub: aaaaaaaaaa -> bbbbbbbbbb", "  nothing that nodes of group local see"]


def test_a_cookbook_of_two_policies_is_shown_once() -> None:
    files = {"swarm": [File("recipes/default.rb", "changed", "-a\n+b")]}
    images = [Value("hub", "r/hub:1", "r/hub:2")]
    lines = shown(
        PolicyDiff("hub", "", "b" * 64, cookbooks=files, images=images),
        PolicyDiff("swarm_worker", "a" * 64, "b" * 64, ["+ recipe[x]"], files, [Value("n", 1, 2)]),
    )
    assert lines == [
        "hub: not published -> bbbbbbbbbb",
        "  cookbook swarm: changed recipes/default.rb",
        "      -a",
        "      +b",
        "  image hub: r/hub:1 -> r/hub:2",
        "swarm_worker: aaaaaaaaaa -> bbbbbbbbbb",
        "  run list + recipe[x]",
        "  cookbook swarm: as for hub",
        "  n: 1 -> 2",
    ]


def test_a_manifest_loses_its_addresses_and_nothing_else() -> None:
    manifest = {
        "all_files": [{"checksum": "1", "url": "https://one", "path": "a"}],
        "metadata": {"source_url": "https://x", "url": "kept"},
    }
    assert without_urls(manifest) == {
        "all_files": [{"checksum": "1", "path": "a"}],
        "metadata": {"source_url": "https://x", "url": "kept"},
    }


def test_documents_are_equal_by_their_text() -> None:
    assert canonical({"b": 1.0, "a": "ä"}) == canonical({"a": "ä", "b": 1.0})
    assert canonical({"a": 1}) != canonical({"a": 1.0})
