"""The design's laws, as far as a test can keep them: imports go one way, every room says what it is."""

import ast
import functools
import pathlib
import re
import sys
from collections.abc import Iterator

import pytest

import hark

SOURCE = pathlib.Path(hark.__file__).parent
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))

# What a room may import of ours; "." is the room itself.
MAY = {
    "wire": {"wire"},
    "errors": set(),
    "options": set(),
    "viewtable": {"system.record"},
    "flags": {"viewtable"},
    "arguments": {"flags", "options", "errors"},
    "destinations": {"flags", "options", "errors", "output", "views.schema"},
    "output": set(),
    "recording": {"recording", "wire", "errors"},
    "system": {"system", "errors"},
    "tap": {"tap", "system", "recording", "wire", "errors"},
    "keys": {"keys", "system", "recording", "wire", "errors"},
    "plan": {"keys", "system"},
    "installed": set(),
    "bounded": set(),
    "pipeline": {
        *("pipeline", "views", "model", "decode", "recording", "wire"),
        *("errors", "options", "output", "destinations", "viewtable", "__version__"),
    },
    "frontends": {"frontends", "views", "model", "wire", "system", "errors", "options", "destinations"},
    "decode": {"decode", "recording.blocks", "wire"},
    "model": {
        *("model", "wire", "decode.events", "decode.endings", "decode.limits", "decode.undecrypted"),
        "recording.blocks",
    },
    "views": {
        *("views", "model", "wire", "errors", "decode.events", "decode.endings", "decode.undecrypted"),
        "recording.blocks",
    },
}
ANY_MAY = {"record.Record", "bounded.Bounded"}  # named tuples, dicts of limited size: every package may have them
PURE = {"decode", "wire", "model", "views"}
# The page's frame is a file, and protoc is run to read .proto files.
ALLOWED = {("views/page.py", "os"), ("views/schema.py", "os"), ("views/schema.py", "subprocess")}
WORLD = {"os", "io", "time", "socket", "asyncio", "threading", "random", "logging", "datetime", "subprocess"}
PROTOCOLS = {"tls", "http1", "http2", "http3", "quic", "websocket", "dns"}


@functools.cache
def tree_of(path: pathlib.Path) -> ast.Module:
    """The syntax of a file; not to be changed."""
    return ast.parse((SOURCE / path).read_text())


@functools.cache
def imports(path: pathlib.Path) -> list[str]:
    """Every module that a file imports at run time, by full name."""
    found = []
    tree = tree_of(path)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_one_way(path: pathlib.Path) -> None:
    room = path.parts[0].removesuffix(".py")
    for name in imports(path):
        if not name.startswith("hark."):
            top = name.split(".")[0]
            assert room not in PURE or top not in WORLD or (str(path), top) in ALLOWED, f"{path} imports {top}"
            continue
        target = name.removeprefix("hark.")
        if target in ANY_MAY:
            continue
        if room == "commands":
            assert not target.startswith("commands."), f"{path} imports {name}"
        if room in MAY:
            assert any(target == may or target.startswith(may + ".") for may in MAY[room]), f"{path} imports {name}"
        if path.parts[0] == "decode" and path.stem in PROTOCOLS:
            sibling = target.removeprefix("decode.").split(".")[0]
            assert not target.startswith("decode.") or sibling not in PROTOCOLS - {path.stem}, f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_says_what_it_is(path: pathlib.Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), f"{path} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            nested = isinstance(node, ast.FunctionDef) and not _is_public(tree, node)
            assert nested or ast.get_docstring(node) or _overrides(node), f"{path}: {node.name} has no docstring"


def _is_public(tree: ast.Module, wanted: ast.FunctionDef) -> bool:
    """Whether a function stands in the module or in a public class: not inside another function."""
    for node in tree.body:
        if node is wanted:
            return True
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and wanted in node.body:
            return True
    return False


