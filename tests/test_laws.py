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
    "pipeline": {
        *("pipeline", "views", "model", "decode", "recording", "wire"),
        *("errors", "options", "output", "destinations", "viewtable", "__version__"),
    },
    "frontends": {"frontends", "views", "model", "wire", "system", "errors", "options", "destinations"},
    "decode": {"decode", "recording.blocks", "wire"},
    "model": {"model", "wire", "decode.events", "decode.endings", "decode.limits", "recording.blocks"},
    "views": {"views", "model", "wire", "errors", "decode.events", "decode.endings", "recording.blocks"},
}
PURE = {"decode", "wire", "model", "views"}
# The page's frame is a file, and protoc is run to read .proto files.
ALLOWED = {("views/page.py", "os"), ("views/schema.py", "os"), ("views/schema.py", "subprocess")}
WORLD = {"os", "io", "time", "socket", "asyncio", "threading", "random", "logging", "datetime", "subprocess"}
PROTOCOLS = {"tls", "http1", "http2", "http3", "quic", "websocket", "dns"}


@functools.cache
def imports(path: pathlib.Path) -> list[str]:
    """Every module that a file imports at run time, by full name."""
    found = []
    tree = ast.parse((SOURCE / path).read_text())
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
        if target == "record.Record":
            continue  # named tuples, which everything may have
        if room == "commands":
            assert not target.startswith("commands."), f"{path} imports {name}"
        if room in MAY:
            assert any(target == may or target.startswith(may + ".") for may in MAY[room]), f"{path} imports {name}"
        if path.parts[0] == "decode" and path.stem in PROTOCOLS:
            sibling = target.removeprefix("decode.").split(".")[0]
            assert not target.startswith("decode.") or sibling not in PROTOCOLS - {path.stem}, f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_says_what_it_is(path: pathlib.Path) -> None:
    tree = ast.parse((SOURCE / path).read_text())
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


def test_files_are_small() -> None:
    for path in FILES:
        lines = (SOURCE / path).read_text().count("\n")
        assert lines <= 600, f"{path} has {lines} lines: a wall is missing"


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
        text = (SOURCE / path).read_text()
        comments = re.findall(r"#.*", text)  # and "#" in strings, which does not matter here
        yield str(path), "\n".join([*map(_docstring, ast.walk(ast.parse(text))), *comments])


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
        tree = ast.parse((SOURCE / path).read_text())
        prose = {id(node.body[0].value) for node in ast.walk(tree) if _docstring(node)}  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
            if is_text and " " in node.value.strip() and not node.value.endswith(" | None"):  # an annotation
                yield f"{path}:{node.lineno}", node.value


def test_pages_and_messages_are_free_of_old_words() -> None:
    found = [(place, word[0]) for place, text in _messages() for word in OLD_WORDS.finditer(text)]
    assert not found


# Packages whose docstrings and comments are free of them too.
REWORDED = ("recording", "keys", "wire", "tap")


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


LONGEST = 16  # imports one after the other, those inside of functions too; it may only fall


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
