"""Reasons why a connection was not decrypted."""

import pytest

from hark.decode.undecrypted import REMEDIES, Cause, Undecrypted


@pytest.mark.parametrize("reason", Undecrypted)
@pytest.mark.parametrize("detail", ["", 23, "0xc0ff", " (bad record mac)"])
def test_a_clause_gives_its_reason_back(reason: Undecrypted, detail: object) -> None:
    assert Undecrypted.of(Cause(reason, detail).clause) is reason


@pytest.mark.parametrize("clause", ["", "something else", "23 bytes were not captured", "its handshake"])
def test_other_clauses_have_no_reason(clause: str) -> None:
    assert Undecrypted.of(clause) is None


def test_remedies_are_for_what_was_not_captured() -> None:
    assert set(REMEDIES) == {Undecrypted.NO_HANDSHAKE, Undecrypted.HANDSHAKE_CUT}
    assert Cause(Undecrypted.HANDSHAKE_CUT, 77).clause == "77 bytes of its handshake were not captured"
