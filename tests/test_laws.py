"""The design's laws, as far as a test can keep them: imports go one way, every room says what it is."""

import ast
import functools
import pathlib
import sys

import pytest

import hark

SOURCE = pathlib.Path(hark.__file__).parent
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))

# What a room may import of ours; "." is the room itself.
MAY = {
    "wire": {"wire"},
    "errors": set(),
    "options": set(),
    "flags": set(),
    "arguments": {"flags", "options", "errors"},
    "destinations": {"flags", "options", "errors", "output", "views.schema"},
    "output": set(),
    "recording": {"recording", "wire", "errors"},
    "system": {"system", "errors"},
    "tap": {"tap", "system", "recording", "wire", "errors"},
    "keys": {"keys", "system", "recording", "wire", "errors"},
    "plan": {"keys", "system"},
    "decode": {"decode", "recording.blocks", "wire"},
    "model": {"model", "wire", "decode.events", "decode.endings", "decode.limits", "recording.blocks"},
    "views": {"views", "model", "wire", "errors", "decode.events", "decode.endings", "recording.blocks"},
}
PURE = {"decode", "wire", "model"}
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
            assert room not in PURE or top not in WORLD, f"{path} imports {top}"
            continue
        target = name.removeprefix("hark.")
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

    code = "import sys, hark.cli, hark.session; print(*sorted(sys.modules))"
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