def _overrides(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name in {"dress"}


@pytest.mark.parametrize("room", sorted({path.parent for path in FILES if path.name == "__init__.py"}), ids=str)
def test_every_room_has_its_card(room: pathlib.Path) -> None:
    card = ast.get_docstring(ast.parse((SOURCE / room / "__init__.py").read_text())) or ""
    lines = card.splitlines()
    assert len(lines) <= 12, f"{room}: a card of {len(lines)} lines"
    for word in ("Takes  ", "Gives  ", "Never  "):
        assert any(line.startswith(word) for line in lines), f"{room}: no {word.strip()}"


@pytest.mark.parametrize(
    "package", ["cryptography", "brotli", "zstandard", "lz4", "orjson", "websockets", "textual", "rich", "webencodings"]
)
def test_a_dependency_is_named_in_one_file(package: str) -> None:
    users = {
        str(path.parent if path.parent.name == "ui" else path)  # the browser is one place, in several files
        for path in FILES
        if any(name.split(".")[0] == package for name in imports(path))
    }
    # zstandard undoes content codings and compressed recordings, cryptography opens records and reads certificates,
    # orjson reads archives and writes them: two rooms each, that may not know each other.
    assert len(users) == (2 if package in ("zstandard", "cryptography", "orjson") else 1), users


def test_start_imports_nothing_that_is_not_needed() -> None:
    """`hark true` must not pay for the decoder and what hangs on it."""
    import subprocess

    code = "import sys, hark.cli, hark.commands.run; print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {
        "asyncio",
        "typing",
        "argparse",
        "dataclasses",
        "json",
        "pathlib",
        "hpack",
        "cryptography",
        "hark.decode.decoder",
    }
    assert not loaded & heavy
    assert not {"difflib", "textwrap"} & loaded and not any(name.startswith("hark.usage") for name in loaded)


def test_help_and_completion_are_imported_by_the_command_line_alone() -> None:
    for path in FILES:
        if path.parts[0] not in ("usage", "cli.py"):
            assert not [name for name in imports(path) if name.startswith("hark.usage")], path


LINES = 400  # of a file
BODY = 40  # lines of a function, without its docstring
LONGER: dict[str, int] = {
    "tap/tun/tun.py:_on_packets": 57,
    "wire/quic.py:frames": 60,  # a table by frame type
    "wire/suites.py:_fill": 80,  # a table
}  # functions above it; they may only shrink


def test_files_are_small() -> None:
    lines = {str(path): (SOURCE / path).read_text().count("\n") for path in FILES}
    assert not {path: count for path, count in lines.items() if count > LINES}, "a boundary is missing"


def _longest() -> Iterator[tuple[str, int]]:
    """(file and function, lines of its body) of every function."""
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                yield f"{path}:{node.name}", (node.end_lineno or 0) - first.lineno + 1


def test_functions_are_small() -> None:
    lines: dict[str, int] = {}
    for name, count in _longest():
        lines[name] = max(count, lines.get(name, 0))
    assert not {name for name in LONGER if lines.get(name, 0) <= BODY}, "it is small now: take it off the list"
    assert not {name: count for name, count in lines.items() if count > LONGER.get(name, BODY)}


# -- every module that acts has its unit tests --------------------------------------------------------------------------

ACTING = ("tap", "keys", "pipeline", "frontends", "commands", "recording", "system")
UNITS = pathlib.Path(__file__).parent / "unit"
UNTESTED: set[str] = set()  # modules that act and have no unit tests yet; it may only shrink


def _acts(path: pathlib.Path) -> bool:
    """Whether a module does something: has a function that is more than its docstring, no constructor."""
    return any(
        isinstance(node, ast.FunctionDef)
        and node.name != "__init__"
        and not (len(node.body) == 1 and isinstance(node.body[0], ast.Expr) and ast.get_docstring(node))
        for node in ast.walk(tree_of(path))
    )


@functools.cache
def _unit_tested() -> set[str]:
    """Every module that a unit test file imports, and every name of it."""
    found: set[str] = set()
    for path in UNITS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_every_module_that_acts_has_unit_tests() -> None:
    modules = {
        f"hark.{'.'.join(path.with_suffix('').parts)}"
        for path in FILES
        if path.parts[0] in ACTING and path.name != "__init__.py" and _acts(path)
    }
    assert modules - _unit_tested() == UNTESTED


def test_every_file_has_a_floor_of_coverage() -> None:
    """`make coverage` measures; a new file gets its line by `tools/coverage.py --rows`."""
    table = (pathlib.Path(__file__).parent / "coverage_floors.txt").read_text()
    rows = re.findall(r"^ *(\d+) (\S+)$", table, re.M)
    assert sorted(name for _, name in rows) == sorted(map(str, FILES))
    assert all(0 <= int(floor) <= 100 for floor, _ in rows)


# -- attributes ----------------------------------------------------------------------------------------------------------

# Read by others than hark: by Textual, which a subclass overrides attributes of; by the interpreter.
READ_ELSEWHERE = {"TITLE", "CSS", "BINDINGS", "can_focus", "virtual_size", "border_title", "status", "__match_args__"}
SET_BY_NAME = {"options.py"}  # its attributes are set by arguments.py, with setattr
EMPTY_CALLS = {"set", "dict", "list", "deque", "OrderedDict", "bytearray", "defaultdict", "Counter"}
# What only looks at a container that it is given, and methods that only look at theirs.
LOOKING = {"len", "sorted", "bool", "any", "all", "list", "tuple", "set", "sum", "min", "max", "str", "iter", "next"}
LOOKERS = {
    "get",
    "items",
    "keys",
    "values",
    "index",
    "count",
    "copy",
    "startswith",
    "endswith",
    "decode",
    "hex",
    "join",
}


