"""Filters on metadata: those of the deployed client, with Python's comparisons, on metadata of every kind."""

import json
import random
import subprocess

import pytest
from deployed import sign
from node import CLEAN, MISSING, MISUSE, SHACACHE, assert_ended
from slapos.libnetworkcache import NetworkcacheException, NetworkcacheFilter

# As they stand in metadata, so that numbers keep the form in which somebody wrote them. Not among them are floats from
# 2^53 on: beside an int PythonNumber.order rounds, and says so.
VALUES = [
    "0", "1", "-1", "1.0", "1.5", "-0.0", "1E2", "100", "1e400", "-Infinity", "Infinity", "NaN", "true", "false", "null",
    "12345678901234567890", "12345678901234567891", "9007199254740993", "4503599627370497.5", "4503599627370497", '""', '"a"', '"b"', '"A"', '"ab"', '"\\u00e9"',
    '"é"', '"\\ud83d\\ude00"', '"\\uffff"', '"1"', "[]", "[1]", "[1, 2]", "[1, 2.0]", "[2]", "[4, 2]", '["a"]', '["a", 1]', "[[1], 2]",
    "[null]", "[true]", "{}", '{"a": 1}', '{"a": 1.0}', '{"b": [1, {"c": null}]}', '["debian", "12", "bookworm"]']
OPERATORS = ["==", ">=", "<=", ">", "<", ">>", "<<"]


@pytest.fixture(scope="module")
def entries():
    """Each value several times, in no order, with one entry that lacks the name and one that has it twice."""
    values = VALUES + random.Random(7).sample(VALUES, 20)
    random.Random(8).shuffle(values)
    texts = [
        '{"sha512": "%0128x", "i": %d, "v": %s, "w": %d}' % (index, index, value, index % 3)
        for index, value in enumerate(values)]
    return texts + [
        '{"sha512": "%0128x", "i": 900}' % 900, '{"sha512": "%0128x", "i": 901, "v": 7, "v": 1, "w": 1}' % 901]


@pytest.fixture(scope="module")
def signed(stack, entries):
    return [[text, sign(stack, text)] for text in entries]


@pytest.fixture
def listed(deceived, impostor, signed):
    impostor.listings["a"] = signed
    return deceived


def ours(node, filters):
    """What is left, as networkcache-download -l prints it; None when nothing is."""
    done = subprocess.run(
        ["networkcache-download", "-c", node.config, "-k", "a", "-l", *filters], executable=SHACACHE, env=CLEAN,
        capture_output=True, text=True)
    assert done.returncode in (0, 1), done
    return done.stdout if done.returncode == 0 else None


def theirs(entries, filters):
    found = NetworkcacheFilter(list(filters))([json.loads(text) for text in entries])
    return json.dumps(found, indent=2, sort_keys=True) + "\n" if found else None


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_comparison_comes_out_as_pythons(listed, entries, operator):
    for value in VALUES:
        filters = [f"v{operator}{value}"]
        assert ours(listed, filters) == theirs(entries, filters), filters


@pytest.mark.parametrize("filters", [
    ["v>=0", "v<<Infinity"], ["v>>0", "w==1"], ["w==1", "v>>0"], ["w>=1", "w<<5", "i>>-1"], ["v<<[9]", "v==[]"],
    ["v==1", "i<<Infinity"], ["other==1"], ["v==0", "other==1"], [" v==1"], ["v ==1"], ["v== 1 "], ["==1"], ["w=>1"],
    ["v>= [1,\t2]"], ["v=<1"], ["v<=>1"], ["v>>>1"], ["v===1"]])
def test_filters_are_applied_one_after_the_other_and_parsed_alike(listed, entries, filters):
    try:
        wanted = theirs(entries, filters)
    except (NetworkcacheException, ValueError):
        wanted = None
        assert_ended(listed.run("download", "-k", "a", *filters), MISUSE)
    assert ours(listed, filters) == wanted


@pytest.mark.parametrize("filters", [["v==1"], ["v>>0"], ["v<<Infinity", "w==2"], ['v>"a"'], ["i>=10", "v>=[]"], ["v==NaN"]])
def test_a_download_takes_the_first_that_passes(listed, impostor, entries, filters):
    found = json.loads(theirs(entries, filters) or "[]")
    done = listed.run("download", "-k", "a", *filters, "-o", "out")
    # None of the blobs is there.
    assert_ended(done, MISSING)
    asked = [path.rpartition("/")[2] for _, path, _ in impostor.asked("GET", "/shacache/")]
    assert asked == [entry["sha512"] for entry in found]


def test_what_cannot_be_compared_is_left_out_with_a_warning(listed):
    done = listed.run("download", "-k", "a", 'v>="a"', "w==7")
    assert_ended(done, MISSING, "v: 100 can't be compared with \"a\"")


# isOfOtherKind: nothing else shows why nothing passes. null is what somebody left out.
def test_what_is_never_equal_is_a_warning_too(deceived, impostor, stack):
    text = json.dumps({"sha512": "0" * 128, "v": 42, "n": None, "t": True})
    impostor.listings["a"] = [[text, sign(stack, text)]]
    says = 'v: 42 can\'t be compared with "42"'
    assert_ended(deceived.run("download", "-k", "a", 'v=="42"'), MISSING, says)
    for filter in "v==43", 'n=="42"', "t==43", "v==null":
        done = assert_ended(deceived.run("download", "-k", "a", filter), MISSING, "none of 1 trusted entry passes")
        assert b"warning" not in done.stderr, filter


@pytest.mark.parametrize("value", ["x", '"x', 'x"', '"x"y', "é"])
def test_the_hint_of_a_text_without_quotes_is_a_filter(listed, value):
    done = assert_ended(listed.run("download", "-k", "a", f"w>>{value}"), MISUSE)
    hint = done.stderr.decode().partition("double quotes: '")[2].rstrip("\n").removesuffix("'")
    assert hint == f'w>>"{value.replace(chr(34), "")}"'
    assert_ended(listed.run("download", "-k", "a", hint), MISSING)
