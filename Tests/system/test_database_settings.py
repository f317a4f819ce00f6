"""A database whose defaults are others than PostgreSQL's own: everything works on it, and says the same."""

import json
import re
import subprocess

import pytest
from deployed import new_key
from stack import REPOSITORY, Database, Stack
from test_page import entry, page

SETTINGS = {
    "search_path": "elsewhere", "DateStyle": "'German, DMY'", "IntervalStyle": "sql_standard",
    "TimeZone": "'Asia/Kathmandu'", "bytea_output": "escape", "extra_float_digits": "-15",
    "standard_conforming_strings": "off", "array_nulls": "off", "transform_null_equals": "on", "row_security": "off",
    "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on", "lock_timeout": "'3ms'", "statement_timeout": "'50ms'",
    "idle_session_timeout": "'3s'", "synchronous_commit": "off", "client_encoding": "LATIN1",
}
# What a role has in one database goes before what it has in all. Of the others, roles.sql sets some.
OF_WORKERS = ["default_transaction_isolation", "default_transaction_read_only", "synchronous_commit", "lock_timeout"]


def be_hostile(database, name):
    database.run("".join(f"ALTER DATABASE {name} SET {setting} = {value};" for setting, value in SETTINGS.items())
                 + "".join(f"ALTER ROLE shacache_worker IN DATABASE {name} SET {setting} = {SETTINGS[setting]};"
                           for setting in OF_WORKERS)
                 # From now on, other than this one.
                 + f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                 " AND usename LIKE 'shacache%'", role="postgres")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("settings"), WORKERS="1", ANONYMOUS="1") as stack:
        stack.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "operator")
        entry(stack, new_key(), {"os": ["debian", "12", "é"], "multiarch": "x86", "software_url": "https://example.org/é"})
        yield stack


def everything(stack):
    """All that reports say, in each format, and the operators' pages; with a 0 for each number."""
    said = {}
    for name in [row["report"] for row in json.loads(stack.admin("report", "--json").stdout)]:
        for form in ("csv", "json", "table"):
            said[name, form] = stack.admin("report", name, "--format", form).stdout
        said[name, "page"] = page(stack, "/-/page/report/" + name.replace("-", "_"), stack.tls())
    return {place: re.sub(r"\d+", "0", text) for place, text in said.items()}


def test_the_schema_comes_into_a_database_with_other_settings(cache, tmp_path):
    database = Database(cache)
    database.run("CREATE DATABASE hostile OWNER shacache_owner", role="postgres")
    be_hostile(database, "hostile")
    configuration = cache.state / "hostile.toml"
    configuration.write_text((cache.state / "shacache.toml").read_text().replace("dbname=shacache", "dbname=hostile"))
    for words in (["migrate", "--directory", REPOSITORY / "sql"], ["report", "growth", "--json"]):
        done = subprocess.run(
            [REPOSITORY / ".build/release/shacache-admin", *words, "--config", configuration],
            capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# The last, since its settings stay. ConnectionOptions.swift: without `target.settings`, nothing of this works.
def test_on_a_database_with_other_settings_everything_works_and_says_the_same(cache):
    database = Database(cache)
    cache.admin("survey")
    before = everything(cache)
    # The tests' own sessions go on as they are.
    database.run("".join(f"ALTER ROLE shacache_owner IN DATABASE shacache SET {setting};" for setting in
                         ("standard_conforming_strings = on", "statement_timeout = 0", "lock_timeout = 0")), role="postgres")
    be_hostile(database, "shacache")
    # A PUT, a POST and a GET, on the record; downloads that are counted; and what timers do.
    key = new_key()
    number = entry(cache, key, {"os": ["debian", "12", "é"], "multiarch": "x86", "software_url": "https://example.org/é"})
    assert cache.request("GET", f"/shadir/{key}")[0] == 200
    assert key in page(cache, f"/-/page/entry/{number}") and key in page(cache, f"/?q={key}")
    cache.ingest_log()
    cache.admin("maintain")
    cache.admin("survey")
    cache.admin("status")
    shown = everything(cache)
    assert shown.keys() == before.keys()
    # Of the days, accounts and kinds of before, there are no more rows; the others have grown.
    for name in ("uploads", "growth", "accounts", "signers", "usage", "platforms"):
        assert re.sub(r" +|-+", " ", shown[name, "csv"]) == re.sub(r" +|-+", " ", before[name, "csv"])
        assert shown[name, "json"] == before[name, "json"]
    rows = json.loads(cache.admin("report", "upload", "--json").stdout)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", row["at"]) for row in rows)
    lines = cache.admin("report", "upload", "--format", "csv").stdout.splitlines()
    assert all(re.match(r"\d+,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00,", line) for line in lines[1:])
