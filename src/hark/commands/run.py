"""The composition root: starts the capture process and the decoder process around a program, joins them, ends them.

What   Three processes. The first is the program's parent and waits; the capture process carries and records its
       traffic; the decoder process decodes and shows it. The ring is between the last two.
Why    The capture process must never wait for a view, and the program's parent must be free for its signals.
Ends   Each watches what it depends on by a pipe or socket that the kernel closes: the capture process ends the tree
       when the first process is gone, the first ends the tree when the capture process is gone, the decoder process
       ends when the capture process has. So kill -9 of any of them leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence

from hark.destinations import COMMANDS, Outputs, open_outputs, say
from hark.errors import HarkError
from hark.installed import AGENT, HOOK, PRIVATE
from hark.keys import keylogfile
from hark.options import Options
from hark.pipeline.build import build_views, choice, title_of
from hark.plan import Facts, Plan, plan
from hark.tap import launch, tree
from hark.tap.namespace import idmap, setup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from hark.frontends.devtools.start import DevTools
    from hark.recording.ring import Ring

_HEAD_START = 0.03  # s that the program has before the decoder process begins to load
_LINGER = 1.0  # s after the program's end before hark says for what it still waits
_FAILED = 255  # the exit status of a process of ours that failed, which it has reported
_CAPTURE, _DECODER = "capture process", "decoder process"  # as messages name them
DONE = b"."
_LAST_WORDS = 10.0  # s that the decoder process may take to tell what is recorded once the capture process is gone


# -- hark COMMAND ----------------------------------------------------------------------------------------------------


def run(options: Options, mapping: idmap.Mapping | None) -> int:
    """Run the command and show what it does; the exit status: the command's, or where that is 0 the verdict of a view.
    mapping: of the user's ids, which is under way. Raises HarkError where it cannot be run."""
    base = dict(os.environ)
    file = launch.find(options.command[0], base.get("PATH", os.defpath))
    choice(options)  # what cannot be understood or read is reported before anything runs
    outputs = open_outputs(options, say, COMMANDS)
    server = _devtools(options, outputs) if options.devtools else None
    feeds = [fd for fd in (server.feed if server is not None else -1, options.feed) if fd >= 0]
    for fd in feeds:
        os.set_inheritable(fd, False)  # no business of the program's
    launch.hold_signals()
    chosen = plan(_facts())
    host = setup.look(PRIVATE)
    preparing = launch.prepare(file, options.command, host, mapping, chosen.keys)
    # While the child builds the namespace, the capture process loads what it needs.
    from hark.recording.ring import Ring  # both processes to come need it

    ring = Ring()
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    alive, living = os.pipe()
    capture = _fork(
        _CAPTURE, lambda: _capture(preparing, host, ring, theirs, chosen), control, alive, *feeds, *outputs.fds
    )
    theirs.close()
    os.close(living)
    try:
        child = preparing.ready()
    except HarkError:
        control.close()
        os.waitpid(capture, 0)
        raise
    if not options.quiet:
        _say_missing(chosen, child)
    with contextlib.suppress(BrokenPipeError):  # the capture process has failed, which waitpid will tell
        launch.send(control, child.files)
    options.started = time.time_ns()
    child.go()
    network = os.readlink(f"/proc/self/fd/{child.files['network']}")
    for fd in child.files.values():
        if fd >= 0:
            os.close(fd)  # the capture process's alone: the namespace goes when it goes
    decoder = _fork(_DECODER, lambda: _show(child, options, outputs, ring, alive, feeds), control)
    for fd in (alive, *feeds, *outputs.fds):
        os.close(fd)
    try:
        child.gone()
    except HarkError:
        control.send(b"k")
        os.waitpid(child.pid, 0)
        os.kill(decoder, signal.SIGKILL)  # nothing happened that could be shown
        os.waitpid(capture, 0)
        os.waitpid(decoder, 0)
        raise
    return _Session(options, child.pid, capture, decoder, control, network, ring, server).wait()


