"""Can session keys be had for a process? By facts, as a table; and by real processes, as /proc shows them."""

import os
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

import hark
from hark.keys.keylogfile import Named
from hark.plan import Facts, Plan, plan
from hark.system.program import Answer, Can, Past, Program, look

PRIVATE = "/hark/private"
FACTS = Facts("/hark/libhark-keys.so", "/hark/hook.cjs", Named(""), PRIVATE)
USUAL = {"SSLKEYLOGFILE": f"{PRIVATE}/keylog", "NODE_OPTIONS": "--require=/hark/hook.cjs", "LD_PRELOAD": "x"}
LOADER, AGENT = "/lib64/ld-linux-x86-64.so.2", "/hark/libhark-keys.so"
LIBSSL, GNUTLS = "/usr/lib/libssl.so.3", "/usr/lib/libgnutls.so.30.34.3"

STATIC = "it is statically linked: nothing can be preloaded; it is not known to write a key log"
UNLOADED = "the agent is not loaded: LD_PRELOAD was unset, it is set-id, or it runs longer than hark"
UNSET = "SSLKEYLOGFILE was unset or changed"
NO_LIBSSL = "no libssl is loaded; nothing in it is known to write a key log"


def program(exe: str, *mapped: str, **environment: str) -> Program:
    return Program(7, exe, (1, 2), frozenset({exe, *mapped}), environment)


def yes(source: str) -> Answer:
    return Answer(Can.YES, source)


def no(reason: str) -> Answer:
    return Answer(Can.NO, "", reason)


def unknown(reason: str) -> Answer:
    return Answer(Can.UNKNOWN, "", reason)


