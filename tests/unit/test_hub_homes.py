"""Homes: made private, never through a link, never somebody else's."""

import os
from pathlib import Path

import pytest

from hubfleet.hub.homes import HomeError, ensure_home

UID = os.getuid() or 1000


def test_a_home_is_private_and_belongs_to_the_student(tmp_path: Path) -> None:
    home = ensure_home(tmp_path, "ann", UID)
    assert home == tmp_path / "ann"
    assert home.stat().st_mode & 0o777 == 0o700
    assert home.stat().st_uid == UID
    (home / "work.txt").write_text("kept")
    assert ensure_home(tmp_path, "ann", UID) == home
    assert (home / "work.txt").read_text() == "kept"


def test_a_link_in_the_place_of_a_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bob").mkdir()
    (tmp_path / "ann").symlink_to(tmp_path / "bob")
    with pytest.raises(HomeError, match="not a directory"):
        ensure_home(tmp_path, "ann", UID)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory to somebody")
def test_the_home_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    os.chown(tmp_path / "ann", 4242, 4242)
    with pytest.raises(HomeError, match="somebody else"):
        ensure_home(tmp_path, "ann", UID)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory to somebody")
def test_a_home_left_half_made_is_completed(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    assert ensure_home(tmp_path, "ann", UID).stat().st_uid == UID


def test_storage_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="not mounted"):
        ensure_home(tmp_path / "missing", "ann", UID)