class _Uses:
    """Of the attributes in some code, by name: where they begin as nothing, and what else is done to them."""

    def __init__(self) -> None:
        self.empty: dict[str, str] = {}  # set to nothing in a constructor: where
        self.stored: dict[str, str] = {}  # set in a constructor or elsewhere
        self.changed: set[str] = set()  # set elsewhere, changed in place, or handed to somebody who may
        self.read: set[str] = set()

    def add(self, path: pathlib.Path) -> None:
        """Note all uses in a file."""
        tree = tree_of(path)
        above = {id(inner): node for node in ast.walk(tree) for inner in ast.iter_child_nodes(node)}
        constructors = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name == "__init__"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                self._attribute(node, above, id(node) in constructors, f"{path}:{node.lineno}")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.read.add(node.value)  # by getattr, a format or a pattern
            elif isinstance(node, ast.MatchClass):
                self.read.update(node.kwd_attrs)

    def _attribute(self, node: ast.Attribute, above: dict[int, ast.AST], constructor: bool, place: str) -> None:
        up = above[id(node)]
        if isinstance(node.ctx, ast.Load):
            self.read.add(node.attr)
            if not _only_looks(node, up, above):
                self.changed.add(node.attr)
            return
        self.stored.setdefault(node.attr, place)
        value = up.value if isinstance(up, ast.Assign | ast.AnnAssign) else None
        if constructor and value is not None and _is_nothing(value):
            self.empty.setdefault(node.attr, place)
        else:
            self.changed.add(node.attr)

    def join(self, other: "_Uses") -> None:
        """Note what was noted of another file."""
        self.empty |= other.empty
        self.stored |= other.stored
        self.changed |= other.changed
        self.read |= other.read


def _is_nothing(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return not value.value and value.value is not ...
    if isinstance(value, ast.List | ast.Tuple | ast.Set):
        return not value.elts
    if isinstance(value, ast.Dict):
        return not value.keys
    named = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in EMPTY_CALLS
    return named and not value.args


def _only_looks(node: ast.Attribute, up: ast.AST, above: dict[int, ast.AST]) -> bool:
    """Whether this use of an attribute's value leaves it as it is."""
    if isinstance(up, ast.Attribute):
        call = above[id(up)]
        return isinstance(call, ast.Call) and call.func is up and up.attr in LOOKERS
    if isinstance(up, ast.Subscript):
        return isinstance(up.ctx, ast.Load) and up.value is node
    if isinstance(up, ast.Call):
        return isinstance(up.func, ast.Name) and up.func.id in LOOKING
    looks = ast.Compare | ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.If | ast.While | ast.IfExp | ast.For
    return isinstance(up, looks | ast.comprehension | ast.FormattedValue)


@functools.cache
def _attributes() -> tuple[dict[pathlib.Path, _Uses], _Uses]:
    """By file, for private attributes, and in all of the package."""
    files, all_of_them = {}, _Uses()
    for path in FILES:
        files[path] = _Uses()
        files[path].add(path)
        all_of_them.join(files[path])
    return files, all_of_them


def test_every_attribute_is_read_somewhere() -> None:
    """A private one in its package, where its class may have subclasses."""
    files, everywhere = _attributes()
    readers: dict[str, set[str]] = {}
    for path, uses in files.items():
        readers.setdefault(path.parts[0], set()).update(uses.read)
    unread = {
        f"{place} {name}"
        for path, uses in files.items()
        for name, place in uses.stored.items()
        if not name.startswith("__")
        and name not in (readers[path.parts[0]] if name.startswith("_") else everywhere.read) | READ_ELSEWHERE
    }
    assert not unread


def test_an_attribute_that_begins_as_nothing_becomes_something() -> None:
    """A list that nobody appends to, a flag that nobody sets: what is read of it was never meant."""
    files, everywhere = _attributes()
    dead = {
        f"{place} {name}"
        for path, uses in files.items()
        for name, place in uses.empty.items()
        if name not in (uses if name.startswith("_") else everywhere).changed and str(path) not in SET_BY_NAME
    }
    assert not dead


# -- prose -----------------------------------------------------------------------------------------------------------

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PARTS = ("src", "tests", "docs", "tools", "bench", "fuzz", "recordings", ".github")
KEPT = [
    f"/{path.relative_to(ROOT)}"
    for path in (*ROOT.iterdir(), *(path for part in PARTS for path in (ROOT / part).rglob("*")))
    if path.is_file()
]
# A file of ours by its name, with folders or without. NAME and x stand for any.
MENTIONED = re.compile(r"(?<![\w./*-])(?!(?:[\w/-]*NAME|x)\b)[\w/-]+(?:\.test)?\.(?:py|c|h|cjs|sh|md|yml|toml)\b(?!/)")


def _texts() -> Iterator[tuple[str, str]]:
    """(place, text) of every page, and of the docstrings and comments of every file of the source."""
    for page in PAGES:
        yield page.name, page.read_text()
    for path in FILES:
        comments = re.findall(r"#.*", (SOURCE / path).read_text())  # and "#" in strings, which does not matter here
        yield str(path), "\n".join([*map(_docstring, ast.walk(tree_of(path))), *comments])


def _docstring(node: ast.AST) -> str:
    return ast.get_docstring(node) or "" if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) else ""


