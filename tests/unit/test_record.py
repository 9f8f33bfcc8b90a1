"""Record is as typing.NamedTuple, as far as hark uses that."""

from typing import Any, NamedTuple

import pytest

from hark.record import Record


class Light(Record):
    """One."""

    name: str
    size: int
    note: str = "none"

    def twice(self) -> int:
        """A method."""
        return 2 * self.size


class Full(NamedTuple):
    """The other."""

    name: str
    size: int
    note: str = "none"


@pytest.mark.parametrize("values, named", [(("a", 1), {}), (("a", 1, "b"), {}), ((), {"size": 1, "name": "a"})])
def test_it_is_made_alike(values: Any, named: Any) -> None:
    light, full = Light(*values, **named), Full(*values, **named)
    assert light == full == tuple(light) and hash(light) == hash(full)
    assert repr(light) == repr(full).replace("Full", "Light")
    assert (light.name, light.size, light.note) == full and Light._fields == Full._fields
    assert light._replace(size=7) == full._replace(size=7) and type(light._replace(size=7)) is Light
    assert light.twice() == 2


@pytest.mark.parametrize(
    "values, named",
    [((), {}), (("a",), {}), (("a", 1, "b", 2), {}), (("a", 1), {"other": 2}), (("a",), {"name": "b", "size": 1})],
)
def test_what_one_refuses_the_other_refuses(values: Any, named: Any) -> None:
    for kind in (Light, Full):
        with pytest.raises(TypeError):
            kind(*values, **named)


def test_it_stays_as_it_is() -> None:
    light: Any = Light("a", 1)
    with pytest.raises(AttributeError):
        light.size = 2
    with pytest.raises((TypeError, ValueError)):
        light._replace(other=1)
