"""What measures speed must keep up with what it measures."""

import subprocess

import pytest

from stack import REPOSITORY


@pytest.mark.slow
def test_every_row_of_the_benchmark_that_needs_no_peer_is_measured():
    words = ["--alone", "--rounds", "1", "--seconds", "0.2", "--files", "20", "--disk", "/var/tmp"]
    done = subprocess.run(["/usr/bin/python3", REPOSITORY / "bench/run", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    # A request costs nginx something in every row.
    costs = [float(line.split()[4].rstrip("%")) for line in done.stdout.splitlines() if line.startswith("  today")]
    assert len(costs) == 8 and all(cost > 0 for cost in costs), done.stdout


@pytest.mark.slow
def test_the_growth_of_cost_is_measured():
    words = ["--rows", "300", "--files", "200", "--rounds", "1", "--seconds", "0.2"]
    done = subprocess.run(["/usr/bin/python3", REPOSITORY / "bench/growth", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(" rows  ") == 6 and done.stdout.count("start of a worker") == 2, done.stdout
    assert done.stdout.count("survey: ") == 2


@pytest.mark.slow
def test_every_row_of_the_benchmark_of_a_near_cache_is_measured():
    words = ["--rounds", "1", "--seconds", "1", "--bytes", str(64 << 20), "--files", "50", "--clients", "5"]
    done = subprocess.run(["/usr/bin/python3", REPOSITORY / "bench/near", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("  memory: ") == 9 and done.stdout.count("  near  ") == 8, done.stdout
    assert "  near: at most 1 requests to the far cache" in done.stdout
