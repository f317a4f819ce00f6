#!/usr/bin/env bash
# Believed: a compiled software release that slapgrid installs from a binary cache today, it installs on a newer Python, too.
# So: on Python 3.14 it refuses every release with an absolute symbolic link, and leaves a part of it under the release's name.
#
# slapos.core 1.26.1 calls tarfile's extractall without a filter. Until Python 3.13 that restores whatever the archive says;
# from 3.14 on the default is the filter "data" (PEP 706), which refuses absolute links, also those into the release
# itself, links that lead out, and fifos. What came before the refused member is on the disk by then, and slapgrid takes a
# directory that exists for a build that was begun: its next run doesn't ask the cache again, and compiles, or, where
# the force list names the release, fails at each run. Setuid bits, and others' right to write, go without a word.
#
# Run on 2026-11-28 with slapos.core 1.26.1 (PyPI), Python 3.14.10 (Debian unstable, python3.14 3.14.10-1) and, to
# compare, the Python of the machine (3.11). Needs root (chroot), apt, pip, and dpkg-deb. Exits 1 when any of it changed.
set -euo pipefail
version=3.14.10-1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# A root with that Python alone, from the mirror that this machine's apt uses.
# shellcheck disable=SC2016  # what apt fills in
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/*$' | sed -n 1p)
mkdir -p apt/lists/partial apt/archives/partial apt/parts root/usr/{bin,lib,lib64} root/tmp debs
for name in bin lib lib64; do ln -s "usr/$name" "root/$name"; done
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >apt/sources
private=(-o "Dir::Etc::sourcelist=$work/apt/sources" -o "Dir::Etc::sourceparts=$work/apt/parts" -o "Dir::State::lists=$work/apt/lists"
    -o "Dir::Cache=$work/apt" -o APT::Sandbox::User=root)
apt-get -qq "${private[@]}" update
(cd debs && apt-get -qq "${private[@]}" download python3.14-minimal="$version" libpython3.14-minimal="$version" \
    libpython3.14-stdlib="$version" libc6 libexpat1 zlib1g libssl3t64 libbz2-1.0 liblzma5 libffi8 libzstd1)
for package in debs/*.deb; do dpkg-deb -x "$package" root; done

# What slapgrid does with an archive: the one call, and that it names no filter.
pip download -q --no-deps --dest sdist slapos.core==1.26.1
python3 - sdist/* <<'EOP'
import ast, sys, tarfile, zipfile
name = sys.argv[1]
if name.endswith(".whl"):
    archive = zipfile.ZipFile(name)
    source = archive.read("slapos/grid/SlapObject.py")
else:
    archive = tarfile.open(name)
    source = archive.extractfile(next(m for m in archive if m.name.endswith("/slapos/grid/SlapObject.py"))).read()
calls = [call for call in ast.walk(ast.parse(source)) if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "extractall"]
words = [sorted(word.arg for word in call.keywords) for call in calls]
print("slapos.core 1.26.1 calls extractall with", words)
sys.exit(words != [["path"]])
EOP

cat >root/tmp/releases.py <<'EOP'
import os, sys, tarfile, tempfile
KEY = "0123456789abcdef0123456789abcdef"
LINK, FIFO, DIRECTORY = tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE
RELEASES = {  # the one member that differs
    "relative link": dict(type=LINK, linkname="begin"),
    "absolute link into the release": dict(type=LINK, linkname=f"/opt/slapgrid/{KEY}/begin"),
    "absolute link to the system": dict(type=LINK, linkname="/usr/bin/env"),
    "link to a shared part": dict(type=LINK, linkname="../../shared/part"),
    "fifo": dict(type=FIFO),
    "setuid program": dict(mode=0o4755),
    "file that its group may write": dict(mode=0o664),
}
os.chdir(tempfile.mkdtemp())
os.umask(0o022)
print("Python", ".".join(map(str, sys.version_info[:2])))
for number, (name, what) in enumerate(RELEASES.items()):
    archive, root = f"{number}.tar.gz", f"root{number}"
    with tarfile.open(archive, "w:gz") as tar:
        for member, facts in ((KEY, dict(type=DIRECTORY, mode=0o755)), (f"{KEY}/begin", {}), (f"{KEY}/it", what)):
            info = tarfile.TarInfo(member)
            for fact, value in facts.items():
                setattr(info, fact, value)
            tar.addfile(info)
    os.mkdir(root)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(path=root)
        mode = os.lstat(f"{root}/{KEY}/it").st_mode
        said = "installed" + (f", mode {mode & 0o7777:o}" if "mode" in what else "")
    except tarfile.TarError as error:
        said = f"{type(error).__name__}, left behind: {', '.join(sorted(os.listdir(f'{root}/{KEY}')))}"
    print(f"  {name}: {said}")
EOP
python3 -W ignore root/tmp/releases.py | sed '1s/Python .*/the Python of this machine/' >seen
chroot root /usr/bin/python3.14 /tmp/releases.py >>seen
cat seen
diff - seen <<'EOF2'
the Python of this machine
  relative link: installed
  absolute link into the release: installed
  absolute link to the system: installed
  link to a shared part: installed
  fifo: installed
  setuid program: installed, mode 4755
  file that its group may write: installed, mode 664
Python 3.14
  relative link: installed
  absolute link into the release: AbsoluteLinkError, left behind: begin
  absolute link to the system: AbsoluteLinkError, left behind: begin
  link to a shared part: LinkOutsideDestinationError, left behind: begin
  fifo: SpecialFileError, left behind: begin
  setuid program: installed, mode 755
  file that its group may write: installed, mode 644
EOF2
echo "as it was on 2026-11-28"
