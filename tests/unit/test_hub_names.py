"""Names: every user gets a safe home of their own, or is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubfleet.hub.names import USERNAME_PATTERN, home_name, service_name, slug, start_alias

LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
ALLOWED = re.compile(USERNAME_PATTERN + r"\Z")


@given(st.text(min_size=1))
def test_a_slug_is_a_dns_label_that_never_leaves_its_directory(name: str) -> None:
    assert LABEL.fullmatch(slug(name))
    assert len(slug(name)) <= 38


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_users_never_share_a_home(one: str, other: str) -> None:
    assert (home_name(one) == home_name(other)) == (one == other)


@given(st.text(min_size=1))
def test_nobody_can_choose_the_slug_of_another(name: str) -> None:
    taken = slug(name)
    if taken != name:
        assert slug(taken) != taken


@given(st.text(min_size=1), st.text())
def test_the_alias_of_a_start_is_a_dns_label(name: str, server: str) -> None:
    alias = start_alias(service_name(name, server))
    assert LABEL.fullmatch(alias)
    assert len(alias) <= 63


def test_every_start_has_an_alias_of_its_own() -> None:
    assert start_alias("student-ann") != start_alias("student-ann")


def test_a_plain_name_keeps_its_name() -> None:
    assert home_name("ann-2") == "ann-2"
    assert service_name("ann") == "student-ann"


def test_a_server_cannot_take_the_name_of_another_user() -> None:
    assert slug("ann", "bob") not in {slug("ann"), slug("ann-bob"), slug("annbob")}


@pytest.mark.parametrize(
    "name",
    ["../bob", "b o b", "x" * 200, "", ".bob", "bob.", "a/b", "a\nb", "bob\n", "a\\b", "a%b"],
)
def test_names_that_are_no_word_may_not_log_in(name: str) -> None:
    assert not ALLOWED.match(name)


@pytest.mark.parametrize("name", ["bob", "b", "jürgen", "ann.b+c@example.org", "_ann", "李雷"])
def test_names_of_people_may_log_in(name: str) -> None:
    assert ALLOWED.match(name)


def test_an_empty_name_has_no_slug() -> None:
    with pytest.raises(ValueError, match="empty"):
        slug("")
