"""Builds the one compiled part of hark: the preloaded agent, a plain shared object (not a Python module)."""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError, PlatformError

from distutils.command.install_data import install_data  # isort: skip  (setuptools brings it, once it is imported)


class BuildAgent(build_ext):
    """Compile the agent with the system's C compiler, under a name that no interpreter version marks. Without a
    compiler hark is installed without its agent, and says so when it runs."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except (CompileError, LinkError, PlatformError) as error:
            print(f"hark is built without its agent for OpenSSL, which needs a C compiler: {error}", file=sys.stderr)

    def copy_extensions_to_source(self) -> None:
        if all(os.path.exists(self.get_ext_fullpath(ext.name)) for ext in self.extensions):
            super().copy_extensions_to_source()

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []


class AnyPython(bdist_wheel):
    """The wheel fits every Python 3 of the platform: the agent links to libc only."""

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", platform


class ManPage(install_data):
    """Write the man page, which is made of hark's table of options, to where it is installed from."""

    def run(self) -> None:
        sys.path.insert(0, "src")
        from hark.usage.manual import page

        made = Path(self.get_finalized_command("build").build_base) / "hark.1"
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(page())
        self.data_files = [("share/man/man1", [str(made)])]
        super().run()


if not sys.platform.startswith("linux"):
    sys.exit("hark needs Linux: it stands on namespaces and TUN devices.")

setup(
    ext_modules=[
        Extension(
            "hark.agents.preload.libhark-keys",
            sources=["src/hark/agents/preload/agent.c", "src/hark/agents/preload/host.c"],
            depends=["src/hark/agents/preload/agent.h"],
            extra_compile_args=[
                "-O2",
                "-g0",
                "-std=gnu11",
                "-fvisibility=hidden",
                "-Wall",
                "-Wextra",
                "-fno-stack-protector",
            ],
            extra_link_args=["-Wl,-z,now", "-Wl,-z,relro", "-Wl,--build-id=none", "-s"],
        )
    ],
    data_files=[("share/man/man1", [])],
    cmdclass={"build_ext": BuildAgent, "bdist_wheel": AnyPython, "install_data": ManPage},
)
