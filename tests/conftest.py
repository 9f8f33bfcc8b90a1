"""Fixtures that every test file may use."""

import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
# Started in the background of a script, the suite would have its programs ignore ^C and ^\.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--bless: rewrite the golden recordings' expectations from what hark tells now."""
    parser.addoption("--bless", action="store_true", help="rewrite recordings/*.expected")


@pytest.fixture(scope="session")
def world():
    """The namespace with its servers, made when the first test asks for it."""
    from world import World

    made = World()
    yield made
    made.close()
