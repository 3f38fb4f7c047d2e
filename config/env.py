"""Typed readers of settings from the environment.

A value is looked up as NAME in the process's environment or in the file that its NAME_FILE names (secrets and URLs
only), then in the same way in VAR/stack.env, which `config.embedded` writes for the stack running in the folder VAR. An
empty value counts as not set. Every variable read is registered, so that a test can compare the list with the docs.
Errors name the variable and say what to do; they never carry a value, since a value may be a password.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
STACK_FILE = "stack.env"
POSTGRESQL = ("postgresql", "postgres")
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Default = TypeVar("Default")
Value = TypeVar("Value")


class SettingError(Exception):
    """A setting cannot be used as it is."""


class MissingSetting(SettingError):
    """A variable without a default is not set."""


class InvalidSetting(SettingError):
    """A variable is set to something its kind does not allow."""


class ContradictorySetting(SettingError):
    """A variable is given twice, or read in two ways."""


class Required:
    """The type of REQUIRED: no default, so the variable has to be set."""


REQUIRED = Required()


@dataclass(frozen=True)
class Variable:
    """One variable as the docs list it; `default` is written as it would be in the environment."""

    name: str
    kind: str
    default: str
    about: str


class Environment:
    """Readers over one process's environment; the module's own functions read os.environ."""

    def __init__(self, process: Mapping[str, str]) -> None:
        self._process = process
        self._variables: dict[str, Variable] = {}

    def variables(self) -> tuple[Variable, ...]:
        """Every variable read so far, by name."""
        return tuple(self._variables[name] for name in sorted(self._variables))

    def var(self) -> Path:
        """The folder of the running stack, absolute: VAR, or `var` in the repository."""
        about = "Folder of the running stack: its data, logs, secrets and stack.env"
        self._register(Variable("VAR", "path", "./var", about))
        return Path(self._process.get("VAR") or ROOT / "var").absolute()

    def text(self, name: str, default: Default | Required = REQUIRED, *, about: str) -> str | Default:
        """The value as it stands."""
        return self._read(name, "text", default, about, _as_it_is, "some text")

    def matching(
        self,
        name: str,
        default: Default | Required = REQUIRED,
        *,
        pattern: re.Pattern[str],
        expected: str,
        about: str,
    ) -> str | Default:
        """Text that the pattern matches as a whole; `expected` says what that is."""

        def parse(raw: str) -> str:
            if not pattern.fullmatch(raw):
                raise ValueError
            return raw

        return self._read(name, "text", default, about, parse, expected)

    def secret(self, name: str, default: Default | Required = REQUIRED, *, about: str) -> str | Default:
        """The value as it stands, or the content of the file that NAME_FILE names; its default is never listed."""
        return self._read(name, "secret", default, about, _as_it_is, "some text")

    def url(
        self,
        name: str,
        default: Default | Required = REQUIRED,
        *,
        about: str,
        schemes: tuple[str, ...] = (),
    ) -> str | Default:
        """A URL of one of the schemes (any, if none is named), or the content of the file that NAME_FILE names."""

        def parse(raw: str) -> str:
            scheme = urlsplit(raw).scheme
            if not scheme or (schemes and scheme not in schemes):
                raise ValueError
            return raw

        expected = f"a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes) or 'a scheme'}"
        return self._read(name, "url", default, about, parse, expected)

    def endpoint(self, name: str, default: Default | Required = REQUIRED, *, about: str) -> str | Default:
        """The address of a service to call, without a slash at its end: https, or plain http on this machine itself."""

        def parse(raw: str) -> str:
            parts = urlsplit(raw)
            plain = parts.scheme == "http" and parts.hostname in LOOPBACK
            whole = parts.hostname and not (parts.username or parts.query or parts.fragment)
            if not whole or not (parts.scheme == "https" or plain):
                raise ValueError
            return raw.rstrip("/")

        return self._read(name, "url", default, about, parse, "a URL that begins with https:// and has no query")

    def path(self, name: str, default: Default | Required = REQUIRED, *, about: str) -> Path | Default:
        """A file or folder, made absolute from the current folder; it need not exist."""
        return self._read(name, "path", default, about, lambda raw: Path(raw).absolute(), "a path")

    def integer(
        self,
        name: str,
        default: Default | Required = REQUIRED,
        *,
        about: str,
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> int | Default:
        """A whole number within the bounds, which belong to it."""

        def parse(raw: str) -> int:
            number = int(raw)
            if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
                raise ValueError
            return number

        lowest = "" if minimum is None else f", at least {minimum}"
        highest = "" if maximum is None else f", at most {maximum}"
        expected = f"a whole number{lowest}{highest}"
        return self._read(name, "integer", default, about, parse, expected)

    def boolean(self, name: str, default: Default | Required = REQUIRED, *, about: str) -> bool | Default:
        """True for 1, true, yes, on; False for 0, false, no, off."""
        return self._read(name, "boolean", default, about, _as_boolean, "one of 1, true, yes, on, 0, false, no, off")

    def seconds(
        self,
        name: str,
        default: Default | Required = REQUIRED,
        *,
        about: str,
        minimum: int = 0,
        maximum: int | None = None,
    ) -> timedelta | Default:
        """A duration, written as whole seconds within the bounds, which belong to it."""

        def parse(raw: str) -> timedelta:
            if not raw.isdecimal() or int(raw) < minimum or (maximum is not None and int(raw) > maximum):
                raise ValueError
            return timedelta(seconds=int(raw))

        highest = "" if maximum is None else f", {maximum} at most"
        expected = f"a whole number of seconds, {minimum} or more{highest}"
        return self._read(name, "seconds", default, about, parse, expected)

    def items(self, name: str, default: Default | Required = REQUIRED, *, about: str) -> tuple[str, ...] | Default:
        """A list separated by commas; spaces around an item do not belong to it."""
        return self._read(name, "list", default, about, _as_items, "a list separated by commas")

    def choice(
        self, name: str, default: Default | Required = REQUIRED, *, about: str, options: tuple[str, ...]
    ) -> str | Default:
        """One of the options, exactly as written."""

        def parse(raw: str) -> str:
            if raw not in options:
                raise ValueError
            return raw

        return self._read(name, "choice", default, about, parse, f"one of {', '.join(options)}")

    def _read(
        self,
        name: str,
        kind: str,
        default: Default | Required,
        about: str,
        parse: Callable[[str], Value],
        expected: str,
    ) -> Value | Default:
        """Registers the variable, finds it and parses it; `parse` raises ValueError for what it does not take."""
        self._register(Variable(name, kind, _shown(kind, default), about))
        with_file = kind in ("secret", "url")
        raw = self._find(name, with_file=with_file)
        if raw is None:
            if isinstance(default, Required):
                held = f", {name}_FILE to a file that holds it" if with_file else ""
                raise MissingSetting(
                    f"{name} is not set: set it to {expected}{held}, or VAR to a running stack's folder"
                )
            return default
        try:
            return parse(raw)
        except (ValueError, OverflowError):
            # The parser's own message may quote the value.
            raise InvalidSetting(f"{name} cannot be used: set it to {expected}") from None

    def _register(self, variable: Variable) -> None:
        known = self._variables.setdefault(variable.name, variable)
        if known != variable:
            raise ContradictorySetting(f"{variable.name} is read in two ways: read it once and pass its value on")

    def _find(self, name: str, *, with_file: bool) -> str | None:
        for source in (self._process, self._stack()):
            value = source.get(name) or None
            file = (source.get(f"{name}_FILE") or None) if with_file else None
            if value and file:
                raise ContradictorySetting(f"{name} and {name}_FILE are both set: unset one of them")
            if file:
                return _content(f"{name}_FILE", Path(file))
            if value:
                return value
        return None

    def _stack(self) -> dict[str, str]:
        """KEY=VALUE lines of VAR/stack.env; nothing where there is no such file."""
        try:
            lines = (self.var() / STACK_FILE).read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise SettingError(f"{STACK_FILE} in VAR cannot be read ({error.strerror}): set VAR to another") from None
        pairs = (line.partition("=") for line in lines if line.strip() and not line.startswith("#"))
        return {key.strip(): value for key, _, value in pairs}


def database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a postgresql URL, without pool settings.

    A unix socket is written postgresql://user:password@/name?host=/folder. Query parameters other than host and port
    become libpq's options (sslmode, connect_timeout, …). Raises InvalidSetting, which does not quote the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise InvalidSetting("a database URL is malformed: write postgresql://user:password@host:port/name") from None
    name = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in POSTGRESQL or not name:
        raise InvalidSetting("a database URL is unusable: write postgresql://user:password@host:port/name")
    host = query.pop("host", "") or unquote(parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": query.pop("port", "") or (str(port) if port else ""),
        "OPTIONS": query,
    }


def _as_it_is(raw: str) -> str:
    return raw


def _as_boolean(raw: str) -> bool:
    word = raw.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError


def _as_items(raw: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in raw.split(",") if item.strip())


def _content(variable: str, file: Path) -> str:
    """What the file holds, less the line ends around it; the variable's name stands in for the path in errors."""
    try:
        content = file.read_text().strip("\r\n")
    except OSError as error:
        raise InvalidSetting(f"{variable} names a file that cannot be read ({error.strerror}): correct it") from None
    except UnicodeDecodeError:
        raise InvalidSetting(f"{variable} names a file that is not UTF-8 text: correct it") from None
    if not content:
        raise InvalidSetting(f"{variable} names an empty file: write the value into it")
    return content


def _shown(kind: str, default: object) -> str:
    """A default as the environment would write it; a secret's is hidden."""
    if isinstance(default, Required):
        return "required"
    if default is None or kind == "secret":
        return ""
    if isinstance(default, timedelta):
        return str(int(default.total_seconds()))
    if isinstance(default, bool):
        return "1" if default else "0"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default)


_process = Environment(os.environ)

variables = _process.variables
var = _process.var
text = _process.text
matching = _process.matching
secret = _process.secret
url = _process.url
endpoint = _process.endpoint
path = _process.path
integer = _process.integer
boolean = _process.boolean
seconds = _process.seconds
items = _process.items
choice = _process.choice
