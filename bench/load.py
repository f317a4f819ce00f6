"""Bursts of load: downloads by wrk, uploads by load.c, each with what it cost."""

import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cost import Reading

BUILD = Path(__file__).resolve().parent.parent / ".build/bench"
# A burst is made again when others took more than this share of a core, so often at most.
NOISE, REPEATS = 0.25, 2
UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1}


@dataclass
class Burst:
    """`rate` is requests, files or bytes a second; `cpu` microseconds of each group for one request; `latency` seconds, in
    which 99 of 100 were answered, or the only one began to be."""

    rate: float
    cpu: dict
    noise: float  # cores that others took
    latency: float


def quiet(roots, measure, prepare=lambda: None):
    """`measure` returns requests, what counts of them, seconds, and the latency. The burst that others disturbed least; each
    time, `prepare` comes before it."""
    bursts = []
    while True:
        prepare()
        before, begun = Reading.take(roots), time.monotonic()
        requests, amount, seconds, latency = measure()
        spent, elapsed = Reading.take(roots).since(before), time.monotonic() - begun
        cpu = {group: taken / requests * 1e6 for group, taken in spent.servers.items()}
        bursts.append(Burst(amount / seconds, cpu, max(spent.others, 0) / elapsed, latency))
        if bursts[-1].noise <= NOISE or len(bursts) > REPEATS:
            return min(bursts, key=lambda burst: burst.noise)


def download(roots, url, seconds, connections=32, script=None, of_bytes=False):
    def measure():
        options = ["--script", script] if script else []
        output = subprocess.run(
            ["wrk", "--threads", "2", "--connections", str(connections), "--duration", f"{max(1, round(seconds))}s",
             "--timeout", "30s", "--latency", *options, url], capture_output=True, text=True, check=True).stdout
        assert "Non-2xx" not in output and "Socket errors" not in output, output
        requests, took, read, unit = re.search(r"(\d+) requests in ([\d.]+)s, ([\d.]+)(\w+) read", output).groups()
        value, unit_of_time = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()
        amount = float(read) * UNITS[unit] if of_bytes else int(requests)
        return max(int(requests), 1), amount, float(took), float(value) * SECONDS[unit_of_time]
    return quiet(roots, measure)


def get(roots, target, connections, file, prepare, of_bytes=False):
    """Downloads the paths in the lines of a file, each once."""
    def measure():
        answered, took, latency, size = run_load("get", connections, target.plain_port, file)
        return int(answered), int(size if of_bytes else answered), took, latency
    return quiet(roots, measure, prepare)


def run_load(*words):
    done = subprocess.run(list(map(str, [BUILD / "load", *words])), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench: {done.stderr}")
    return list(map(float, done.stdout.split()))


def upload(roots, target, seconds, connections, method, path, size=0, bodies="-"):
    """Over TLS with the certificate of `target`; `size` bytes that are made up, or the lines of a file in turn."""
    def measure():
        words = [connections, seconds, target.tls_port, method, path, size, bodies, *target.certificate]
        answered, took, latency, _ = run_load(*words)
        return int(answered), int(answered), took, latency
    return quiet(roots, measure)


def run(roots, command, plant):
    """A client that sends the files that `plant` makes: other ones each time, or a second burst would find them there."""
    def measure():
        files = plant()
        begun = time.monotonic()
        done = subprocess.run(list(map(str, [*command, *files])), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"bench: {Path(command[0]).name}: {done.stderr[-500:]}")
        took = time.monotonic() - begun
        return len(files), len(files), took, took
    return quiet(roots, measure)


def compile_load(name="load"):
    BUILD.mkdir(parents=True, exist_ok=True)
    source, program = Path(__file__).with_name(f"{name}.c"), BUILD / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-format-truncation"]
        subprocess.run(
            ["cc", "-O2", *warnings, "-o", program, source, "-lssl", "-lcrypto", "-lpthread"], check=True)


def sign_entries(key, digests, count, file):
    """Bodies of as many entries, each with its own bytes, for blobs of these digests in turn; signed by all cores."""
    texts = [
        json.dumps({"sha512": digests[number % len(digests)], "file": f"bench-{number}.tar.gz", "url":
                    f"https://example.org/{os.urandom(20).hex()}/bench-{number}.tar.gz", "multiarch": "x86_64-linux-gnu"})
        for number in range(count)]
    parts = [texts[first:: os.cpu_count()] for first in range(os.cpu_count())]
    signers = [
        subprocess.Popen([BUILD / "load", "sign", key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in parts]
    with open(file, "w") as bodies, ThreadPoolExecutor() as pool:
        answers = pool.map(lambda signer, part: signer.communicate("\n".join(part) + "\n")[0].split(), signers, parts)
        for part, signatures in zip(parts, answers):
            bodies.writelines(json.dumps(pair) + "\n" for pair in zip(part, signatures, strict=True))
