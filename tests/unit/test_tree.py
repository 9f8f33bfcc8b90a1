"""Who belongs to the program: whoever is in its network namespace, whoever its parent is by now."""

import os
import signal
import subprocess

from alone import alone
from hark.tap import tree
from hark.tap.tree import Tree
from world import until


@alone
def test_orphans_and_daemons_belong_to_the_tree_and_end_with_it() -> None:
    network = Tree(os.readlink("/proc/self/ns/net"))
    assert network.members() == [os.getpid()]
    script = "sleep 60 & setsid sh -c 'sleep 60 & sleep 60'"
    subprocess.Popen(["setsid", "sh", "-c", f"({script}) & exit 0"]).wait()
    until(lambda: len(network.members()) == 5)  # this one, three sleeps and the shell that waits for one of them
    children = {pid for pid in network.members() if pid != os.getpid()}
    outside = os.fork()
    if not outside:  # it ends the others from where the capture process would: another namespace
        from hark.system import kernel

        kernel.unshare(kernel.CLONE_NEWNET)
        for pid in network.members():
            if pid in children:
                os.kill(pid, signal.SIGKILL)
        os._exit(0)
    assert os.waitpid(outside, 0)[1] == 0
    until(lambda: network.members() == [os.getpid()])


def test_end_kills_all_of_them_and_says_whether_there_was_anyone() -> None:
    @alone
    def holder() -> None:
        """Two processes in a namespace, which are ended from outside of it; this process too."""
        os.write(link, os.readlink("/proc/self/ns/net").encode())
        os.fork()
        signal.pause()

    reader, link = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            holder()
        finally:
            os._exit(7)
    os.close(link)
    network = os.read(reader, 100).decode()
    assert network.startswith("net:")
    until(lambda: len(tree.members(network)) == 2)
    assert os.getpid() not in tree.members(network)
    assert Tree(network).end()
    until(lambda: not tree.members(network))
    assert not Tree(network).end()
    os.waitpid(pid, 0)
    os.close(reader)
