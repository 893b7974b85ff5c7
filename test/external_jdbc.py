#!/usr/bin/python3
"""external_jdbc.py - the tests of pgjdbc, PostgreSQL's Java driver, directly and through the proxy.

Its published source package has them.  Maven fetches that and what they need from the registry that
it is set up for, and builds it all in a folder of its own, once; from then on no network is needed.
Runs, clusters and what counts as a failure are those of external.py: `direct` goes first and is the
measure.  A test that is skipped directly (for want of a second server, of SSL, of GSS) is skipped
through the proxy, too.

    external_jdbc.py [--dir FOLDER] [--runs NAME,...] [--tests PATTERN] [--pgpool BINARY]

PATTERN is Surefire's, e.g. 'CursorFetch*Test'.  Exit status 0 when no run of this project failed a
test but those of EXPECTED.  Reports are kept in FOLDER/results.
"""

import argparse
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree

import bench
import external
import pg
from external import execute, say

VERSION = "42.7.7"
SHA256 = "216e8ff44559bf1094f671c43d71f65863bff381fa8e0ec6934da5d59f5a112e"
PACKAGE = f"org.postgresql:postgresql:{VERSION}:tar.gz:jdbc-src"
GET = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
EXPECTED = {}       # run -> {test: why it fails}


def maven(tree, *goals, check=True):
    command = ["mvn", "-q", "-B", *goals]
    if check:
        return execute(command, cwd=tree)
    return subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace").stdout


def build(folder):
    """The source tree, compiled; made on the first call."""
    tree = os.path.join(folder, f"postgresql-{VERSION}-jdbc-src")
    if os.path.exists(tree + "/built"):
        return tree
    if not shutil.which("mvn"):
        raise SystemExit("mvn is missing (Debian: maven, openjdk-17-jdk-headless)")
    os.makedirs(folder, exist_ok=True)
    shutil.rmtree(tree, ignore_errors=True)
    say("fetching " + PACKAGE)
    maven(folder, GET, f"-Dartifact={PACKAGE}", f"-DoutputDirectory={folder}")
    path = os.path.join(folder, f"postgresql-{VERSION}-jdbc-src.tar.gz")
    with open(path, "rb") as f:
        if hashlib.sha256(f.read()).hexdigest() != SHA256:
            raise SystemExit(path + " is not what was expected")
    with tarfile.open(path) as tar:
        tar.extractall(folder)
    say("building it")
    # Surefire looks for its engines when it runs a test: any one, that needs no server.
    maven(tree, "test-compile")
    maven(tree, "surefire:test", "-Dtest=OidToStringTest", "-DfailIfNoTests=false")
    bench.write(tree, "built", "")
    return tree


class Run(external.Run):
    """One cluster, as pgjdbc's tests expect it, and the port through which they reach it."""

    SETTINGS = dict(max_connections=300, wal_level="logical", max_prepared_transactions=64,
                    max_replication_slots=20)

    def provide(self):
        su = lambda sql, db="postgres": self.cluster.su(sql, dbname=db)
        su("CREATE ROLE test LOGIN PASSWORD 'test'")
        su("CREATE DATABASE test OWNER test")
        for extension in ("hstore", "citext"):
            su(f"CREATE EXTENSION IF NOT EXISTS {extension}", "test")

    def jdbc(self):
        """{test: passed}, without those that were skipped."""
        reports = os.path.join(self.tree, "target/surefire-reports")
        shutil.rmtree(reports, ignore_errors=True)
        bench.write(self.tree, "build.local.properties", "".join(
            f"{name}={value}\n" for name, value in {
                "test.url.PGHOST": self.cluster.host, "test.url.PGPORT": self.port,
                "test.url.PGDBNAME": "test", "user": "test", "password": "test",
                "privilegedUser": "postgres", "privilegedPassword": ""}.items()))
        chosen = [f"-Dtest={self.args.tests}"] if self.args.tests else []
        log = maven(self.tree, "-o", "surefire:test", "-Dmaven.test.failure.ignore=true",
                    "-Dsurefire.failIfNoSpecifiedTests=false", *chosen, check=False)
        folder = self.fresh("jdbc")
        bench.write(folder, "log", log)
        passed = {}
        for path in glob.glob(reports + "/TEST-*.xml"):
            shutil.copy(path, folder)
            for case in xml.etree.ElementTree.parse(path).iter("testcase"):
                name = f"{case.get('classname').split('.')[-1]} {case.get('name')}"
                kinds = {part.tag for part in case}
                if "skipped" not in kinds:
                    good = not kinds & {"failure", "error"}
                    passed[name] = passed.get(name, True) and good
        return passed


def arguments():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    p = argparse.ArgumentParser(description="pgjdbc's own tests through the proxy.")
    p.add_argument("--dir", metavar="FOLDER", default=os.path.join(cache, "pgpool-external/jdbc"),
                   help="where it is built and reports are kept (%(default)s)")
    p.add_argument("--runs", metavar="NAME,...", type=lambda s: s.split(","),
                   default=external.RUNS, help="of: " + " ".join(external.RUNS) + " (all)")
    p.add_argument("--tests", metavar="PATTERN", help="these tests only")
    p.add_argument("--pgpool", metavar="BINARY", help="the program to test (./pgpool)")
    return p.parse_args()


def main():
    args = arguments()
    folder = os.path.abspath(args.dir)
    tree = build(folder)
    shop, results = pg.Workshop(), {}
    for name in args.runs:
        run = Run(shop, tree, name, os.path.join(folder, "results"), args)
        try:
            run.provide()
            start = time.monotonic()
            passed = results[name, "jdbc"] = run.jdbc()
            say(f"{name}: {sum(passed.values())} of {len(passed)} passed"
                f" in {time.monotonic() - start:.0f} s")
        finally:
            run.close()
    lost = [(run, t) for run, suite in results if run in external.OURS
            for t in external.failures(results, run, suite)
            if t not in EXPECTED.get(run, ()) and results.get(("direct", suite), {}).get(t, True)]
    for run, test in lost:
        print(f"{run}: {test}")
    say("reports: " + os.path.join(folder, "results"))
    return 1 if lost or not all(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
