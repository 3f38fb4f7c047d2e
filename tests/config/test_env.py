"""config.env: where a value is looked up, what each kind takes, and what errors say."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from config.env import (
    REQUIRED,
    ROOT,
    ContradictorySetting,
    Environment,
    InvalidSetting,
    MissingSetting,
    SettingError,
    Variable,
    database,
)

SECRET = "pa55-word"


@pytest.fixture
def var(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
def stack(var: Path) -> Callable[[str], None]:
    """Writes VAR/stack.env."""

    def write(content: str) -> None:
        var.mkdir(exist_ok=True)
        (var / "stack.env").write_text(content)

    return write


@pytest.fixture
def environment(var: Path) -> Callable[..., Environment]:
    def make(**process: str) -> Environment:
        return Environment({"VAR": str(var), **process})

    return make


# --- where a value is looked up


def test_the_process_comes_first(environment: Callable[..., Environment], stack: Callable[[str], None]) -> None:
    stack("COLOUR=stack\n")
    assert environment(COLOUR="process").text("COLOUR", "default", about="-") == "process"


def test_the_stack_file_comes_second(environment: Callable[..., Environment], stack: Callable[[str], None]) -> None:
    stack("# made by a stack\n\nCOLOUR=a=b c\n")
    assert environment(COLOUR="").text("COLOUR", "default", about="-") == "a=b c"


def test_the_default_comes_last(environment: Callable[..., Environment]) -> None:
    assert environment(COLOUR="").text("COLOUR", "default", about="-") == "default"
    assert environment().text("SHAPE", None, about="-") is None


def test_a_secret_may_be_in_a_file(environment: Callable[..., Environment], tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    assert environment(KEY_FILE=str(file)).secret("KEY", about="-") == SECRET


def test_a_file_of_the_process_goes_before_the_stack_file(
    environment: Callable[..., Environment], stack: Callable[[str], None], tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    stack("KEY=stack\n")
    assert environment(KEY_FILE=str(file)).secret("KEY", about="-") == SECRET


def test_a_text_is_not_read_from_a_file(environment: Callable[..., Environment]) -> None:
    assert environment(COLOUR_FILE="/nowhere").text("COLOUR", "default", about="-") == "default"


def test_value_and_file_at_once_contradict(environment: Callable[..., Environment]) -> None:
    with pytest.raises(ContradictorySetting, match="KEY and KEY_FILE"):
        environment(KEY=SECRET, KEY_FILE="/nowhere").secret("KEY", about="-")


def test_var_is_in_the_repository_unless_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Environment({}).var() == ROOT / "var"
    assert Environment({"VAR": "./mine"}).var() == tmp_path / "mine"


# --- what each kind takes


@pytest.mark.parametrize(("written", "taken"), [("0", False), ("1", True), ("15", True), ("16", False)])
def test_a_duration_is_within_its_bounds(environment: Callable[..., Environment], written: str, taken: bool) -> None:
    def read() -> timedelta | None:
        return environment(EVERY=written).seconds("EVERY", about="-", minimum=1, maximum=15)

    if taken:
        assert read() == timedelta(seconds=int(written))
    else:
        with pytest.raises(InvalidSetting, match=r"EVERY cannot be used: set it to .*, 1 or more, 15 at most$"):
            read()


def test_kinds(environment: Callable[..., Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = environment(NUMBER="-3", LATE="90", HOSTS=" a, b,,", FILE="x/y", ROLE="owner", BROKER="redis://h:1/0")
    assert given.integer("NUMBER", about="-") == -3
    assert given.seconds("LATE", about="-") == timedelta(seconds=90)
    assert given.items("HOSTS", about="-") == ("a", "b")
    assert given.path("FILE", about="-") == tmp_path / "x" / "y"
    assert given.choice("ROLE", about="-", options=("application", "owner")) == "owner"
    assert given.url("BROKER", about="-", schemes=("redis", "rediss")) == "redis://h:1/0"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://api.example", "https://api.example"),
        ("https://api.example:8443/base/", "https://api.example:8443/base"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost/", "http://localhost"),
        ("http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_an_endpoint_is_asked_over_tls_or_on_this_machine(
    environment: Callable[..., Environment], written: str, meant: str
) -> None:
    assert environment(PLACE=written).endpoint("PLACE", about="-") == meant


@pytest.mark.parametrize(
    "written",
    [
        "http://api.example",
        "http://127.0.0.1.example",
        "http://localhost@api.example",
        "ftp://127.0.0.1",
        "https://",
        "api.example",
        "https://api.example?x=1",
        "https://api.example#x",
        "https://me:pass@api.example",
        "https://[::1",
    ],
)
def test_no_other_endpoint_is_asked(environment: Callable[..., Environment], written: str) -> None:
    with pytest.raises(InvalidSetting, match="PLACE cannot be used: set it to a URL that begins with https://"):
        environment(PLACE=written).endpoint("PLACE", about="-")


@pytest.mark.parametrize(
    ("written", "meant"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("FALSE", False)]
)
def test_booleans(environment: Callable[..., Environment], written: str, meant: bool) -> None:
    assert environment(FLAG=written).boolean("FLAG", about="-") is meant


@pytest.mark.parametrize(
    "read",
    [
        lambda e: e.integer("X", 1, about="-"),
        lambda e: e.integer("X", 1, about="-", minimum=2),
        lambda e: e.boolean("X", default=True, about="-"),
        lambda e: e.seconds("X", None, about="-"),
        lambda e: e.choice("X", "a", about="-", options=("a", "b")),
        lambda e: e.url("X", None, about="-", schemes=("redis",)),
        lambda e: e.url("X", None, about="-"),
        lambda e: e.endpoint("X", None, about="-"),
    ],
)
def test_what_a_kind_does_not_take_is_never_quoted(
    environment: Callable[..., Environment], read: Callable[[Environment], object]
) -> None:
    with pytest.raises(InvalidSetting, match=r"^X cannot be used: set it to ") as raised:
        read(environment(X=SECRET))
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("written", ["1", "11"])
def test_bounds(environment: Callable[..., Environment], written: str) -> None:
    with pytest.raises(InvalidSetting, match="at least 2, at most 10"):
        environment(K=written).integer("K", 5, about="-", minimum=2, maximum=10)


def test_a_required_variable_says_how_to_set_it(environment: Callable[..., Environment]) -> None:
    with pytest.raises(MissingSetting, match=r"KEY is not set: set it to .*, KEY_FILE to a file that holds it"):
        environment().secret("KEY", REQUIRED, about="-")


@pytest.mark.parametrize("content", [None, "", "\n", b"\xff"])
def test_a_bad_file_is_named_by_its_variable(
    environment: Callable[..., Environment], tmp_path: Path, content: str | bytes | None
) -> None:
    file = tmp_path / SECRET
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidSetting, match="KEY_FILE names") as raised:
        environment(KEY_FILE=str(file)).secret("KEY", about="-")
    assert SECRET not in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_stack_file_is_an_error(
    environment: Callable[..., Environment], stack: Callable[[str], None], var: Path
) -> None:
    stack("COLOUR=red\n")
    (var / "stack.env").chmod(0)
    with pytest.raises(SettingError, match=r"stack\.env in VAR cannot be read"):
        environment().text("COLOUR", "default", about="-")


# --- the register


def test_every_variable_read_is_registered(environment: Callable[..., Environment]) -> None:
    given = environment()
    given.seconds("LATE", timedelta(hours=1), about="How late")
    given.secret("KEY", SECRET, about="A key")
    given.items("HOSTS", ("a", "b"), about="Hosts")
    assert given.variables() == (
        Variable("HOSTS", "list", "a,b", "Hosts"),
        Variable("KEY", "secret", "", "A key"),
        Variable("LATE", "seconds", "3600", "How late"),
        Variable("VAR", "path", "./var", "Folder of the running stack: its data, logs, secrets and stack.env"),
    )


def test_a_missing_variable_is_registered_too(environment: Callable[..., Environment]) -> None:
    given = environment()
    with pytest.raises(MissingSetting):
        given.text("COLOUR", about="-")
    assert Variable("COLOUR", "text", "required", "-") in given.variables()


def test_a_variable_has_one_meaning(environment: Callable[..., Environment]) -> None:
    given = environment()
    given.integer("K", 10, about="-")
    given.integer("K", 10, about="-")
    with pytest.raises(ContradictorySetting, match="K is read in two ways"):
        given.integer("K", 11, about="-")


# --- databases


def test_a_database_on_a_host() -> None:
    assert database("postgresql://me:p%40ss%2F@db.example:6543/na%20me?sslmode=require") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "na me",
        "USER": "me",
        "PASSWORD": "p@ss/",
        "HOST": "db.example",
        "PORT": "6543",
        "OPTIONS": {"sslmode": "require"},
    }


def test_a_database_on_a_socket() -> None:
    found = database("postgres://me:pw@/name?host=/a%20b/run&port=5433")
    assert (found["HOST"], found["PORT"], found["OPTIONS"]) == ("/a b/run", "5433", {})


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://me:{SECRET}@host/name",
        f"postgresql://me:{SECRET}@host/",
        f"postgresql://me:{SECRET}@host:port/name",
        f"postgresql://host:{SECRET}/name",
        f"postgresql://me:{SECRET}@[::1/name",
        f"postgresql://me:{SECRET}@host/name?sslmode",
        SECRET,
    ],
)
def test_a_bad_database_url_is_not_quoted(url: str) -> None:
    with pytest.raises(InvalidSetting, match="write postgresql://user:password@host:port/name") as raised:
        database(url)
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
