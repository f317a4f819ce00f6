#!/usr/bin/env bash
# Believed: `rsync --delete-missing-args --files-from=LIST` deletes at the receiver what the list names and the sender lacks.
# So: it does as long as the sender has the directory in which the file would be. Where that is missing too, rsync says that it
# vanished, deletes nothing, and ends with 24, which also tells of harmless changes. So does it with `--no-implied-dirs`.
#
# Seen on 2026-11-30 with rsync 3.5.0+ds1-0+deb12u1, which is unpacked from Debian's archive. Needs apt-get, dpkg-deb and the
# libraries of rsync. Exits 1 when any of it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -q download rsync=3.5.0+ds1-0+deb12u1 >/dev/null 2>&1
dpkg-deb -x rsync_*.deb .
echo 3f/gone >names

# What a run with these options, or with the directory at the sender, leaves at the receiver.
try() {
    rm -rf source target
    mkdir -p source target/3f ${2:+"$2"}
    echo x >target/3f/gone
    code=0
    usr/bin/rsync --recursive --delete-missing-args --files-from=names ${3:+"$3"} source/ target/ 2>/dev/null || code=$?
    echo "$1: ends with $code, the file is $([ -e target/3f/gone ] && echo there || echo gone)"
}
{
    try "with the directory at the sender" source/3f ""
    try "without it" "" ""
    try "without it, and with --no-implied-dirs" "" --no-implied-dirs
} >seen
cat seen
diff - seen <<'EOP'
with the directory at the sender: ends with 0, the file is gone
without it: ends with 24, the file is there
without it, and with --no-implied-dirs: ends with 24, the file is there
EOP
