#!/usr/bin/env bash
# Believed: `OFFSET 0` on a subquery is nothing but a fence, behind which PostgreSQL plans the subquery by itself; how it runs
# that is its own choice as ever. So the usual advice.
# So: a subquery with `OFFSET 0` is never given to parallel workers, nor is what is above it. `OFFSET '0'`, which means the same
# and is a fence as well, is. The parser wraps the integer in a conversion to bigint, and a subquery whose OFFSET isn't a plain
# constant then counts as one that has a limit, whose rows each worker would choose anew; the string is a bigint at once.
#
# Seen on 2026-11-30 with postgresql-15 15.20-0+deb12u1, which is unpacked from Debian's archive. Needs apt-get, dpkg-deb,
# setpriv when run by root, and the libraries of PostgreSQL. Exits 1 when any of it changed.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }; rm -rf "$work"' EXIT
cd "$work"
apt-get -q download postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 >/dev/null 2>&1
for package in *.deb; do dpkg-deb -x "$package" .; done
chmod 755 .
user=()
if [ "$(id -u)" = 0 ]; then
    chown nobody .
    user=(setpriv --reuid=nobody --clear-groups)
fi
bin=$work/usr/lib/postgresql/15/bin
"${user[@]}" "$bin/initdb" --auth=trust --username=postgres --no-sync -D "$work/data" >/dev/null
"${user[@]}" "$bin/postgres" -D "$work/data" -h '' -k "$work" >log 2>&1 &
server=$!
for _ in $(seq 100); do [ -S .s.PGSQL.5432 ] && "$bin/pg_isready" -q -h "$work" && break; sleep 0.1; done

ask() { "$bin/psql" -XqAt -h "$work" -U postgres "$@"; }
ask -c "CREATE TABLE number AS SELECT n, n % 7 AS rest FROM generate_series(1, 1000000) AS n; ANALYZE number" >/dev/null
try() {
    ask -c "EXPLAIN (COSTS OFF) SELECT count(*) FROM (SELECT n, rest FROM number WHERE rest = 3 $1) AS kept WHERE n > 10" >plan
    echo "${1:-without}: $(grep -q Parallel plan && echo parallel || echo not parallel), $(
        grep -q 'Subquery Scan' plan && echo a fence || echo no fence)"
}
{ try ""; try "OFFSET 0"; try "OFFSET '0'"; try "OFFSET 0::bigint"; } >seen
cat seen
diff - seen <<'EOP'
without: parallel, no fence
OFFSET 0: not parallel, a fence
OFFSET '0': parallel, a fence
OFFSET 0::bigint: not parallel, a fence
EOP
