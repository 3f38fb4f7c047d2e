"""config.postgres: where the files of a folder's PostgreSQL are, and whose they are."""

import os
import pwd
import shutil
from pathlib import Path

import pytest

from config import embedded, postgres, processes
from tests.config.stacks import AS_ROOT, mode, note, notes


def test_data_without_its_passwords_is_not_touched(var: Path) -> None:
    with embedded.services(var, durable=False) as first:
        (first.postgres.house.folder / "passwords.json").unlink()
    with pytest.raises(embedded.PlaceRefused, match="its passwords are not"):
        embedded.services(var).__enter__()


def test_a_long_path_with_spaces(tmp_path: Path) -> None:
    var = tmp_path / ("a " + "long" * 40) / ("and " + "longer" * 30) / "var"
    with embedded.services(var, durable=False) as stack:
        sockets = stack.postgres.house.sockets
        note(stack, "reached")
        assert mode(sockets) == 0o700
    embedded.remove(var)
    assert not sockets.exists()
    assert not var.exists()


def test_a_socket_folder_is_short_private_and_forgotten(var: Path, tmp_path: Path) -> None:
    embedded.prepare(var)
    assert postgres.socket_folder(var, Path("/short")) == Path("/short")
    for unfit in (tmp_path / ("x" * 100), Path("/with,comma")):
        made = postgres.socket_folder(var, unfit)
        assert made != unfit
        assert mode(made) == 0o700
        copy = tmp_path / "copy"
        copy.mkdir(exist_ok=True)
        shutil.copy(var / "postgres.sockets", copy)
        postgres.forget_sockets(copy)  # it is not the copy's
        assert made.exists()
        postgres.forget_sockets(var)
        assert not made.exists()


@AS_ROOT
def test_a_place_made_by_somebody_else_is_refused(var: Path) -> None:
    account = processes.unprivileged()
    assert account
    place = postgres.open_place(embedded.prepare(var), account)
    (var / postgres.PLACE_NOTE).unlink()
    os.chown(place, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(embedded.PlaceRefused, match="find out who made it"):
        embedded.services(var).__enter__()
    shutil.rmtree(place)


@AS_ROOT
def test_what_a_removed_folder_left_is_replaced(var: Path) -> None:
    with embedded.services(var, durable=False) as first:
        note(first, "forgotten with its folder")
    shutil.rmtree(var)
    with embedded.services(var, durable=False) as second:
        assert second.postgres.house.folder == first.postgres.house.folder
        note(second, "anew")
        assert notes(second) == ["anew"]


def test_a_moved_folder_keeps_its_data_and_a_copy_does_not_share_it(var: Path, tmp_path: Path) -> None:
    with embedded.services(var, durable=False) as first:
        note(first, "moved")
    moved, copy = tmp_path / "moved", tmp_path / "copy"
    var.rename(moved)
    with embedded.services(moved, durable=False) as second:
        assert notes(second) == ["moved"]
        shutil.copytree(moved, copy, ignore=shutil.ignore_patterns("postgres", ".s.*"))
        with embedded.services(copy, durable=False) as third:
            note(third, "copy")
            assert notes(third) == ["copy"]
        embedded.remove(copy)
        assert notes(second) == ["moved"]
    embedded.remove(moved)


def test_remove_takes_everything_and_only_what_is_a_stacks(var: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "precious").mkdir(parents=True)
    with embedded.services(var / "test", durable=False) as stack:
        folder = stack.postgres.house.folder
    embedded.remove(var)
    embedded.remove(other)
    embedded.remove(tmp_path / "nothing")
    assert not folder.exists()
    assert not var.exists()
    assert (other / "precious").exists()
