"""Builds the one compiled part of hark: the preloaded agent, a plain shared object (not a Python module)."""

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext


class BuildAgent(build_ext):
    """Compile the agent with the system's C compiler, under a name that no interpreter version marks."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []


class AnyPython(bdist_wheel):
    """The wheel fits every Python 3 of the platform: the agent links to libc only."""

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", platform


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
    cmdclass={"build_ext": BuildAgent, "bdist_wheel": AnyPython},
)
