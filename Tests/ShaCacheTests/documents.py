"""Prints documents for the JSON reader's test: base64, a space, and what Python's own reader says of them."""

import base64
import json
import random

RANDOM = random.Random(20180116)
WORDS = [
    "{}", "[]", "{", "}", "[", "]", ",", ":", "null", "true", "false", "nul", "True", "NaN", "Infinity", "-Infinity",
    "-NaN", "+1", "-", "0", "-0", "00", "01", "-01", "1", "12", "1.5", "1.", ".5", "1e5", "1E+5", "1e-5", "1e", "1e+",
    "0e0", "0.0", "1" * 4300, "1" * 4301, '""', '"a"', '"\\n"', '"\\u0041"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\x"',
    '"\\u00"', '"\\u00g0"', '"', "'a'", '"\n"', '"\t"', '"\x00"', '"\x7f"', '"é"', '"\u2028"', " ", "\t", "\n", "\r",
    "\x0b", "\x0c", "\u00a0", "\ufeff", "//", "/*", "\\", "a",
]


def value(depth):
    kind = RANDOM.randrange(8 if depth else 6)
    if kind == 6:
        return [value(depth - 1) for _ in range(RANDOM.randrange(4))]
    if kind == 7:
        return {RANDOM.choice("abcé"): value(depth - 1) for _ in range(RANDOM.randrange(4))}
    return [None, True, -12, 1.5e300, "a\"\\\u0000😀", float("nan")][kind]


def documents():
    for word in WORDS:
        yield word
    for _ in range(4000):
        yield "".join(RANDOM.choices(WORDS, k=RANDOM.randrange(1, 7)))
    for _ in range(3000):
        text = json.dumps(value(4), ensure_ascii=RANDOM.random() < 0.5, indent=RANDOM.choice([None, 1]))
        yield text
        # The same with one character lost, doubled or replaced.
        at = RANDOM.randrange(len(text))
        yield text[:at] + RANDOM.choice(["", text[at] * 2, RANDOM.choice(',:{}[]"\\0e-. \n')]) + text[at + 1:]


def verdict(text):
    try:
        json.loads(text)
    except ValueError:
        return "invalid"
    return "valid"


for text in documents():
    print(base64.b64encode(text.encode()).decode(), verdict(text))
