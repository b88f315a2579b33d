"""Bad documents: Python and Ruby refuse the same ones, in the same words."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hubfleet import settings
from hubfleet.errors import SettingsError, nearest
from tests.unit.checkout import Checkout

HUB, BASE, LOCAL = "roles/hub.json", "roles/base.json", "environments/local.json"

RUBY = """
require 'json'
$LOAD_PATH.unshift(ARGV.fetch(0))
require 'role_policy'
cases = JSON.parse($stdin.read)
answers = cases['roots'].map do |root|
  RolePolicy.attributes(RoleDocuments.new(root), 'hub')
rescue RoleDocuments::Error => e
  e.message
end
nearest = cases['words'].map { |word, known| AttributeSchema.nearest(word, known) }
puts JSON.generate('answers' => answers, 'nearest' => nearest)
"""


@dataclass(frozen=True)
class Case:
    """One way to break a document, and what must be said about it."""

    spoil: Callable[[Checkout], object]
    message: str


def value(file: str, path: str, new: object, message: str) -> Case:
    return Case(lambda checkout: checkout.set(file, path, new), f"{file}: {message}")


def text(file: str, content: str, message: str) -> Case:
    return Case(lambda checkout: checkout.set_text(file, content), f"{file}: {message}")


DEFAULT = "default_attributes"

CASES = {
    "unknown attribute": value(
        HUB,
        f"{DEFAULT}.hub.admin_user",
        [],
        f"{DEFAULT}.hub.admin_user: unknown key (did you mean 'admin_users'?)",
    ),
    "unknown section": value(
        LOCAL,
        "override_attributes.notebok",
        {},
        "override_attributes.notebok: unknown key (did you mean 'notebook'?)",
    ),
    "unknown, nothing near": value(LOCAL, f"{DEFAULT}.zzzz", 1, f"{DEFAULT}.zzzz: unknown key"),
    "unknown field of a role": value(
        HUB, "runlist", [], "runlist: unknown key (did you mean 'run_list'?)"
    ),
    "unknown field of an environment": value(LOCAL, "run_list", [], "run_list: unknown key"),
    "text for a number": value(
        HUB,
        f"{DEFAULT}.hub.port",
        "8000",
        f'{DEFAULT}.hub.port: expected integer, found string "8000"',
    ),
    "fraction for an integer": value(
        HUB, f"{DEFAULT}.hub.port", 1.5, f"{DEFAULT}.hub.port: expected integer, found number 1.5"
    ),
    "truth for a number": value(
        BASE,
        f"{DEFAULT}.notebook.cpu_limit",
        True,
        f"{DEFAULT}.notebook.cpu_limit: expected number, found boolean true",
    ),
    "nothing for a text": value(
        BASE,
        f"{DEFAULT}.tls.directory",
        None,
        f"{DEFAULT}.tls.directory: expected string, found null",
    ),
    "list for a section": value(
        BASE, f"{DEFAULT}.tls", [], f"{DEFAULT}.tls: expected object, found array"
    ),
    "wrong item": value(
        HUB,
        f"{DEFAULT}.hub.admin_users",
        ["ann", 7],
        f"{DEFAULT}.hub.admin_users[1]: expected string, found integer 7",
    ),
    "none of the choices": value(
        LOCAL,
        f"{DEFAULT}.hub.authenticator",
        "githup",
        f"{DEFAULT}.hub.authenticator: 'githup' is none of 'dummy', 'native', 'github', 'oidc'"
        " (did you mean 'github'?)",
    ),
    "too small": value(
        LOCAL,
        f"{DEFAULT}.chef_client.interval_s",
        5,
        f"{DEFAULT}.chef_client.interval_s: 5 is less than 60",
    ),
    "too large": value(
        LOCAL, f"{DEFAULT}.hub.port", 70000, f"{DEFAULT}.hub.port: 70000 is more than 65535"
    ),
    "unknown mode": value(
        LOCAL,
        f"{DEFAULT}.chef_server.mode",
        "externl",
        f"{DEFAULT}.chef_server.mode: 'externl' is none of 'embedded', 'install', 'external'"
        " (did you mean 'external'?)",
    ),
    "unknown key of a mode": value(
        LOCAL,
        f"{DEFAULT}.chef_server.install.sha",
        "",
        f"{DEFAULT}.chef_server.install.sha: unknown key (did you mean 'sha256'?)",
    ),
    "tag by hand": value(
        HUB,
        f"{DEFAULT}.images.hub.tag",
        "latest",
        f"{DEFAULT}.images.hub.tag: comes from images/lock.json",
    ),
    "another name than the file's": value(
        HUB, "name", "hup", "name: 'hup' is not the file's name 'hub'"
    ),
    "another kind of object": value(
        HUB, "chef_type", "node", "chef_type: 'node' is none of 'role' (did you mean 'role'?)"
    ),
    "missing field": Case(
        lambda checkout: checkout.edit(HUB, lambda role: role.pop("env_run_lists")),
        f"{HUB}: env_run_lists: missing",
    ),
    "run list per environment": value(
        HUB,
        "env_run_lists",
        {"local": []},
        "env_run_lists: must be empty: a role has one run list in all environments",
    ),
    "cookbook versions": value(
        LOCAL,
        "cookbook_versions",
        {"swarm": "= 1.0.0"},
        "cookbook_versions: must be empty: the policy locks pin the cookbooks",
    ),
    "role without its bracket": value(
        HUB,
        "run_list",
        ["role[base"],
        "run_list[0]: 'role[base' is neither recipe[NAME] nor role[NAME]",
    ),
    "recipe with a version": value(
        HUB,
        "run_list",
        ["recipe[swarm@1.0.0]"],
        "run_list[0]: 'recipe[swarm@1.0.0]' is neither recipe[NAME] nor role[NAME]",
    ),
    "missing role": value(
        HUB, "run_list", ["role[bas]"], "run_list: there is no role 'bas' (did you mean 'base'?)"
    ),
    "cycle": value(BASE, "run_list", ["role[hub]"], "run_list: cycle of roles: hub -> base -> hub"),
    "role that includes itself": value(
        HUB, "run_list", ["role[hub]"], "run_list: cycle of roles: hub -> hub"
    ),
    "environment named like an attribute": Case(
        lambda checkout: checkout.move_environment("local", "hub"),
        "environments/hub.json: name: 'hub' is also a top-level attribute",
    ),
    "same key twice": text(
        LOCAL, '{"name": "local", "name": "local"}', "key 'name' is there twice"
    ),
    "no object": text(LOCAL, "[]", "expected an object"),
    "two faults": Case(
        lambda checkout: checkout.edit(HUB, lambda role: role[DEFAULT].update(qqq=1, hup=2)),
        f"{HUB}: {DEFAULT}.qqq: unknown key\n"
        f"{HUB}: {DEFAULT}.hup: unknown key (did you mean 'hub'?)",
    ),
    "image without a tag": text("images/lock.json", '{"hub": {}}', "hub.tag: missing"),
}

BROKEN = {
    "cut off": ('{"name": "local",\n "x": ', 2),
    "comma too many": ('{"name": "local",\n "x": [1,]}', 2),
    "no quotes": ("{\n\n name: 1}", 3),
    "not a number": ('{"name":\n NaN}', 2),
}

WORDS: list[tuple[str, list[str]]] = [
    ("memory_limit", ["memory_limit_mb", "memory_guarantee_mb", "cpu_limit"]),
    ("ab", ["ba", "cab", "abc"]),
    ("", ["a"]),
    ("workrs", ["count", "min", "max", "workers"]),
    ("swarm_wroker", ["base", "hub", "swarm_worker", "chef_server"]),
]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return one spoilt checkout for each case."""
    made = {}
    for name, case in CASES.items():
        checkout = Checkout(tmp_path_factory.mktemp("case"))
        case.spoil(checkout)
        made[name] = checkout.root
    for name, (content, _) in BROKEN.items():
        checkout = Checkout(tmp_path_factory.mktemp("case"))
        checkout.set_text(LOCAL, content)
        made[name] = checkout.root
    made["good"] = Checkout(tmp_path_factory.mktemp("case")).root
    return made


