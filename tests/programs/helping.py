"""The helper in real namespaces: makes a user, network and mount namespace, starts the helper in them, asks it for
sockets, and prints what came of it as JSON.

usage: python helping.py UNSHARE-OPTIONS...
"""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time

from hark.errors import HarkError
from hark.tap.namespace.helper import Helper

PORT = 81  # only who has CAP_NET_BIND_SERVICE may bind it


def refusal(*request, **more):
    """The name of the error that a request leads to; "" where it leads to none."""
    try:
        helper.socket(*request, **more).close()
    except OSError as error:
        return errno.errorcode[error.errno] if error.errno else type(error).__name__
    return ""


def has(fd):
    """What a descriptor of the helper is; "" where it is closed just now."""
    with contextlib.suppress(FileNotFoundError):
        return os.readlink(f"/proc/{helper.pid}/fd/{fd}").partition(":")[0]
    return ""


found = {}
ready = "ip link set lo up && mount -t tmpfs none /mnt && echo ready && exec cat"
holder = subprocess.Popen(
    ["unshare", "-n", "-m", *sys.argv[1:], "sh", "-c", ready], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
assert holder.stdout.readline() == b"ready\n"
helper = Helper.start(holder.pid, "nothing", print)
listener = helper.socket(
    socket.AF_INET, socket.SOCK_STREAM, 0, [(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)], ("127.0.0.1", PORT), 5
)
found["reuse"] = listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
found["blocking"] = listener.getblocking()
with helper.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
    client.settimeout(5)
    client.connect(("127.0.0.1", PORT))
    client.sendall(b"inside")
    listener.settimeout(5)
    found["received"] = listener.accept()[0].recv(100).decode()
with socket.socket() as outside:
    found["outside"] = errno.errorcode[outside.connect_ex(("127.0.0.1", PORT))]
with helper.socket(socket.AF_INET6, socket.SOCK_DGRAM, address=("::1", 0)) as six:
    found["six"] = six.getsockname()[0]
with helper.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, address=("lo", 0)) as packets:
    found["packets"] = packets.getsockname()[0]
with helper.socket(socket.AF_UNIX, socket.SOCK_DGRAM, address=b"\0hark-test") as unix:
    found["unix"] = unix.getsockname().decode()
linger = b"\1\0\0\0\7\0\0\0"
with helper.socket(socket.AF_INET, socket.SOCK_STREAM, 0, [(socket.SOL_SOCKET, socket.SO_LINGER, linger)]) as lingering:
    found["linger"] = lingering.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == linger
found["path"] = refusal(socket.AF_UNIX, socket.SOCK_STREAM, address="/mnt/socket")  # of the mount namespace inside
found["path outside"] = os.path.exists("/mnt/socket")
found["same mount"] = os.stat(f"/proc/{holder.pid}/ns/mnt").st_ino == os.stat(f"/proc/{helper.pid}/ns/mnt").st_ino
found["refused"] = [
    refusal(socket.AF_INET, socket.SOCK_STREAM, address=("203.0.113.9", 1)),
    refusal(socket.AF_INET, socket.SOCK_STREAM, address=("127.0.0.1", PORT)),
    refusal(socket.AF_INET, socket.SOCK_STREAM, address=7),
    refusal(socket.AF_INET, socket.SOCK_STREAM, 0, [(1, 2)]),
    refusal(99, socket.SOCK_STREAM),
    refusal(socket.AF_UNIX, socket.SOCK_STREAM, address="x" * 9000),
    refusal(socket.AF_INET, socket.SOCK_STREAM),
]
for _ in range(100):  # until the helper has closed its copy of the last socket
    found["descriptors"] = [has(fd) for fd in os.listdir(f"/proc/{helper.pid}/fd") if int(fd) > 2]
    if len(found["descriptors"]) < 2:
        break
    time.sleep(0.01)
begin = time.perf_counter()
for _ in range(200):
    helper.socket(socket.AF_INET, socket.SOCK_STREAM).close()
found["microseconds"] = (time.perf_counter() - begin) / 200 * 1e6

os.kill(helper.pid, signal.SIGSTOP)
found["stopped"] = [refusal(socket.AF_INET, socket.SOCK_STREAM), refusal(socket.AF_INET, socket.SOCK_STREAM)]
os.kill(helper.pid, signal.SIGCONT)
found["ended"] = os.waitpid(helper.pid, 0)[1]  # its only other end was closed

helper = Helper.start(holder.pid, "nothing", print)
os.kill(helper.pid, signal.SIGKILL)
os.waitpid(helper.pid, 0)
found["killed"] = refusal(socket.AF_INET, socket.SOCK_STREAM)

helper = Helper.start(holder.pid, "nothing", print)
other = Helper.attach(helper.detach(), "nothing")  # as another process of hark's has it
found["attached"] = [other.pid == helper.pid, other.socket(socket.AF_INET, socket.SOCK_STREAM).family]
os.close(other.detach())
found["released"] = os.waitpid(helper.pid, 0)[1]

helper = Helper.start(holder.pid, "nothing", print)
os.kill(helper.pid, signal.SIGKILL)
os.waitpid(helper.pid, 0)
helper = Helper.attach(helper.detach(), "nothing")
found["attached too late"] = refusal(socket.AF_INET, socket.SOCK_STREAM)
with contextlib.suppress(ProcessLookupError):
    holder.kill()
holder.wait()
try:
    Helper.start(holder.pid, "nothing", print)
except HarkError as error:
    found["gone"] = str(error)
print(json.dumps(found))
