"""Prints pairs of JSON values for the order's test, and what Python says of them: each line is JSON, a list of the two
texts, `json.dumps` of both read, and the results of == and <, of which the second is null where Python raises."""

import json
import random

RANDOM = random.Random(20261122)
SCALARS = [
    "null", "true", "false", "0", "-0", "1", "1.0", "-1", "2", "10", "9", "1e1", "1E+2", "1e-7", "1.5", "-1.5", "0.1",
    "1e16", "123456789012345680.0", "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "9007199254740993", "1" * 40,
    "-" + "1" * 40, '""', '"a"', '"b"', '"aa"', '"A"', '"é"', '"e\\u0301"', '"\\ud83d\\ude00"', '"\\uffff"', '"\\ud800"',
    '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f"', "[]", "{}",
]


def text(depth):
    if depth == 0 or RANDOM.random() < 0.5:
        return RANDOM.choice(SCALARS)
    if RANDOM.random() < 0.7:
        return "[" + ", ".join(text(depth - 1) for _ in range(RANDOM.randrange(4))) + "]"
    return "{" + ", ".join(f'"{RANDOM.choice("abc")}": {text(depth - 1)}' for _ in range(RANDOM.randrange(4))) + "}"


def order(one, other):
    try:
        return one < other
    except TypeError:
        return None


def pairs():
    yield from ((one, other) for one in SCALARS for other in SCALARS)
    for _ in range(3000):
        one = text(3)
        yield one, RANDOM.choice([one, text(3)])


for one, other in pairs():
    read = [json.loads(one), json.loads(other)]
    written = [json.dumps(value) for value in read] + [json.dumps(read[0], indent=2, sort_keys=True)]
    print(json.dumps([[one, other], written, read[0] == read[1], order(*read)]))
