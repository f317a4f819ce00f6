"""`shacache-admin setup` where it must not set up anything; test_packages has a machine of its own for that."""

import json
import subprocess

import pytest
from administration import ADMIN


def setup(*words):
    return subprocess.run([ADMIN, "setup", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("words, reason", [
    (["--url", "http://cache.example.org:8080"], "the ports are 80 and 443"),
    (["--url", "cache.example.org/path"], "takes a host name"),
    (["--certificate", "server.crt"], "--certificate goes with --key"),
    (["--authority", "ca.crt"], "--authority goes with --certificate"),
    (["--workers", "0"], "--workers takes 1 to 64"),
    (["--check", "--url", "cache.example.org"], "--check goes alone"),
])
def test_what_cannot_be_meant_is_wrong_usage(words, reason, tmp_path):
    done = setup(*words, "--config", tmp_path / "shacache.toml")
    assert done.returncode == 64 and reason in done.stderr


@pytest.mark.parametrize("words, reason", [
    (["--check"], "there is no {config}"),
    ([], "--url: is needed"),
    (["--url", "cache.example.org", "--certificate", "/none.crt", "--key", "/none.key"], "/none.crt: no such file"),
])
def test_what_is_lacking_is_said_and_nothing_is_made(words, reason, tmp_path):
    config = tmp_path / "shacache.toml"
    done = setup(*words, "--config", config)
    assert done.returncode == 1 and reason.format(config=config) in done.stderr
    assert len(done.stderr.splitlines()) <= 2 and list(tmp_path.iterdir()) == []


def test_a_check_goes_on_behind_what_is_wrong_and_says_what_to_do(stack):
    done = setup("--check", "--json", "--config", stack.state / "shacache.toml")
    rows = {row["step"]: row for row in json.loads(done.stdout)}
    # The ways of `make run` are not those of a server.
    assert done.returncode == 1
    assert {step for step, row in rows.items() if row["state"] == "ok"} >= {"configuration", "room", "schema", "authority"}
    assert rows["nginx"]["state"] == "wrong" and "shacache-setup" in rows["nginx"]["detail"]
    assert "\n" not in "".join(row["detail"] for row in rows.values())