def _devtools(options: Options, outputs: Outputs) -> DevTools:
    from hark.frontends.devtools.start import start

    return start(options, title_of(options), outputs)


def _fork(name: str, body: Callable[[], int], *drop: socket.socket | int) -> int:
    """Run `body` in a child that reports its own faults and never returns here; it ends with the status that `body`
    gives, or _FAILED."""
    pid = os.fork()
    if pid:
        return pid
    status = _FAILED
    try:
        for end in drop:
            if isinstance(end, socket.socket):
                end.close()
            else:
                os.close(end)
        for number in (signal.SIGTSTP, signal.SIGTTOU, signal.SIGTTIN):
            signal.signal(number, signal.SIG_IGN)  # the program may be stopped; who carries its traffic may not
        status = body()
    except BaseException:
        import traceback

        say(f"hark: the {name} failed; please report this:\n{traceback.format_exc().rstrip()}")
    finally:
        _leave(status)


def _leave(status: int) -> NoReturn:
    os._exit(status)


def _facts() -> Facts:
    """What the plan goes by."""
    keylog = keylogfile.named(os.environ.get(keylogfile.VARIABLE, ""))
    return Facts(AGENT if os.path.exists(AGENT) else "", HOOK if os.path.exists(HOOK) else "", keylog)


def _say_missing(chosen: Plan, child: launch.Child) -> None:
    for effect, why, remedy in chosen.missing:
        say(f"hark: {effect}: {why}: {remedy}")
    for source in chosen.keys:
        if missing := source.missing(child.files):
            say(f"hark: {missing}")


def _capture(preparing: launch.Preparing, host: setup.Host, ring: Ring, control: socket.socket, chosen: Plan) -> int:
    """The capture process's body."""
    import gc
    import resource

    from hark.recording.ring import Writer
    from hark.tap.capture import Capture
    from hark.tap.namespace.tap import NamespaceTap

    preparing.release()
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()
    said, files = launch.receive(control)
    if not said:
        return 0  # the program cannot be started
    network = tree.Tree(os.readlink(f"/proc/self/fd/{files['network']}"))
    capture = Capture(Writer(ring), ring.wake_writer, control, network, chosen.keys, files)
    capture.run(NamespaceTap(files, host.network, capture.loop, capture.recorder, chosen.decisions))
    with contextlib.suppress(OSError):  # the first process was killed: nobody waits
        control.send(DONE)
    return 0


def _show(child: launch.Child, options: Options, outputs: Outputs, ring: Ring, alive: int, feeds: Sequence[int]) -> int:
    """The decoder process's body; the views' verdict."""
    from hark.recording.ring import Reader

    child.release()
    reader = Reader(ring)
    try:
        # Most of hark's code is the decoder: a program that is over at once does not wait for its import.
        reader.wait(_HEAD_START, for_any=False)
        from hark.frontends.watchers import Watchers
        from hark.pipeline.pipeline import Pipeline, follow

        watchers = Watchers(os.getppid(), outputs.schema)
        views = build_views(options, outputs, 2, feeds, [watchers])
        pipeline = Pipeline(views, options.keep, outputs.recordings)
        follow(reader, pipeline, alive)
        return pipeline.verdict
    finally:
        ring.leave()


