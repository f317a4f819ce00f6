#!/usr/bin/env bash
# Believed: what wait4() says of a child (ru_maxrss; Python's os.wait4, RUSAGE_CHILDREN) is the most memory that its program
# used. Benchmarks and test runners report it as that.
# So: it is the most that the process used, from its fork on. Until execve() it has its parent's pages, and these count even
# where it shares them for a moment (vfork, posix_spawn). A harness of 300 MB finds 300 MB in /bin/true. GNU time forks while it
# is small itself, so that through it the figure is right; so is VmHWM in /proc/PID/status, which begins with the program. (The
# kernel takes the old memory's peak over in exec_mmap().)
#
# Seen on 2026-11-30 with Linux 6.18, time 1.9-0.2 from Debian's archive and python3 3.11. Needs apt-get, dpkg-deb and python3. Exits
# 1 when any of it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -q download time=1.9-0.2 >/dev/null 2>&1
dpkg-deb -x time_*.deb .
cat >harness.py <<'EOP'
import os, subprocess, sys

SIZE = int(sys.argv[1]) << 20
ballast = b"x" * SIZE


def of_wait4(words, **how):
    child = subprocess.Popen(words, **how)
    return os.wait4(child.pid, 0)[2].ru_maxrss << 10


def said(size):
    return "the harness's memory" if size >= SIZE > 0 else "a few MB" if size < 16 << 20 else f"{size >> 20} MB"


print("wait4 of true:", said(of_wait4(["true"])))
print("wait4 of true, forked with a function to call first:", said(of_wait4(["true"], preexec_fn=lambda: None)))
through = subprocess.run(["usr/bin/time", "-f", "%M", "true"], capture_output=True, text=True)
print("GNU time of true:", said(int(through.stderr) << 10))
status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
(peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
print("VmHWM of cat:", said(int(peak) << 10))
EOP
for size in 0 300; do echo "a harness with $size MB more:"; python3 harness.py $size; done >seen
cat seen
diff - seen <<'EOP'
a harness with 0 MB more:
wait4 of true: a few MB
wait4 of true, forked with a function to call first: a few MB
GNU time of true: a few MB
VmHWM of cat: a few MB
a harness with 300 MB more:
wait4 of true: the harness's memory
wait4 of true, forked with a function to call first: the harness's memory
GNU time of true: a few MB
VmHWM of cat: a few MB
EOP
