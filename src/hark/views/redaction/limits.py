"""Limits of redaction: each with its unit, its reason, and what happens beyond it."""

KNOWN_MOST = 4096  # secrets that are searched for by value: limits memory; the one seen longest ago is dropped
KNOWN_AT_ONCE = (
    1024  # secrets of an entry or message that are remembered; more are data, and hidden by their names alone
)
ALIKE_MOST = 128  # forms with the same characters in the index: limits the time per character; the oldest is dropped
KNOWN_BYTES = 16 << 10  # characters of a secret that is searched for by value; longer ones: by their names alone
KNOWN_LEAST = 6  # characters: shorter values occur by chance
KNOWN_WORD = 8  # characters of a value of letters or digits alone: shorter ones are words and counts
KNOWN_ALONE = 12  # characters: shorter values are replaced only as words of their own
BASE64_LEAST = 10  # characters of base64 that identify a secret inside of it
NESTED = 4  # levels of percent-encoding in a value that are decoded: each is searched once more
NAMES_MOST = 8192  # names whose kind is remembered; then all are forgotten
WINDOW = 4096  # characters between the name and the value of one object, as in {"name": "PIN", "value": "1"}
