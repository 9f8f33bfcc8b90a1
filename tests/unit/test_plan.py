"""The plan: which key sources a run uses; what is missing is said with its reason and remedy."""

from hark.keys.keylogfile import Named
from hark.plan import Facts, plan

ALL = Facts("/hark/libhark-keys.so", "/hark/hook.cjs", Named(""))


def test_what_the_program_hands_over_comes_first() -> None:
    made = plan(ALL)
    assert [source.name for source in made.keys] == ["agent", "private key log", "Node hook", "SSLKEYLOGFILE"]
    assert made.missing == ()


def test_every_no_has_its_reason_and_remedy() -> None:
    for facts, start in (
        (ALL._replace(agent=""), "most OpenSSL programs are not decrypted"),
        (ALL._replace(hook=""), "Node is not decrypted"),
    ):
        (missing,) = plan(facts).missing
        assert missing.effect == start and missing.why and missing.remedy


def test_what_could_not_be_made_is_said() -> None:
    said = [source.missing({}) for source in plan(ALL).keys]
    assert said == [
        "the preloaded agent could not be set up: OpenSSL programs are not decrypted",
        "no private file system here: GnuTLS programs and Node are not decrypted",
        "",
        "",
    ]
    unread = ALL._replace(keylog=Named("", None, "it is a pipe, whose reader has its bytes"))
    assert plan(unread).keys[-1].missing({}) == (
        "SSLKEYLOGFILE is not followed: it is a pipe, whose reader has its bytes; "
        "secrets that are written there alone are missed"
    )
