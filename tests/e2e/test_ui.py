"""The terminal browser in a real terminal: tmux around `hark read --ui` and `hark ui`."""

import subprocess
import time

import pytest

from world import can_be_watched, until


class Terminal:
    """A tmux of its own in the world."""

    def __init__(self, world, command: str) -> None:
        self._world = world
        self._tmux = ["tmux", "-L", f"hark{time.monotonic_ns()}", "-f", "/dev/null"]
        made = world.run(*self._tmux, "new-session", "-d", "-x", "150", "-y", "40", command, TERM="xterm-256color")
        assert made.status == 0, made.err

    def keys(self, *keys: str) -> None:
        self._world.run(*self._tmux, "send-keys", *keys)

    def wait(self, *words: str) -> str:
        """The screen once all of this is on it."""
        text = ""

        def shows() -> bool:
            nonlocal text
            text = self._world.run(*self._tmux, "capture-pane", "-p").out.decode()
            return all(word in text for word in words)

        until(shows, 15, lambda: text)
        return text

    def over(self) -> bool:
        """Whether the command has ended, and the terminal with it."""
        until(lambda: self._world.run(*self._tmux, "has-session").status)
        return True

    def close(self) -> None:
        self._world.run(*self._tmux, "kill-server")


@pytest.fixture
def terminal(world):
    """Open terminals; they are closed behind the test."""
    made = []

    def start(command: str) -> Terminal:
        made.append(Terminal(world, command))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_a_recording_is_browsed(world, terminal) -> None:
    ca = str(world.dir / "cert.pem")
    assert world.run("hark", "-q", "-o", "ui.pcapng", "curl", "-s", "--cacert", ca, "https://site.test:8443/item.json", "https://site.test:8443/fail").status == 0  # fmt: skip
    shown = terminal("hark read --ui ui.pcapng")
    shown.wait("200 GET     https://site.test:8443/item.json", "503 GET     https://site.test:8443/fail", "2 exchanges")
    shown.keys("Home", "Enter", "2")
    shown.wait('"item": [')
    shown.keys("/", "s", "t", "a", "t", "u", "s", ":", "5", "x", "x", "Enter")
    shown.wait("1 of 2 exchanges")
    shown.keys("q")
    assert shown.over()


def test_a_running_hark_is_browsed_live(world, terminal) -> None:
    loop = "for i in $(seq 17); do curl -s http://192.0.2.10:8080/hello?$i >/dev/null; sleep 0.2; done"
    running = world.popen(["hark", "-q", "sh", "-c", loop], stderr=subprocess.DEVNULL)
    until(lambda: can_be_watched(running))
    shown = terminal("hark ui")
    shown.wait("hello?1 ", "hello?9 ", "following")
    shown.wait("17 exchanges", "ended")
    assert running.wait(20) == 0
    shown.keys("q")
    assert shown.over()


def test_a_command_runs_beside_the_browser(world, terminal) -> None:
    """Its output is looked at by a key, and is there behind the browser, with its status."""
    (world.dir / "home" / "job.sh").write_text(
        "curl -s http://192.0.2.10:8080/hello; echo said by the job; curl -s http://192.0.2.10:8080/fail; exit 7"
    )
    shown = terminal("hark ui sh job.sh; echo status $?; exec sh")
    shown.wait("hello", "503 GET", "2 exchanges", "ended")
    shown.keys("o")
    shown.wait("said by the job")
    shown.keys("Escape")
    shown.wait("2 exchanges")
    shown.keys("q")
    shown.wait("said by the job", "status 7")


def test_what_goes_wrong_is_seen(world, terminal) -> None:
    """A file that is no recording, one that is torn, a command that is not there: a line says so."""
    shown = terminal("hark read --ui /bin/true")
    shown.wait("it is neither pcapng nor pcap", "ended")
    torn = world.dir / "home" / "torn.har"
    torn.write_text('{"log": {"entries": [{"request": {"method": "GET", "url": "http://a/"}}, {"requ')
    terminal("hark read --ui torn.har").wait("GET     http://a/", "the archive ends within itself")
    terminal("hark ui no-such-command").wait("cannot run no-such-command: no such command in PATH")


def test_leaving_the_browser_ends_the_command(world, terminal) -> None:
    shown = terminal("hark ui sleep 61; echo status $?; exec sh")
    shown.wait("0 exchanges")
    shown.keys("q")
    shown.wait("status 143")
    assert world.run("pgrep", "-f", "^sleep 61").status == 1


def test_without_a_terminal_there_is_one_line(world) -> None:
    run = world.run("hark", "read", "--ui", "ui.pcapng")
    assert run.status == 1 and run.err.count("\n") == 1 and "no terminal" in run.err
    under = world.run("hark", "--ui", "true")
    assert under.status == 2 and under.err.count("\n") == 1 and "hark ui COMMAND runs a command beside it" in under.err
