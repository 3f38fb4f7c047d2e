"""What is sealed with the key-encryption key itself, and is no subject's: declared, so that a rotation misses nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from consent.programs.tenancy import tenant
from consent.vault import envelope, writing
from consent.vault.envelope import Cell
from consent.vault.keyring import Keyring
from consent.vault.store import KeyringError
from consent.vault.suites import DoesNotOpen


@dataclass(frozen=True)
class Own:
    """Columns of a model, and the cell of a row. With `program_id` among its columns a row is its mini-program's, else the service's."""

    model: type[Model]
    columns: tuple[str, ...]
    cell: Callable[[Any], Cell]

    @property
    def of_program(self) -> bool:
        return any(field.name == "program" for field in self.model._meta.local_fields)

    @property
    def table(self) -> str:
        return self.model._meta.db_table


_declared: dict[str, Own] = {}


def declare(model: type[Model], *columns: str, cell: Callable[[Any], Cell]) -> None:
    """Raises ValueError for a model declared twice."""
    if model._meta.db_table in _declared:
        raise ValueError(f"{model._meta.db_table} is declared already")
    _declared[model._meta.db_table] = Own(model, columns, cell)


def declared() -> list[Own]:
    return list(_declared.values())


def used(version: int, program_id: int | None) -> int:
    """How many rows are sealed by a version: a mini-program's, or with None the service's."""
    return sum(_count(one, "=", version, program_id) for one in _of(program_id))


def left(primary: int, program_id: int | None) -> int:
    """How many rows are sealed by any other version."""
    return sum(_count(one, "<>", primary, program_id) for one in _of(program_id))


def seal_again(keyring: Keyring, program_id: int | None) -> Iterator[bool]:
    """Each row that another version than the primary seals, in a transaction of its own: whether it could be opened."""
    for one in _of(program_id):
        with _scope(program_id):
            rows = list(one.model._default_manager.order_by("pk").values_list("pk", flat=True))
        for pk in rows:
            with _scope(program_id):
                done = _row_again(keyring, one, pk)
            if done is not None:
                yield done


def _row_again(keyring: Keyring, one: Own, pk: Any) -> bool | None:
    """None where there was nothing to do."""
    row = one.model._default_manager.select_for_update(no_key=True).filter(pk=pk).first()
    sealed = {name: bytes(getattr(row, name)) for name in one.columns if row is not None and getattr(row, name)}
    writing.hold(keyring)
    try:
        old = {n: s for n, s in sealed.items() if envelope.key_version(s) != keyring.key_encryption.primary}
        new = {name: envelope.seal_own_again(keyring, value, one.cell(row)) for name, value in old.items()}
    except (DoesNotOpen, KeyringError):
        return False
    if not new:
        return None
    one.model._default_manager.filter(pk=pk).update(**new)
    return True


def _count(one: Own, comparison: str, version: int, program_id: int | None) -> int:
    said = " OR ".join(f"substring({name} FROM 2 FOR 4) {comparison} int4send(%(version)s)" for name in one.columns)
    with _scope(program_id), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {one.table} WHERE {said}", {"version": version})
        (found,) = cursor.fetchone()
        return int(found)


def _of(program_id: int | None) -> list[Own]:
    return [one for one in _declared.values() if one.of_program == (program_id is not None)]


def _scope(program_id: int | None) -> AbstractContextManager[None]:
    return transaction.atomic() if program_id is None else tenant(program_id)
