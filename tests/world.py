"""A small world for end-to-end tests: a network namespace with servers in it, and an ordinary user to run hark as.

The world has lo, 192.0.2.10 and 2001:db8:1::10, names by a real dnsmasq on 127.0.0.53, and a real
nginx. Everything in it runs as the ordinary user, hark too. As root the world is made with `ip netns`; otherwise with an
unprivileged user namespace.
"""

import contextlib
import datetime
import getpass
import ipaddress
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BIN = pathlib.Path(sys.executable).parent
USER = "harktest"
ADDRESS4, ADDRESS6 = "192.0.2.10", "2001:db8:1::10"

PROGRAMS = pathlib.Path(__file__).parent / "programs"


def program(name: str) -> str:
    """The text of a program, or of a configuration, that tests give to another."""
    return (PROGRAMS / name).read_text()


NGINX = program("nginx.conf")

RESOLVER = "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n"
HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
_NUMBERS = itertools.count()


def until(condition: Callable[[], object], seconds: float = 10, why: Callable[[], object] | None = None) -> None:
    """Wait until something is so; an AssertionError after `seconds`. `why` gives what it says then."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, why() if why is not None else f"waited for {seconds} s"
        time.sleep(0.02)


def can_be_watched(hark: subprocess.Popen) -> bool:
    """Whether a hark that was started in the world has its socket for `hark watch` by now."""
    return sockets_for_watch(hark) > 0


def sockets_for_watch(hark: subprocess.Popen) -> int:
    """Its listening socket, and one for each that watches it."""
    return pathlib.Path(f"/proc/{hark.pid}/net/unix").read_text().count(f"/{hark.pid}\n")


def is_read(path: pathlib.Path) -> bool:
    """Whether some process has the file open and has read all that is in it."""
    for fd in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(fd) == str(path):
                position = (fd.parent.parent / "fdinfo" / fd.name).read_text().split()[1]
                if int(position) == path.stat().st_size:
                    return True
    return False


@dataclass
class Run:
    """What came of a command that hark ran."""

    status: int
    out: bytes
    err: str
    entries: list[dict] = field(default_factory=list)
    failures: list[dict] = field(default_factory=list)  # entries of what did not become an exchange

    @property
    def told(self) -> list[str]:
        """Each exchange as "METHOD URL STATUS PROTOCOL PROCESS", in the order in which they ended."""
        return [tell(entry) for entry in self.entries]


def tell(entry: dict) -> str:
    """One entry in a line."""
    process = (entry.get("_process") or {}).get("name", "?")
    request, response = entry["request"], entry["response"]
    return f"{request['method']} {request['url']} {response['status']} {entry['_protocol']} {process}"


class World:
    """The namespace, its servers, and ways to run things in it."""

    def __init__(self, network: str = "", resolver: str = "") -> None:
        """network: a shell script that adds to the network, with every capability over it; resolver: resolv.conf."""
        self._network = network
        self._resolver = resolver or RESOLVER
        self.root = os.getuid() == 0
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hark-world-", dir="/var/tmp"))
        self.name = f"hark-{os.getpid()}-{next(_NUMBERS)}"
        self._servers: list[subprocess.Popen] = []
        self.prefix = self._namespace_by_root() if self.root else self._namespace_by_user()
        self._make_files()
        self.start(["dnsmasq", "-k", "-C", "/dev/null", "-R", "-h", "-u", USER if self.root else getpass.getuser(), "-i", "lo",
                    "--bind-interfaces", "-a", "127.0.0.53", "--pid-file=", "--no-hosts", "--local=/test/", "--local=/invalid/",
                    f"--address=/site.test/{ADDRESS4}", f"--address=/example.com/{ADDRESS4}",
                    f"--address=/api.github.com/{ADDRESS4}", f"--address=/six.test/{ADDRESS6}"], as_user=False)  # fmt: skip
        self.start(["nginx", "-e", f"{self.dir}/nginx.log", "-c", f"{self.dir}/nginx.conf"])
        self.wait_for("127.0.0.1", 8443)

    def _script(self) -> str:
        """What makes the network; run in the namespace with every capability over it."""
        groups = "0 2147483647" if self.root else f"{os.getgid()} {os.getgid()}"
        return (
            "set -e; ip link set lo up; "
            f"ip addr add {ADDRESS4}/32 dev lo; ip addr add {ADDRESS6}/128 dev lo; "
            "ip route add unreachable 198.51.100.0/24; ip route add 203.0.113.0/24 dev lo; "  # the second is silence
            f"sysctl -qw net.ipv4.ip_unprivileged_port_start=0 net.ipv4.ping_group_range='{groups}'; "
            f"{self._network or 'true'}"
        )

    def _namespace_by_root(self) -> list[str]:
        """A named network namespace; things in it run as the ordinary user."""
        shutil.chown(self.dir, USER, USER)
        etc = pathlib.Path(f"/etc/netns/{self.name}")
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text(self._resolver)
        (etc / "hosts").write_text(HOSTS)
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        enter = ["ip", "netns", "exec", self.name]
        subprocess.run([*enter, "sh", "-c", self._script()], check=True)
        return [*enter, "setpriv", "--reuid", USER, "--regid", USER, "--init-groups"]

    def _namespace_by_user(self) -> list[str]:
        """A user, network and mount namespace of one's own, held by a process; things in it run as oneself."""
        (self.dir / "resolv.conf").write_text(self._resolver)
        resolver, ready = os.path.realpath("/etc/resolv.conf"), self.dir / "ready"
        script = f"{self._script()}\nmount --bind {self.dir}/resolv.conf {resolver}; : >{ready}; exec sleep 3600"
        holder = subprocess.Popen(
            ["unshare", "-U", "--map-current-user", "--keep-caps", "-n", "-m", "sh", "-c", script]
        )
        self._servers.append(holder)

        def made() -> bool:
            assert holder.poll() is None, "the namespace could not be made"
            return ready.exists()

        until(made)
        return [
            "nsenter",
            "-t",
            str(holder.pid),
            "-U",
            "-n",
            "-m",
            "--preserve-credentials",
            "env",
            "-C",
            f"{self.dir}/home",
        ]

    def _make_files(self) -> None:
        for name in ("www", "tmp", "home"):
            (self.dir / name).mkdir()
        (self.dir / "www" / "item.json").write_text('{"item": [1, 2, 3]}\n')
        (self.dir / "www" / "page.html").write_text("<html>" + "<p>hark</p>" * 500)
        (self.dir / "nginx.conf").write_text(NGINX.format(dir=self.dir))
        for name in ("cert", "expired"):
            self._certificate(name, name == "expired")
        os.chmod(self.dir, 0o755)
        for path in self.dir.rglob("*"):
            if self.root:
                shutil.chown(path, USER, USER)

    def _certificate(self, name: str, expired: bool) -> None:
        key_path = self.dir / "key.pem"
        if not key_path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            key_path.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        names = [x509.DNSName(n) for n in ("localhost", "site.test", "six.test", "example.com", "api.github.com")]
        names += [x509.IPAddress(ipaddress.ip_address(a)) for a in (ADDRESS4, ADDRESS6, "127.0.0.1")]
        start = datetime.datetime(2020, 1, 1) if expired else datetime.datetime.now() - datetime.timedelta(days=2)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=20))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        (self.dir / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    # -- running things ----------------------------------------------------------------------------------------------

    def env(self, **more: str) -> dict[str, str]:
        """A plain user's environment."""
        return {
            "HOME": str(self.dir / "home"),
            "PATH": f"{BIN}:/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "CA": str(self.dir / "cert.pem"),
            "DIR": str(self.dir),
            **more,
        }

    def start(self, command: list[str], as_user: bool = True) -> subprocess.Popen:
        """Start a server in the world; it is ended with the world."""
        prefix = self.prefix if as_user or not self.root else self.prefix[:4]
        log = open(self.dir / "servers.log", "ab")
        server = subprocess.Popen([*prefix, *command], env=self.env(), stdout=log, stderr=log, cwd=self.dir)
        self._servers.append(server)
        return server

    def wait_for(self, host: str, port: int) -> None:
        """Until something listens there."""
        probe = f"import socket,sys; socket.create_connection(({host!r},{port}),1)"
        command = [*self.prefix, sys.executable, "-c", probe]
        until(
            lambda: subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0,
            20,
            lambda: f"nothing listens on {host}:{port}: " + (self.dir / "servers.log").read_text()[-500:],
        )

    def wait_for_bound(self, port: int, kind: str = "udp") -> None:
        """Until a socket has that port: of a UDP server, or of a TCP one that is not to be connected to."""
        shown = ["ss", "-Hlun" if kind == "udp" else "-Hltn", "sport", "=", f":{port}"]
        until(lambda: self.run(*shown).out)

    def popen(self, command: list[str], **more) -> subprocess.Popen:
        """Start a command as the user."""
        env = self.env(**more.pop("env", {}))
        return subprocess.Popen([*self.prefix, *command], env=env, cwd=self.dir / "home", **more)

    def run(self, *command: str, timeout: float = 60, input: bytes | None = None, **env: str) -> Run:
        """Run a command as the user."""
        done = subprocess.run(
            [*self.prefix, *command],
            env=self.env(**env),
            cwd=self.dir / "home",
            capture_output=True,
            timeout=timeout,
            input=input,
        )
        return Run(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))

    def hark(self, *command: str, timeout: float = 60, input: bytes | None = None, **env: str) -> Run:
        """Run a command under hark; its exchanges are read from the -o x.jsonl that hark leaves."""
        path = self.dir / "home" / "told.jsonl"
        path.unlink(missing_ok=True)
        run = self.run("hark", "-o", "told.jsonl", *command, timeout=timeout, input=input, **env)
        if path.exists():
            told = [json.loads(line) for line in path.read_text().splitlines()]
            run.entries = [entry for entry in told if "_failure" not in entry]
            run.failures = [entry for entry in told if "_failure" in entry]
        return run

    def sh(self, script: str, **more) -> Run:
        """Run a shell script under hark."""
        return self.hark("sh", "-c", script, **more)

    def processes(self) -> list[str]:
        """The command lines of the user's processes that look like hark or were started by it."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if str(BIN / "hark") in line and "ip netns" not in line:
                        found.append(f"{entry.name} {line}")
        return found

    def close(self) -> None:
        """End the servers and the namespace."""
        for server in reversed(self._servers):
            server.send_signal(signal.SIGTERM)
        for server in self._servers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(5)
        if self.root:
            subprocess.run(["ip", "netns", "del", self.name], check=False)
            shutil.rmtree(f"/etc/netns/{self.name}", ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def plain(text: str) -> str:
    """hark's terminal text with what differs from run to run replaced."""
    text = re.sub(r"\[\d+\]", "[PID]", text)
    return re.sub(r"\b\d+(\.\d+)? (ms|s|min)\b", "TIME", text)