class _Session:
    """Waits for the program and everything around it."""

    def __init__(
        self,
        options: Options,
        program: int,
        capture: int,
        decoder: int,
        control: socket.socket,
        network: str,
        ring: Ring,
        server: DevTools | None,
    ) -> None:
        self._options = options
        self._name = os.path.basename(options.command[0])
        self._capture = capture
        self._decoder = decoder
        self._control = control
        self._network = network
        self._ring = ring
        self._server = server
        children = {capture: _CAPTURE, decoder: _DECODER} | ({server.pid: "DevTools server"} if server else {})
        self._waiter = launch.Waiter(program, children)
        self._left = set(children.values())
        self._said = False
        self._interrupts = 0
        self._ended = 0.0
        self._verdict = 0  # of the views

    def wait(self) -> int:
        """The program's status once all is over."""
        waiter = self._waiter
        while waiter.status is None:
            for event, status in waiter.step(3600):
                self._child(event, status)
        self._ended = time.monotonic()
        self._order(b"d" if self._options.detach else b"x")
        if self._options.detach:
            self._order(b"x")
            return waiter.status
        while _DECODER in self._left or (_CAPTURE in self._left and not self._capture_done()):
            for event, status in waiter.step(0.2):
                if event == "^C" and status == signal.SIGHUP:  # what outlives its terminal outlives it here too
                    self._order(b"d")
                    return waiter.status
                elif event == "^C":
                    self._interrupt()
                else:
                    self._child(event, status)
            self._explain()
        self._serve(waiter)
        return waiter.status or self._verdict

    def _serve(self, waiter: launch.Waiter) -> None:
        """Wait until nobody looks at DevTools any more; a ^C ends it."""
        if self._server is None or self._interrupts:
            return
        since = time.monotonic()
        said = False
        if waiter.hung_up:
            self._server.end()
        while "DevTools server" in self._left:
            for event, status in waiter.step(0.2):
                if event == "^C":
                    self._server.end()
                else:
                    self._child(event, status)
            if not said and time.monotonic() - since > _LINGER and not self._options.quiet:
                said = True
                say(f"hark: {self._name} has ended; DevTools is served until its window is closed (^C ends it)")

    def _order(self, letter: bytes) -> None:
        with contextlib.suppress(OSError):  # the capture process is gone already, which is told elsewhere
            self._control.send(letter)

    def _capture_done(self) -> bool:
        """Whether all is recorded, as the capture process says: then it only takes the namespace down."""
        with contextlib.suppress(OSError):  # it is gone, which waitpid will tell
            return self._control.recv(1, socket.MSG_DONTWAIT) == DONE
        return False

    def _child(self, name: str, status: int) -> None:
        """The capture process or the decoder process has ended."""
        self._left.discard(name)
        if not os.WIFSIGNALED(status):
            if name == _CAPTURE and self._waiter.status is None:
                self._lost(name, "ended too early")
            if name == _DECODER and os.WEXITSTATUS(status) != _FAILED:
                self._verdict = os.WEXITSTATUS(status)
            return
        self._lost(name, f"was killed by signal {os.WTERMSIG(status)}")

    def _lost(self, name: str, how: str) -> None:
        if name == "DevTools server":
            say(f"hark: the DevTools server {how}: nothing more is shown there; {self._name} runs on")
            return
        if name == _DECODER:
            self._ring.leave()
            say(f"hark: the {name} {how}: nothing more is shown; {self._name} runs on")
            return
        if self._interrupts < 2:
            say(f"hark: the {name} {how}: {self._name} has lost its network and is ended")
        for _ in range(20):  # one that forks while it is looked for is met the next time
            if not tree.end(self._network):
                return
            time.sleep(0.005)

    def _interrupt(self) -> None:
        """^C while hark waits for what the program left behind: first the tree is ended, then hark itself."""
        self._interrupts += 1
        if self._interrupts == 1:
            self._order(b"k")
        else:
            for pid in (self._capture, self._decoder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _explain(self) -> None:
        waited = time.monotonic() - self._ended
        if _CAPTURE in self._left:
            if not self._said and waited > _LINGER:
                self._said = True
                pids = tree.members(self._network)
                if pids and not self._options.quiet:
                    names = ", ".join(f"{_name(pid)}[{pid}]" for pid in pids[:4])
                    more = f" and {len(pids) - 4} more" if len(pids) > 4 else ""
                    say(
                        f"hark: {self._name} has ended; waiting for what it left running: {names}{more} (^C ends it; "
                        "with --detach hark does not wait)"
                    )
        elif waited > _LAST_WORDS and self._interrupts:
            self._interrupt()


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return "?"
