#!/usr/bin/python3
"""external_jdbc.py - the tests of pgjdbc, PostgreSQL's Java driver, directly and through the proxy.

Its published source package has them.  Maven fetches that and what they need from the registry that
it is set up for, and builds it all in a folder of its own, once; from then on no network is needed.
Runs, clusters and what counts as a failure are those of external.py: `direct` goes first and is the
measure.  A test that is skipped directly (for want of a second server, of SSL, of GSS) is skipped
through the proxy, too.  Roles but postgres need their passwords, directly and through the proxy.

    external_jdbc.py [--dir FOLDER] [--runs NAME,...] [--tests PATTERN] [--pgpool BINARY]

PATTERN is Surefire's, e.g. 'CursorFetch*Test'.  Exit status 0 when no run of this project failed a
test but those of EXPECTED.  Reports are kept in FOLDER/results.
"""

import argparse
import glob
import hashlib
import os
import re
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
SUREFIRE = "3.5.6"                  # the package's own, 2.22.2, finds no JUnit 5 tests
TEST = f"org.apache.maven.plugins:maven-surefire-plugin:{SUREFIRE}:test"
OUTSIDE = "ConnectTimeoutTest"      # connects to a foreign address, and to no server of ours
ALL = "*,!" + OUTSIDE               # by default it is *Test and the like, which leaves out two
PREFIX = "org.postgresql."
HBA = """
local all all trust
host all postgres 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust
# or SCRAM, if that is how the password is stored
host all all 127.0.0.1/32 md5
"""
EXPECTED = {}       # run -> {test: why it fails}


def maven(tree, *goals):
    execute(["mvn", "-q", "-B", *goals], cwd=tree)


def surefire(tree, log, tests):
    """Runs tests.  Maven fails when it cannot run them or their Java dies, not when one fails."""
    command = ["mvn", "-o", "-B", TEST, "-Dmaven.test.failure.ignore=true", "-Dtest=" + tests]
    with open(log, "w") as out:
        status = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT, timeout=2 * 3600).returncode
    if status:
        raise SystemExit(f"Maven failed: see {log}")


def build(folder):
    """The source tree, compiled; made on the first call."""
    tree, built = os.path.join(folder, f"postgresql-{VERSION}-jdbc-src"), "built-" + SUREFIRE
    if os.path.exists(f"{tree}/{built}"):
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
    # Surefire fetches its engines when it runs a test: any one that needs no server.
    maven(tree, "test-compile")
    maven(tree, TEST, "-Dtest=OidToStringTest")
    bench.write(tree, built, "")
    return tree


class Run(external.Run):
    """One cluster, as pgjdbc's tests expect it, and the port through which they reach it."""

    SETTINGS = dict(max_connections=300, wal_level="logical", max_prepared_transactions=64,
                    max_replication_slots=20)
    LOGIN = dict(auth_user="postgres", auth_database="postgres")     # tests make roles

    def provide(self):
        for cluster in filter(None, (self.cluster, self.replica)):
            cluster.rules(HBA)
            cluster.su("SELECT pg_reload_conf()", dbname="postgres")
        su = lambda sql, db="postgres": self.cluster.su(sql, dbname=db)
        su("CREATE ROLE test LOGIN PASSWORD 'test'")
        su("CREATE DATABASE test OWNER test")
        for extension in ("hstore", "citext"):
            su(f"CREATE EXTENSION IF NOT EXISTS {extension}", "test")

    def jdbc(self):
        """Runs them; {test: [passed, ...]}."""
        reports = os.path.join(self.tree, "target/surefire-reports")
        shutil.rmtree(reports, ignore_errors=True)
        bench.write(self.tree, "build.local.properties", "".join(
            f"{name}={value}\n" for name, value in {
                "test.url.PGHOST": self.cluster.host, "test.url.PGPORT": self.port,
                "test.url.PGDBNAME": "test", "user": "test", "password": "test",
                "privilegedUser": "postgres", "privilegedPassword": ""}.items()))
        folder = self.fresh("jdbc")
        surefire(self.tree, os.path.join(folder, "log"), self.args.tests or ALL)
        for path in glob.glob(reports + "/TEST-*.xml"):
            shutil.copy(path, folder)
        if not self.args.tests:
            complete(self.tree, folder)
        return cases(folder)


def declared(tree):
    """The classes that have tests, without abstract ones."""
    top = os.path.join(tree, "src/test/java")
    for path in glob.glob(top + "/**/*.java", recursive=True):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        if re.search(r"@(Test|ParameterizedTest)\b", text) and "abstract class" not in text \
                and OUTSIDE not in path:
            yield os.path.relpath(path, top)[:-len(".java")].replace("/", ".")


def complete(tree, folder):
    """Ends the script when a class has no report: Surefire says nothing of what it overlooks."""
    missing = [name for name in declared(tree) if not os.path.exists(f"{folder}/TEST-{name}.xml")]
    if missing:
        raise SystemExit(f"no report of {len(missing)} classes: " + " ".join(sorted(missing)))


def cases(folder):
    """{test: [passed, ...]} of Surefire's reports, without what was skipped.  Tests share a name
    when their parameters look the same, or have a newline: those are left out."""
    found = {}
    for path in glob.glob(folder + "/TEST-*.xml"):
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            kinds = {part.tag for part in case}
            if "skipped" not in kinds:
                name = f"{case.get('classname').removeprefix(PREFIX)} {case.get('name')}"
                found.setdefault(name, []).append(not kinds & {"failure", "error"})
    return found


def lost(run, direct):
    """The tests that pass less often than directly; if they did not run there, than they ran."""
    wanted = {name: len(passed) for name, passed in run.items()}
    wanted.update((name, sum(passed)) for name, passed in direct.items())
    return sorted(name for name, times in wanted.items() if sum(run.get(name, ())) < times)


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
            results[name] = run.jdbc()
            passed = sum(results[name].values(), [])
            say(f"{name}: {sum(passed)} of {len(passed)} passed"
                f" in {time.monotonic() - start:.0f} s")
        finally:
            run.close()
    failed = [(name, test) for name in results if name in external.OURS
              for test in lost(results[name], results.get("direct", {}))
              if test not in EXPECTED.get(name, ())]
    for name, test in failed:
        print(f"{name}: {test}")
    say("reports: " + os.path.join(folder, "results"))
    return 1 if failed or not all(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
