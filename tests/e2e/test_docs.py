"""Every command shown in the documentation is run, as it stands there. example.com is a real nginx in the tests' world."""

import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = [
    (page.relative_to(ROOT), line[2:])
    for page in PAGES
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.S)
    for line in block.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize("page, command", SHOWN, ids=[f"{page}: {command}" for page, command in SHOWN])
def test_command(world, page: pathlib.Path, command: str) -> None:
    trust = {name: str(world.dir / "cert.pem") for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE")}
    wgetrc = world.dir / "wgetrc"
    wgetrc.write_text(f"ca_certificate = {world.dir}/cert.pem\n")
    run = world.run("sh", "-c", command, WGETRC=str(wgetrc), **trust)
    assert run.status == 0, run.err
    asked = re.findall(r"https://example\.com/[\w.]*", command)
    if command.startswith("hark ") and asked:
        told = (
            run.err
            if "--json" in command
            else "\n".join(line for line in run.err.splitlines() if line.startswith("GET"))
        )
        for url in asked:
            assert url in told, run.err


PYTHON = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.splitlines()[-1].strip())
def test_python(world, code: str) -> None:
    """The examples of the Python API; one that defines a test is run by pytest."""
    name = "test_shown.py" if "def test_" in code else "shown.py"
    (world.dir / "home" / name).write_text(code)
    command = (
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
        if "def test_" in code
        else [sys.executable, name]
    )
    run = world.run(*command, CURL_CA_BUNDLE=str(world.dir / "cert.pem"))
    assert run.status == 0, run.out.decode() + run.err
    assert b"https://example.com/" in run.out or b"1 passed" in run.out


def test_the_first_example_is_what_one_sees(world) -> None:
    from world import plain

    block = re.search(r"```console\n\$ (hark curl.*?)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block
    run = world.run("sh", "-c", block[1], CURL_CA_BUNDLE=str(world.dir / "cert.pem"))
    assert plain(run.out.decode() + run.err) == plain(block[2])


def test_make_targets_exist() -> None:
    """`make demo`, `make test` and `make bench` are what the pages tell to type."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        for target in re.findall(r"^make (\w+)$", page.read_text(), re.M):
            assert target in targets, (page, target)


def test_relative_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)
