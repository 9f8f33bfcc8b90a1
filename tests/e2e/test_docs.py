"""Every command shown in the documentation is run, as it stands there. example.com and api.github.com are a real nginx in
the tests' world; what they answer has the same kind and shape as on the internet."""

import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
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
    asked = re.findall(r"https://(?:example|api\.github)\.com/[\w.]*", command)
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
    assert re.search(rb"GET https://\S+ 200|1 passed", run.out), run.out


# Blocks that show what a person sees: the command, and its output.
OUTPUTS = [
    (page.relative_to(ROOT), *block.removeprefix("$ ").split("\n", 1))
    for page in PAGES
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.S)
    if not all(line.startswith("$ ") for line in block.splitlines())
]


@pytest.mark.parametrize("page, command, shown", OUTPUTS, ids=[f"{page}: {command}" for page, command, _ in OUTPUTS])
def test_output_is_what_one_sees(world, page: pathlib.Path, command: str, shown: str) -> None:
    """Times, sizes and process ids differ; "..." stands for anything."""
    from world import plain

    def like(text: str) -> str:
        return re.sub(r"\b\d+(\.\d+)? (B|kB)", "SIZE", plain(text))

    run = world.run("sh", "-c", command, CURL_CA_BUNDLE=str(world.dir / "cert.pem"))
    expected = ".*".join(map(re.escape, like(shown).split("...")))
    assert re.fullmatch(expected, like(run.out.decode() + run.err), re.S), run.err


LISTENS = "until ss -Hltn sport = :7051 | grep -q 7051; do sleep 0.05; done"


def test_a_server_under_hark_decrypts_its_go_client(world) -> None:
    """README, "What it can decrypt": the keys of a server on OpenSSL are enough."""
    server = "openssl s_server -quiet -accept 192.0.2.10:7051 -cert $DIR/cert.pem -key $DIR/key.pem -WWW -naccept 1"
    client = f"{sys.prefix}/programs/talk get https://192.0.2.10:7051/item.json"
    run = world.sh(f"cd $DIR/www; {server} & {LISTENS}; {client}; wait", timeout=90)
    assert "GET https://192.0.2.10:7051/item.json 200 http/1." in run.told[0], run.err
    assert run.entries[0]["_process"]["name"] == "talk", run.entries[0]


def test_make_targets_exist() -> None:
    """`make demo`, `make test` and others are what the pages, and the workflow for CI, tell to type."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    for page in [*PAGES, *WORKFLOWS]:
        for target in re.findall(r"(?:^|`|run: .*)\bmake (\w+)", page.read_text(), re.M):
            assert target in targets, (page, target)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow(path: pathlib.Path) -> None:
    """It is YAML, every job has steps, and each step uses an action or runs a command whose shell syntax holds."""
    jobs = yaml.safe_load(path.read_text())["jobs"]
    assert jobs
    for job in jobs.values():
        assert job["runs-on"] and job["steps"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            if "run" in step:
                subprocess.run(["sh", "-n", "-c", step["run"]], check=True)


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z_-]+")
FOREIGN = {
    "--include_imports",
    "--bless",
    "--require",
    "--rows",
    "--update",
}  # of protoc, pytest, Node, tools/coverage.py


def test_options_that_pages_name_exist(world) -> None:
    commands = ("hark", "hark read", "hark watch", "hark ui", "hark doctor")
    known = set(OPTION.findall("".join(world.run(*command.split(), "--help").out.decode() for command in commands)))
    for page in PAGES:
        for option in OPTION.findall(page.read_text()):
            assert option in known | FOREIGN, (page, option)


SHELL = [
    line
    for page in PAGES
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)
    for line in block.splitlines()
]


@pytest.mark.parametrize("line", sorted(set(SHELL)))
def test_commands_that_cannot_be_run_here_are_run_elsewhere(line: str) -> None:
    """What is shown as a shell's and not as a console's: make targets, the installation (test_install.py), completion and
    the man page (test_completion.py), and what opens a window (test_devtools.py)."""
    assert re.fullmatch(
        r"make \w+( ARGS=.*)?|pip install \.|hark .*--devtools.*|hark doctor|hark curl \S+|hark --(completions \w+|man) [>|] .*",
        line,
    ), line


def test_relative_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)
