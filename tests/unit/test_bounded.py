"""A dict of limited size."""

import pytest

from hark.bounded import Bounded


def test_the_item_that_was_added_first_is_dropped() -> None:
    known: Bounded[str, int] = Bounded(2)
    known["a"], known["b"] = 1, 2
    assert dict(known) == {"a": 1, "b": 2}
    known["c"] = 3
    assert dict(known) == {"b": 2, "c": 3}
    with pytest.raises(KeyError):
        known["a"]


def test_a_new_value_for_a_known_key_drops_nothing_and_keeps_its_place() -> None:
    known: Bounded[str, int] = Bounded(2)
    known["a"], known["b"], known["a"] = 1, 2, 3
    assert list(known.items()) == [("a", 3), ("b", 2)]
    known["c"] = 4
    assert list(known) == ["b", "c"]


def test_a_renewed_item_is_dropped_last() -> None:
    known: Bounded[str, int] = Bounded(2)
    known["a"], known["b"] = 1, 2
    known.renew("a", 3)
    known.renew("c", 4)
    assert list(known.items()) == [("a", 3), ("c", 4)]


@pytest.mark.parametrize("remove", [lambda known: known.pop("a"), lambda known: known.__delitem__("a")])
def test_what_was_removed_makes_room(remove) -> None:
    known: Bounded[str, int] = Bounded(2)
    known["a"], known["b"] = 1, 2
    remove(known)
    known["c"] = 3
    assert list(known) == ["b", "c"]


def test_setdefault_drops_too() -> None:
    known: Bounded[str, list[int]] = Bounded(2)
    for name in "aba":
        known.setdefault(name, []).append(1)
    assert dict(known) == {"a": [1, 1], "b": [1]}
    known.setdefault("c", [])
    assert list(known) == ["b", "c"]


def test_thousands_of_items_leave_the_last_ones() -> None:
    known: Bounded[int, int] = Bounded(100)
    for number in range(10_007):
        known[number] = number
    assert list(known) == list(range(9_907, 10_007))
