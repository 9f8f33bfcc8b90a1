"""Caps of redaction: each with its unit, its reason, and what happens past it."""

KNOWN_MOST = (
    4096  # secrets that are looked for by value: bounds memory in a long run; the one seen longest ago is dropped
)
KNOWN_AT_ONCE = 1024  # secrets of one entry or message that are remembered: more are data; hidden by their names alone
ALIKE_MOST = 128  # forms that are entered under the same characters: bounds the time for a place; the oldest is dropped
KNOWN_BYTES = 16 << 10  # characters of such a secret: longer ones are hidden where their names stand alone
KNOWN_LEAST = 6  # characters: what is shorter stands in too many places that have nothing to do with it
KNOWN_WORD = 8  # characters of one that is letters or digits alone: shorter ones are words and counts
KNOWN_ALONE = 12  # characters: shorter ones are replaced only where they are not a part of a longer word
BASE64_LEAST = 10  # characters of a secret's inside in base64 that are enough to tell it
NESTED = 4  # levels of percent-encoding in a value that are looked into: each is read as a whole once more
NAMES_MOST = 8192  # names whose kind is remembered; then they are forgotten and judged anew
WINDOW = 4096  # characters between the name and the value of one object, as in {"name": "PIN", "value": "1"}