def test_files_that_prose_names_exist() -> None:
    missing = [
        (place, name)
        for place, text in _texts()
        for name in MENTIONED.findall(text)
        if not any(path.endswith(f"/{name}") for path in KEPT)
    ]
    assert not missing


# Words of ours that nobody else has, and words in senses that mislead: "closed" is no word for "not decrypted".
OLD_WORDS = re.compile(
    r"\b(?:hears?|heard|unheard|tellers?|tappers?|watchers?|untold|tells?|told|telling)\b"
    r"|\bstay(?:s|ed)? closed\b|\bas closed\b"
    r"|\b(?:exchanges?|entry|line|descriptors) an? (?:line|exchange|connection|request)\b"
    r"|\bbehind (?:the|a|its|their|that) (?:command|end|failure|browser|hole|run)\b",
    re.I,
)


def _messages() -> Iterator[tuple[str, str]]:
    """(place, text) of what a person may read: pages, help, and strings of several words in the source."""
    for page in PAGES:
        text = re.sub(r"\]\([^)]*\)", "]", page.read_text())  # where a link leads is a name, not prose
        yield page.name, MENTIONED.sub("", text)
    for path in FILES:
        tree = tree_of(path)
        prose = {id(node.body[0].value) for node in ast.walk(tree) if _docstring(node)}  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
            if is_text and " " in node.value.strip() and not node.value.endswith(" | None"):  # an annotation
                yield f"{path}:{node.lineno}", node.value


def test_pages_and_messages_are_free_of_old_words() -> None:
    found = [(place, word[0]) for place, text in _messages() for word in OLD_WORDS.finditer(text)]
    assert not found


# Packages whose docstrings and comments are free of them too.
REWORDED = (
    *("recording", "keys", "wire", "tap", "decode", "model", "views"),
    *("api.py", "values.py", "live.py", "pytest_plugin.py"),
)


def test_docstrings_are_free_of_old_words() -> None:
    found = [
        (place, word[0])
        for place, text in _texts()
        if place.split("/")[0] in REWORDED
        for word in OLD_WORDS.finditer(text)
    ]
    assert not found


def test_each_known_limit_is_a_line_in_the_readme() -> None:
    """A strict expected failure says "Limits: " and the first words of its line."""
    readme = (ROOT / "README.md").read_text()
    limits = readme[readme.index("\n## Limits\n") : readme.index("\n## ", readme.index("\n## Limits\n") + 1)]
    named = [
        (path.name, words)
        for folder in ("unit", "e2e", "faithful")
        for path in (ROOT / "tests" / folder).rglob("*.py")
        for words in re.findall(r'(?:Limits: |\blimit="|\bLIMIT = ")([^"{}\n]+)"', path.read_text())
    ]
    assert named
    assert not [(name, words) for name, words in named if f"\n- {words}" not in limits]


def test_the_glossary_is_short() -> None:
    rows = re.findall(r"^\| (?!term |-)", (ROOT / "docs" / "glossary.md").read_text(), re.M)
    assert 0 < len(rows) <= 15


LONGEST = 11  # imports one after the other, those inside of functions too


def test_the_longest_chain_of_imports() -> None:
    modules = {".".join(path.with_suffix("").parts): path for path in FILES if path.name != "__init__.py"}
    arrows = {
        name: {
            found
            for full in (imported.removeprefix("hark.") for imported in imports(path) if imported.startswith("hark."))
            for found in (full, full.rpartition(".")[0])
            if found in modules and found != name
        }
        for name, path in modules.items()
    }
    known: dict[str, int] = {}

    def length(name: str, above: tuple[str, ...] = ()) -> int:
        assert name not in above, f"a circle: {' -> '.join((*above, name))}"
        if name not in known:
            known[name] = 1 + max((length(found, (*above, name)) for found in arrows[name]), default=0)
        return known[name]

    assert max(map(length, modules)) <= LONGEST, max(modules, key=length)
