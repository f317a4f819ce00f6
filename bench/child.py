"""A program that is timed."""

import re
import subprocess
import time
from pathlib import Path


def timed(words, **how):
    """Seconds, and the most memory in MB, as its own status has it: the maximum that wait4(2) returns begins with what this
    process, from which it was forked, had then."""
    begun = time.monotonic()
    process = subprocess.Popen(list(map(str, words)), **how)
    most = 0
    while process.poll() is None:
        # Empty from its end on, until it is waited for.
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text()):
            most = int(found[1])
        time.sleep(0.005)
    assert process.returncode == 0, words
    return time.monotonic() - begun, most / 1024
