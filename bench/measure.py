"""Load by wrk, and what it cost the servers."""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass

CONNECTIONS = 32

# Every body is another one: its first bytes are a number.
UPLOAD = """
local random = math.random(1e12)
local padding = string.rep("x", {size} - 32)
local count = 0
function setup(thread) thread:set("id", tostring(random) .. tostring(thread)) end
function request()
    count = count + 1
    local number = string.sub(string.format("%-32s", id .. count), -32)
    return wrk.format("{method}", "{path}" .. ({named} and (id:gsub("%W", "") .. count) or ""), nil, number .. padding)
end
"""


@dataclass
class Result:
    rate: float  # requests a second
    cpu: float  # microseconds of the servers' CPU for one request


def get(server, path, seconds):
    return _wrk(server, path, seconds)


def post(server, size, seconds):
    return _upload(server, "POST", "/shacache", size, seconds, named=False)


def put(server, size, seconds):
    return _upload(server, "PUT", "/", size, seconds, named=True)


def _upload(server, method, path, size, seconds, named):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(UPLOAD.format(size=size, method=method, path=path, named=str(named).lower()))
        script.flush()
        return _wrk(server, path, seconds, "--script", script.name)


def _wrk(server, path, seconds, *options):
    before = _cpu_seconds(server.pids)
    output = subprocess.run(
        ["wrk", "--threads", "2", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", *options,
         f"http://127.0.0.1:{server.port}{path}"],
        capture_output=True, text=True, check=True).stdout
    spent = _cpu_seconds(server.pids) - before
    assert "Non-2xx" not in output and "Socket errors" not in output, output
    requests = int(re.search(r"(\d+) requests in", output)[1])
    return Result(float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]), spent / requests * 1e6)


def _cpu_seconds(pids):
    """Of the processes and of all that descend from them; those that have ended count with their parents."""
    parents, times = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{name}/stat").read().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        parents[int(name)] = int(fields[1])
        times[int(name)] = sum(map(int, fields[11:15]))
    total = 0
    for pid, ticks in times.items():
        ancestor = pid
        while ancestor not in pids and ancestor in parents:
            ancestor = parents[ancestor]
        if ancestor in pids:
            total += ticks
    return total / os.sysconf("SC_CLK_TCK")
