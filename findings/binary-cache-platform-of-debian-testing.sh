#!/usr/bin/env bash
# Believed: what a compiled software release of SlapOS's binary cache fits is a fact of the machine's distribution.
# So: on Debian testing and unstable it depends on the release of Python's package distro beside slapgrid.
#
# Their os-release has no VERSION_ID. distro up to 1.7 then says that there is no version; from 1.8 on it takes it from
# /etc/debian_version. slapgrid drops the code name for Debian before it compares. So with distro up to 1.7 a release that
# was compiled on any testing, or on unstable, fits every other testing, however many years and C libraries later; with
# 1.8 and later it fits the same testing alone; and an upgrade of distro makes a node miss all that it had found before,
# and a builder publish what the other nodes no longer find, until all have upgraded.
#
# Run on 2026-11-28 with slapos.core 1.26.1 and distro 1.6.0, 1.7.0, 1.8.0, 1.9.0 from PyPI. Needs python3 with venv. Exits 1
# when any of it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for release in trixie forky; do
    mkdir -p $release/etc
    printf 'PRETTY_NAME="Debian GNU/Linux %s/sid"\nNAME="Debian GNU/Linux"\nVERSION_CODENAME=%s\nID=debian\n' \
        $release $release >$release/etc/os-release
    echo $release/sid >$release/etc/debian_version
done
cat >platforms.py <<'EOP'
import sys, distro
from slapos.grid.distribution import os_matches
said = []
for root in "trixie", "forky":
    here = distro.LinuxDistribution(root_dir=root, include_lsb=False, include_uname=False)
    said.append((here.id(), here.version(), here.codename()))
print(f"distro {sys.argv[1]}: on testing of 2025 {said[0]}; its releases on testing of 2027:",
      "installed" if os_matches(*said) else "not found")
EOP
for version in 1.6.0 1.7.0 1.8.0 1.9.0; do
    python3 -m venv venv-$version
    venv-$version/bin/pip -q install --no-deps slapos.core==1.26.1 distro==$version
    venv-$version/bin/python platforms.py $version >>seen
done
cat seen
diff - seen <<'EOP'
distro 1.6.0: on testing of 2025 ('debian', '', 'trixie'); its releases on testing of 2027: installed
distro 1.7.0: on testing of 2025 ('debian', '', 'trixie'); its releases on testing of 2027: installed
distro 1.8.0: on testing of 2025 ('debian', 'trixie/sid', 'trixie'); its releases on testing of 2027: not found
distro 1.9.0: on testing of 2025 ('debian', 'trixie/sid', 'trixie'); its releases on testing of 2027: not found
EOP
echo "as it was on 2026-11-28"
