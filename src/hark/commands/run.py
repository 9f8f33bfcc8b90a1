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
from collections.abc import Mapping, Sequence

from hark.destinations import COMMANDS, Outputs, open_outputs, say
from hark.errors import HarkError
from hark.installed import AGENT, HOOK, PRIVATE, there
from hark.keys import keylogfile
from hark.options import Options
from hark.pipeline.build import build_views, filter_of, title_of
from hark.plan import Facts, Plan, plan
from hark.system.child import FAILED, Child, death, ignore_stops, start
from hark.tap import launch, tree
from hark.tap.namespace import idmap, setup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from hark.frontends.devtools.start import DevTools
    from hark.recording.ring import Ring
    from hark.tap.namespace.helper import Helper

_HEAD_START: Final = 0.03  # s that the program has before the decoder process begins to load
_LINGER: Final = 1.0  # s after the program's end before hark says for what it still waits
# As messages name them
_CAPTURE: Final = "capture process"
_DECODER: Final = "decoder process"
_DEVTOOLS: Final = "DevTools server"
DONE: Final = b"."
_LAST_WORDS: Final = 10.0  # s that the decoder process may take for what is recorded once the capture process is gone


# -- hark COMMAND ----------------------------------------------------------------------------------------------------


def run(options: Options, mapping: idmap.Mapping | None) -> int:
    """Run the command and show what it does; the exit status: the command's, or where that is 0 the verdict of a view.
    mapping: of the user's ids, which is under way. Raises HarkError where it cannot be run."""
    base = dict(os.environ)
    file = launch.find(options.command[0], base.get("PATH", os.defpath))
    filter_of(options)  # what cannot be understood or read is reported before anything runs
    outputs = open_outputs(options, say, COMMANDS)
    server = _devtools(options, outputs) if options.devtools else None
    feeds = _feeds(server, options)
    launch.hold_signals()
    chosen = plan(_facts())
    host = setup.look(PRIVATE)
    preparing = launch.prepare(file, options.command, host, mapping, chosen.keys)
    # While the child builds the namespace, the capture process loads what it needs.
    from hark.recording.ring import Ring  # both processes to come need it

    ring = Ring()
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    alive, living = os.pipe()
    drop: tuple[socket.socket | int, ...] = (control, alive, *feeds, *outputs.fds)
    capture = start(_CAPTURE, lambda: _capture(preparing, host, ring, theirs, chosen), say, drop)
    theirs.close()
    os.close(living)
    child, helper = _ready(preparing, chosen, control, capture)
    if not options.quiet:
        _say_missing(chosen, child)
    with contextlib.suppress(BrokenPipeError):  # the capture process has failed, which waitpid will tell
        launch.send(control, child.files)
    options.started = time.time_ns()
    child.go()
    observed = _observed(child.files, helper)
    for fd in child.files.values():
        if fd >= 0:
            os.close(fd)  # the capture process's alone: the namespace goes when it goes
    decoder = start(_DECODER, lambda: _show(child, options, outputs, ring, alive, feeds), say, (control,))
    for fd in (alive, *feeds, *outputs.fds):
        os.close(fd)
    _gone(child, control, capture, decoder)
    others = _others(options, capture, decoder, server, helper)
    return _Session(options, child.pid, others, control, observed, ring, server).wait()


def _ready(
    preparing: launch.Preparing, chosen: Plan, control: socket.socket, capture: int
) -> tuple[launch.Child, Helper | None]:
    """Wait until the child is ready to become the program. Raises HarkError where it cannot be; the capture process has
    ended then."""
    try:
        child = preparing.ready()
        return child, _helper(child, chosen)
    except HarkError:
        control.close()
        os.waitpid(capture, 0)
        raise


def _gone(child: launch.Child, control: socket.socket, capture: int, decoder: int) -> None:
    """Wait until the child has become the program. Raises HarkError where it cannot; both processes have ended then."""
    try:
        child.gone()
    except HarkError:
        control.send(b"k")
        os.waitpid(child.pid, 0)
        os.kill(decoder, signal.SIGKILL)  # nothing happened that could be shown
        os.waitpid(capture, 0)
        os.waitpid(decoder, 0)
        raise


def _others(
    options: Options, capture: int, decoder: int, server: DevTools | None, helper: Helper | None
) -> dict[str, Child]:
    """The processes beside the program, by name."""
    name = os.path.basename(options.command[0])
    found = [
        Child(_CAPTURE, capture, f"{name} has lost its network and is ended"),
        Child(_DECODER, decoder, f"nothing more is shown; {name} runs on"),
    ]
    if server is not None:
        found.append(Child(_DEVTOOLS, server.pid, f"nothing more is shown there; {name} runs on"))
    if helper is not None:
        found.append(Child(helper.name, helper.pid, f"{helper.effect}; {name} runs on"))
    return {child.name: child for child in found}


