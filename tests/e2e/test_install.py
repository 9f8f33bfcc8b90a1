"""What `python -m build` makes installs and works in a clean environment."""

import pathlib
import re
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).parent.parent.parent


def test_wheel_and_sdist(world, tmp_path: pathlib.Path) -> None:
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", str(ROOT / "src"), str(tmp_path)], check=True)
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"):
        subprocess.run(["cp", str(ROOT / name), str(source)], check=True)
    (tmp_path / "src").rename(source / "src")
    # Without an environment of its own to build in: pip makes one for the sdist below.
    build = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check", "-o", str(tmp_path / "dist")]
    built = subprocess.run([*build, str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    wheel = next((tmp_path / "dist").glob("*.whl"))
    sdist = next((tmp_path / "dist").glob("*.tar.gz"))
    assert wheel.name.startswith("hark-") and "-py3-none-linux_" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert "hark-0.1.0.data/data/share/man/man1/hark.1" in names
    assert {f"hark/usage/shells/{shell}.in" for shell in ("bash", "zsh", "fish")} <= set(names)
    for needed in ("preload/libhark-keys.so", "node/hook.cjs", "private/README"):
        assert f"hark/agents/{needed}" in names
    venv = world.dir / "clean"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(venv / "bin/python"),
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    # The wheel brings what it depends on; the sdist, which depends on the same, takes the wheel's place.
    for package, options in ((wheel, []), (sdist, ["--no-deps", "--force-reinstall"])):
        subprocess.run([*pip, "--no-compile", *options, str(package)], check=True)
        subprocess.run(["chmod", "-R", "a+rX", str(venv)], check=True)
        run = world.run(
            f"{venv}/bin/hark", "curl", "-s", "--cacert", str(world.dir / "cert.pem"), "https://site.test:8443/hello"
        )
        assert run.out == b"hello\n" and "GET https://site.test:8443/hello 200" in run.err, run.err


def test_without_a_compiler(world, tmp_path: pathlib.Path) -> None:
    """hark is installed and works, without its agent; the run and `hark doctor` say what is missing."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in", "src"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    for agent in (source / "src").rglob("*.so"):
        agent.unlink()
    venv = world.dir / "without-compiler"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next((venv / "lib").glob("*/site-packages"))
    (site / "dependencies.pth").write_text(f"{next(p for p in sys.path if p.endswith('site-packages'))}\n")
    install = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python"), "install", "-q"]
    install += ["--disable-pip-version-check", "--no-deps", "--ignore-installed", str(source)]
    done = subprocess.run(install, env={"PATH": "/usr/bin:/bin", "CC": "/bin/false"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(site.rglob("hark/**/*.so")) and (venv / "share/man/man1/hark.1").exists()
    subprocess.run(["chmod", "-R", "a+rX", str(venv)], check=True)
    run = world.run(f"{venv}/bin/hark", "curl", "-s", "http://192.0.2.10:8080/hello")
    assert run.status == 0 and run.out == b"hello\n" and "GET http://192.0.2.10:8080/hello 200" in run.err
    missing = "the preloaded agent was not compiled when hark was installed"
    assert run.err.splitlines()[0].startswith(f"hark: most OpenSSL programs are not decrypted: {missing}: sudo apt ")
    assert world.run(f"{venv}/bin/hark", "-q", "true").err == ""
    doctor = world.run(f"{venv}/bin/hark", "doctor")
    assert doctor.status == 0 and doctor.out.endswith(b"hark COMMAND works here.\n")
    assert (
        f"limited  preloaded agent (OpenSSL): most OpenSSL programs are not decrypted: {missing}\n         fix: sudo apt "
        in doctor.out.decode()
    )
    report = world.run(f"{venv}/bin/hark", "--version", "-v").out.decode()
    assert re.search(r"^agent for OpenSSL +missing$", report, re.M)
