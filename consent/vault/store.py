"""Where the keyring is kept: in a file that only the service may read. A KMS can take its place behind KeyStore."""

import json
import os
import stat
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO


class KeyringError(Exception):
    """The keyring cannot be used; the message says why and never holds a key."""


class KeyStore(Protocol):
    """Keeps one keyring, as JSON has it (consent.vault.keyring). Every method raises KeyringError."""

    def state(self) -> Hashable:
        """Another one whenever there may be other content. Asked at each use, so it costs microseconds."""

    def read(self) -> dict[str, Any]: ...

    def create(self, content: dict[str, Any]) -> bool:
        """Keep it unless there is a keyring; answers whether there was none."""

    def exists(self) -> bool: ...

    def replacing(self) -> AbstractContextManager[dict[str, Any]]:
        """The content, to be changed in the block; replaced whole and durable at its end, by one at a time."""


@dataclass(frozen=True)
class FileStore:
    """A file of mode 0600."""

    path: Path

    def state(self) -> Hashable:
        try:
            found = self.path.stat()
        except OSError as error:
            raise _unreadable(error) from None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode

    def read(self) -> dict[str, Any]:
        try:
            mode = self.path.stat().st_mode
            content = json.loads(self.path.read_text())
        except OSError as error:
            raise _unreadable(error) from None
        except ValueError:
            raise KeyringError("the keyring file is not JSON") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyringError("the keyring file may be read by others: chmod 600 it")
        if not isinstance(content, dict):
            raise KeyringError("the keyring file is not in the expected form")
        return content

    def exists(self) -> bool:
        return self.path.exists()

    def create(self, content: dict[str, Any]) -> bool:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _opened_new(self.path) as file:
                _write(file, content)
            _keep_names(self.path.parent)
        except FileExistsError:
            return False
        except OSError as error:
            raise KeyringError(f"the keyring file cannot be made: {error.strerror}") from None
        return True

    @contextmanager
    def replacing(self) -> Iterator[dict[str, Any]]:
        """Others read the file as it was or as it is."""
        path = self.path.resolve()
        changed = path.with_name(f"{path.name}.new")
        try:
            with _opened_new(changed) as file:
                try:
                    content, owned = FileStore(path).read(), path.stat()
                    yield content
                    os.fchown(file.fileno(), owned.st_uid, owned.st_gid)
                    _write(file, content)
                    changed.replace(path)
                except BaseException:
                    # Only while it is ours: the replacement gave its name free, and the next change may stand under it already.
                    changed.unlink(missing_ok=True)
                    raise
                _keep_names(path.parent)
        except FileExistsError:
            raise KeyringError(
                f"{changed.name} is there: another change is under way, or remove what one left"
            ) from None
        except OSError as error:
            raise KeyringError(f"the keyring file cannot be replaced: {error.strerror}") from None


def _unreadable(error: OSError) -> KeyringError:
    if isinstance(error, FileNotFoundError):
        return KeyringError(
            "there is no keyring file: put the keyring of this database in its place; only for a new database make one, with"
            " `manage.py create_keyring`"
        )
    return KeyringError(f"the keyring file cannot be read: {error.strerror}")


def _opened_new(path: Path) -> TextIO:
    """For its owner only. Raises FileExistsError, OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def _write(file: TextIO, content: dict[str, Any]) -> None:
    """Durable before it returns."""
    json.dump(content, file, indent=1)
    file.flush()
    os.fsync(file.fileno())


def _keep_names(folder: Path) -> None:
    """That the folder names the file durably: until then a loss of power may bring the one before back, or none."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
