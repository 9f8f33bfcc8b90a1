"""The same small program runs untapped and under hark, and must not be able to tell."""

import importlib
import pathlib
import pkgutil

import pytest

import faithful
from faithful import Case
from world import World

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
CASES = [
    (module.name, case)
    for module in pkgutil.iter_modules(faithful.__path__)
    for case in importlib.import_module(f"faithful.{module.name}").CASES
]


@pytest.fixture(scope="module")
def worlds(world):
    """Worlds by (network script, resolver), each made when a case first asks for it."""
    made = {("", ""): world}

    def get(case: Case) -> World:
        key = (case.network, case.resolver)
        if key not in made:
            made[key] = World(case.network, case.resolver)
        return made[key]

    yield get
    for other in made.values():
        if other is not world:
            other.close()


def _params() -> list:
    """Each case; a known limit is a strict expected failure that names its line in the README."""
    params = []
    for kind, case in CASES:
        marks = [pytest.mark.xfail(reason=f"Limits: {case.limit}", strict=True)] if case.limit else []
        marks += [pytest.mark.soak] if case.soak else []
        params.append(pytest.param(case, id=f"{kind}-{case.name}", marks=marks))
    return params


@pytest.mark.parametrize("case", _params())
def test_the_program_cannot_tell(worlds, case: Case) -> None:
    world = worlds(case)
    with case.around(world) as more:
        env = case.environment | (more or {})
        bare = world.run(*case.command, timeout=case.timeout, **env)
    with case.around(world) as more:
        env = case.environment | (more or {})
        heard = world.run("hark", "-q", *case.command, timeout=case.timeout, **env)
    assert case.expect is None or bare.out == case.expect, (bare.out, bare.err)
    assert (heard.status, heard.out, heard.err) == (bare.status, bare.out, bare.err)


@pytest.mark.parametrize("case", [case for _, case in CASES if case.limit], ids=lambda case: case.name)
def test_each_limit_stands_in_the_readme(case: Case) -> None:
    limits = README[README.index("## Limits") : README.index("## Working on it")]
    assert f"- {case.limit}" in limits