TABLE = {
    "the agent beside a shared libssl": (program("/usr/bin/ruby", LOADER, AGENT, LIBSSL, **USUAL), yes("agent")),
    "the agent, and no libssl yet": (program("/usr/bin/ruby", LOADER, AGENT, **USUAL), unknown(NO_LIBSSL)),
    "rustls in a program with shared libc": (program("/home/me/uv", LOADER, AGENT, **USUAL), unknown(NO_LIBSSL)),
    "GnuTLS": (program("/usr/bin/wget", LOADER, AGENT, GNUTLS, **USUAL), yes("private key log")),
    "a browser": (program("/usr/lib/chromium/chromium", LOADER, AGENT, **USUAL), yes("private key log")),
    "Node": (program("/usr/bin/node", LOADER, AGENT, **USUAL), yes("Node hook")),
    "Node that was replaced on disk": (program("/usr/bin/node (deleted)", LOADER, AGENT, **USUAL), yes("Node hook")),
    "Node without its options": (
        program("/usr/bin/node", LOADER, AGENT, **{**USUAL, "NODE_OPTIONS": "--inspect"}),
        unknown(NO_LIBSSL),
    ),
    "Node with nothing": (
        program("/usr/bin/node", LOADER),
        no(f"{UNLOADED}; {UNSET}; Node has not loaded the hook: NODE_OPTIONS was unset or changed"),
    ),
    "static": (program("/usr/local/bin/gh", **USUAL), no(STATIC)),
    "static curl": (program("/usr/local/bin/curl", **USUAL), yes("private key log")),
    "an empty environment": (program("/usr/bin/wget", LOADER, GNUTLS), no(f"{UNLOADED}; {UNSET}")),
    "another loader": (program("/bin/busybox", "/lib/ld-musl-x86_64.so.1", **{**USUAL, "SSLKEYLOGFILE": ""}),
                       no(f"{UNLOADED}; {UNSET}")),
    "another user's": (Program(7), unknown("what is loaded into it cannot be read; its environment cannot be read")),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_by_facts(name: str) -> None:
    seen, answer = TABLE[name]
    assert plan(FACTS).keys_of(seen, Past()) == answer


def test_a_key_log_of_the_users() -> None:
    """Where the variable is the user's own, programs write there, and hark follows it, or says why it does not."""
    wget = program("/usr/bin/wget", LOADER, AGENT, GNUTLS, SSLKEYLOGFILE="/home/me/keys")
    followed = plan(FACTS._replace(keylog=Named("/home/me/keys")))
    assert followed.keys_of(wget, Past()) == yes("SSLKEYLOGFILE")
    pipe = plan(FACTS._replace(keylog=Named("", None, "it is a pipe")))
    static = wget._replace(mapped=frozenset({"/usr/bin/wget"}))
    answer = pipe.keys_of(static, Past())
    assert answer.can is Can.NO and answer.reason.endswith("; SSLKEYLOGFILE is not followed: it is a pipe")


def test_without_the_agent_or_the_hook() -> None:
    bare = plan(FACTS._replace(agent="", hook=""))
    ruby = program("/usr/bin/ruby", LOADER, LIBSSL, SSLKEYLOGFILE="")
    why = "the preloaded agent was not compiled when hark was installed"
    assert bare.keys_of(ruby, Past()) == no(f"{why}; {UNSET}")
    node = program("/usr/bin/node", LOADER, **{**USUAL, "SSLKEYLOGFILE": ""})
    assert bare.keys_of(node, Past()).can is Can.NO


def test_no_source_at_all() -> None:
    assert Plan(()).keys_of(TABLE["GnuTLS"][0], Past()) == no("no key source is for such programs")


def test_what_happened_before_to_the_same_program_file() -> None:
    made = plan(FACTS)
    uv, ruby, gh = (TABLE[name][0] for name in ("rustls in a program with shared libc", "the agent beside a shared libssl", "static"))  # fmt: skip
    past = Past()
    past.delivered((1, 2), "agent")
    assert made.keys_of(uv, past) == yes("agent")  # unknown by its facts alone
    assert made.keys_of(gh, past) == no(STATIC)  # the same file, started in a way that leaves the agent out
    past.lacked((1, 2))
    assert made.keys_of(ruby, past) == no("no key source had the keys of an earlier connection of this program")
    past.delivered((1, 2), "agent")
    assert made.keys_of(ruby, past) == yes("agent")
    assert made.keys_of(uv._replace(file=(1, 3)), past) == unknown(NO_LIBSSL)
    past.lacked((0, 0))  # files that cannot be told apart say nothing of each other
    assert made.keys_of(ruby._replace(file=(0, 0)), past) == yes("agent")


def test_what_happened_before_is_bounded() -> None:
    past = Past()
    for number in range(5000):
        past.delivered((1, number), "agent")
    assert past.of((1, 4999)) == "agent" and past.of((1, 0)) is None


# -- real processes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The agent, compiled from its source."""
    made = tmp_path_factory.mktemp("agent") / "libhark-keys.so"
    source = pathlib.Path(hark.__file__).parent / "agents" / "preload"
    if not (source / "agent.c").exists():  # an installed hark has no source
        source = pathlib.Path(__file__).parents[2] / "src" / "hark" / "agents" / "preload"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", made, source / "agent.c", source / "host.c", "-ldl"], check=True)
    return str(made)


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """A port on which nothing is ever answered: clients of TLS wait there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


HELLO = "#include <unistd.h>\nint main(void) { return pause(); }\n"
NODE = "require('tls').connect(+process.argv[1], '127.0.0.1')"


def settled(process: subprocess.Popen[bytes]) -> Program:
    """What a process is, once its libraries are there and it waits."""
    end = time.monotonic() + 10
    before = None
    while True:
        time.sleep(0.1)
        seen = look(process.pid)
        assert seen is not None and time.monotonic() < end
        if seen == before and b"S (sleeping)" in pathlib.Path(f"/proc/{process.pid}/status").read_bytes():
            return seen
        before = seen


def answer_for(command: list[str], facts: Facts, agent: str, environment: dict[str, str]) -> Answer:
    """The answer for a command that runs with these variables."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            return plan(facts._replace(agent=agent)).keys_of(settled(process), Past())
        finally:
            process.kill()


@pytest.mark.parametrize("case", ["curl", "curl alone", "gnutls-cli", "node", "node alone", "static"])
def test_by_real_processes(case: str, agent: str, silent: str, tmp_path: pathlib.Path) -> None:
    hook = str(pathlib.Path(hark.__file__).parent / "agents" / "node" / "hook.cjs")
    facts = Facts(agent, hook, Named(""), str(tmp_path))
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    usual = {**path, "LD_PRELOAD": agent, "SSLKEYLOGFILE": f"{tmp_path}/keylog", "NODE_OPTIONS": f"--require={hook}"}
    if case == "static":
        (tmp_path / "hello.c").write_text(HELLO)
        subprocess.run(["gcc", "-static", "-o", tmp_path / "hello", tmp_path / "hello.c"], check=True)
    command, environment, expected = {
        "curl": (["curl", "-s", f"https://127.0.0.1:{silent}/"], usual, yes("agent")),
        "curl alone": (["curl", "-s", f"https://127.0.0.1:{silent}/"], path, no(f"{UNLOADED}; {UNSET}")),
        "gnutls-cli": (["gnutls-cli", "-p", silent, "127.0.0.1"], usual, yes("private key log")),
        "node": (["node", "-e", NODE, silent], usual, yes("Node hook")),
        "node alone": (["node", "-e", NODE, silent], path,
                       no(f"{UNLOADED}; {UNSET}; Node has not loaded the hook: NODE_OPTIONS was unset or changed")),
        "static": ([str(tmp_path / "hello")], usual, no(STATIC)),
    }[case]  # fmt: skip
    assert answer_for(command, facts, agent, environment) == expected


def test_a_process_that_is_gone() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
        assert look(process.pid) is None


def test_facts_of_this_process() -> None:
    seen = look(os.getpid())
    assert seen is not None and seen.name == os.path.basename(os.path.realpath("/proc/self/exe"))
    info = os.stat("/proc/self/exe")
    assert seen.file == (info.st_dev, info.st_ino) and seen.exe in seen.mapped and not seen.static
    assert seen.environment is not None and all(path.startswith("/") for path in seen.mapped)