def _feeds(server: DevTools | None, options: Options) -> list[int]:
    """The descriptors that get every change."""
    found = [fd for fd in (server.feed if server is not None else -1, options.feed) if fd >= 0]
    for fd in found:
        os.set_inheritable(fd, False)  # no business of the program's
    return found


def _devtools(options: Options, outputs: Outputs) -> DevTools:
    from hark.frontends.devtools.start import start as serve

    return serve(options, title_of(options), outputs)


def _helper(child: launch.Child, chosen: Plan) -> Helper | None:
    """The helper in the namespaces, where the plan asks for it; the capture process gets its socket. Raises
    HarkError."""
    if not chosen.helper:
        return None
    from hark.tap.namespace.helper import Helper

    helper = Helper.start(child.pid, chosen.helper, say)
    child.files["helper"] = helper.detach()
    return helper


def _facts() -> Facts:
    """What the plan goes by."""
    keylog = keylogfile.named(os.environ.get(keylogfile.VARIABLE, ""))
    return Facts(there(AGENT), there(HOOK), keylog, PRIVATE)


def _say_missing(chosen: Plan, child: launch.Child) -> None:
    for found in chosen.findings(child.files, child.failed):
        if found.why:
            say(f"hark: {found.text}" + (f": {found.fix}" if found.fix else ""))


def _capture(preparing: launch.Preparing, host: setup.Host, ring: Ring, control: socket.socket, chosen: Plan) -> int:
    """The capture process's body."""
    import gc
    import resource

    from hark.recording.ring import Writer
    from hark.tap.capture import Capture
    from hark.tap.namespace.tap import NamespaceTap

    ignore_stops()
    preparing.release()
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()
    said, files = launch.receive(control)
    if not said:
        return 0  # the program cannot be started
    helper = None
    if "helper" in files:
        from hark.tap.namespace.helper import Helper

        helper = Helper.attach(files["helper"], chosen.helper)
    observed = _observed(files, helper)
    capture = Capture(Writer(ring), ring.wake_writer, control, observed, chosen.keys, files)
    capture.run(NamespaceTap(files, host.network, capture.loop, capture.recorder, chosen.decisions, helper))
    with contextlib.suppress(OSError):  # the first process was killed: nobody waits
        control.send(DONE)
    return 0


def _observed(files: Mapping[str, int], helper: Helper | None) -> tree.Tree:
    """The program's tree: whoever lives in its network namespace, but the helper."""
    network = os.readlink(f"/proc/self/fd/{files['network']}")
    return tree.Tree(network, {helper.pid} if helper is not None else ())


def _show(child: launch.Child, options: Options, outputs: Outputs, ring: Ring, alive: int, feeds: Sequence[int]) -> int:
    """The decoder process's body; the views' verdict."""
    from hark.recording.ring import Reader

    ignore_stops()
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
        others: dict[str, Child],
        control: socket.socket,
        observed: tree.Tree,
        ring: Ring,
        server: DevTools | None,
    ) -> None:
        self._options = options
        self._name = os.path.basename(options.command[0])
        self._others = others
        self._control = control
        self._tree = observed
        self._ring = ring
        self._server = server
        self._waiter = launch.Waiter(program, {child.pid: name for name, child in others.items()})
        self._left = set(others)
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
        while _DEVTOOLS in self._left:
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
        """A process beside the program has ended. One that failed by itself has reported why."""
        self._left.discard(name)
        early = name == _CAPTURE and self._waiter.status is None
        how = death(status) if os.WIFSIGNALED(status) else "ended too early" if early else ""
        if how:
            self._lost(name, how)
        elif name == _DECODER and os.WEXITSTATUS(status) != FAILED:
            self._verdict = os.WEXITSTATUS(status)

    def _lost(self, name: str, how: str) -> None:
        if name == _DECODER:
            self._ring.leave()
        if name != _CAPTURE or self._interrupts < 2:
            say(f"hark: the {self._others[name].line(how)}")
        if name == _CAPTURE:
            for _ in range(20):  # one that forks while it is looked for is met the next time
                if not self._tree.end():
                    return
                time.sleep(0.005)

    def _interrupt(self) -> None:
        """^C while hark waits for what the program left behind: first the tree is ended, then hark itself."""
        self._interrupts += 1
        if self._interrupts == 1:
            self._order(b"k")
        else:
            for name in (_CAPTURE, _DECODER):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._others[name].pid, signal.SIGKILL)

    def _explain(self) -> None:
        waited = time.monotonic() - self._ended
        if _CAPTURE in self._left:
            if not self._said and waited > _LINGER:
                self._said = True
                pids = self._tree.members()
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
