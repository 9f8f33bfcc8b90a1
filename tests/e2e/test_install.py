"""What `python -m build` makes installs and works in a clean environment."""

import pathlib
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