@pytest.fixture(scope="module")
def ruby(roots: dict[str, Path]) -> dict[str, object]:
    """Return what Ruby says about each checkout; one process for all."""
    question = {"roots": [str(root) for root in roots.values()], "words": WORDS}
    done = subprocess.run(
        [settings.ROOT / "bin/_bundle", "ruby", "-e", RUBY, settings.ROOT / "policyfiles/lib"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return {**dict(zip(roots, answer["answers"], strict=True)), "nearest": answer["nearest"]}


def python(root: Path) -> object:
    try:
        return settings.policy_attributes("hub", root)
    except SettingsError as error:
        return error.message


@pytest.mark.parametrize("name", CASES)
def test_both_languages_say(name: str, roots: dict[str, Path], ruby: dict[str, object]) -> None:
    assert python(roots[name]) == CASES[name].message
    assert ruby[name] == CASES[name].message


@pytest.mark.parametrize("name", BROKEN)
def test_broken_json_is_located(name: str, roots: dict[str, Path], ruby: dict[str, object]) -> None:
    # The parsers differ in words and in the column where they notice.
    where = re.compile(rf"{LOCAL}: line {BROKEN[name][1]}, column \d+: broken JSON: ")
    assert where.match(str(python(roots[name])))
    assert where.match(str(ruby[name]))


def test_both_languages_see_the_same_attributes(
    roots: dict[str, Path], ruby: dict[str, object]
) -> None:
    assert ruby["good"] == python(roots["good"])


def test_both_languages_suggest_the_same_keys(ruby: dict[str, object]) -> None:
    assert ruby["nearest"] == [nearest(word, known) for word, known in WORDS]


def test_an_unknown_environment_is_named() -> None:
    with pytest.raises(
        SettingsError, match=r"no environment 'stagin' \(did you mean 'staging'\?\)"
    ):
        settings.load("stagin")
