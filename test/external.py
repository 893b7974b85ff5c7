#!/usr/bin/python3
"""external.py - PostgreSQL's own tests, directly and through the proxy.

    regress    the regression suite, all files of its parallel schedule
    pipeline   libpq_pipeline, with the wire traces that it ships
    isolation  the isolation specs in which no step waits for another session (that a step waits is
               found out by process id, which a pooler is free to change)

They come with the source package of the installed PostgreSQL.  It is fetched with apt into a
folder of its own (no root, no change to the system's lists) and only the test programs are built,
a minute, once.  When the mirror has lost the source of the very version that is installed, another
minor version serves; the psql that its tests expect is built with them.

Each run has a fresh scratch cluster.  `direct` goes first and is the measure: what it answers
otherwise than expected (a file or two, when the minor versions differ) is right for the runs after
it.  Those are `cache-off` and `cache-on` (this project, load_balance_mode off, connection_cache as
named), `balanced` (load_balance_mode on, over a replica for which every commit waits) and, for
comparison, `bouncer` (PgBouncer, session mode) and `pgpool2`.

    external.py [--dir FOLDER] [--runs NAME,...] [--suites NAME,...] [--tests NAME,...] [--build]

Exit status 0 when no run of this project failed a test but those of EXPECTED.  Differences are kept
in FOLDER/results.
"""

import argparse
import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import bench
import pg

SUITES = ("regress", "pipeline", "isolation")
RUNS = ("direct", "cache-off", "cache-on", "balanced")
OURS = ("cache-off", "cache-on", "balanced")
FRESH = "it expects a fresh backend"
EXPECTED = {        # what fails, and why
    "cache-on": {"regress temp": FRESH, "regress stats": FRESH},
    "balanced": {"regress create_index": "VACUUM leaves pages unmarked that a replica may still read,"
                                         " so the planner finds another plan",
                 "isolation stats": "the primary does not count what a replica has read"},
}
TRACED = ("simple_pipeline", "nosync", "multi_pipelines", "prepared", "singlerow",
          "pipeline_abort", "pipeline_idle", "transaction", "disallowed_in_pipeline")
PARTS = ("src/common", "src/port", "src/interfaces/libpq", "src/test/regress",
         "src/test/isolation", "src/test/modules/libpq_pipeline", "src/fe_utils", "src/bin/psql")


def say(text):
    print(text, file=sys.stderr, flush=True)


def execute(command, **how):
    """Runs to the end; its output, or the end of the script with the last lines of it."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **how)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
    return done.stdout


# ---- the source package -----------------------------------------------------------------------

def source_lists(folder):
    """The system's own Debian entries again, as entries for source packages."""
    with open("/etc/os-release") as f:
        codename = re.search(r"VERSION_CODENAME=(\w+)", f.read())[1]
    ours = re.compile(rf"(^|\s){codename}(-updates|-security)?(\s|$)", re.M)
    lines, stanzas = [], []
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if not os.path.exists(path):
            continue
        with open(path) as f:
            text = f.read()
        if path.endswith(".list"):
            lines += [re.sub(r"^deb ", "deb-src ", line) for line in text.splitlines()
                      if line.startswith("deb ") and ours.search(line)]
        elif path.endswith(".sources"):
            stanzas += [re.sub(r"(?m)^Types:.*", "Types: deb-src", s)
                        for s in re.split(r"\n\s*\n", text) if ours.search(s)]
    bench.write(folder, "source.list", "\n".join(lines) + "\n")
    bench.write(folder, "source.sources", "\n\n".join(stanzas) + "\n")


def apt(folder, *command):
    """An apt that keeps all its state below folder."""
    return [command[0], "-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o",
            f"Dir::Etc::sourceparts={folder}/parts", "-o", f"Dir::State::lists={folder}/lists",
            "-o", f"Dir::Cache={folder}/cache", "-o",
            "APT::Sandbox::User=" + pwd.getpwuid(os.geteuid()).pw_name,
            *command[1:]]


def installed():
    """Major version, and the version of the installed server package."""
    major = pg.BIN.split("/")[4]
    out = execute(["dpkg-query", "-W", "-f", "${source:Version}", f"postgresql-{major}"])
    return major, out.strip()


def fetch(folder):
    """Downloads the source package; returns the path of its tar file."""
    major, version = installed()
    state = os.path.join(folder, "apt")
    for part in ("parts", "lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(state, part), exist_ok=True)
    source_lists(os.path.join(state, "parts"))
    say("asking for source packages")
    execute(apt(state, "apt-get", "update"))
    known = re.findall(r"(?m)^Version: (.*)", execute(
        apt(state, "apt-cache", "showsrc", f"postgresql-{major}")))
    wanted = [version] + [v for v in dict.fromkeys(known) if v != version]
    for v in wanted:
        say(f"fetching postgresql-{major} {v}")
        done = subprocess.run(apt(state, "apt-get", "source", "--download-only",
                                  f"postgresql-{major}={v}"),
                              cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        found = glob.glob(f"{folder}/postgresql-{major}_{v.split('-')[0]}.orig.tar.*")
        if done.returncode == 0 and found:
            return found[0]
    raise SystemExit(f"no source package of postgresql-{major} to be had ({', '.join(wanted)})")


def build(folder):
    """The source tree with the test programs in it; made on the first call."""
    tree = os.path.join(folder, "postgresql-" + installed()[0])
    if os.path.exists(tree + "/built"):
        return tree
    os.makedirs(folder, exist_ok=True)
    shutil.rmtree(tree, ignore_errors=True)
    with tarfile.open(fetch(folder)) as tar:
        top = tar.next().name.split("/")[0]
        tar.extractall(folder)
    os.rename(os.path.join(folder, top), tree)
    say("building " + top)
    execute(["./configure", "--without-readline", "--without-zlib", "--without-icu"], cwd=tree)
    execute(["make", "-s", "-C", "src/backend", "generated-headers"], cwd=tree)
    for part in PARTS:
        execute(["make", "-s", "-C", part], cwd=tree)
    bench.write(tree, "built", top + "\n")
    return tree


# ---- the suites: each returns {name: passed} --------------------------------------------------

class Run:
    """One cluster, and the port through which the tests reach it."""

    SETTINGS = dict(max_connections=300, autovacuum=True)
    LOGIN = {}              # how clients log in to the proxy; nobody needs a password

    def __init__(self, shop, tree, name, keep, args):
        self.shop, self.tree, self.name, self.args = shop, tree, name, args
        self.keep, self.measure = os.path.join(keep, name), os.path.join(keep, "direct")
        os.makedirs(self.keep, exist_ok=True)
        self.home = shop.owned(pg.make_folder(shop.path(name)))
        self.cluster = shop.cluster(name + ".pg", **self.SETTINGS).start()
        self.replica = self.follow() if name == "balanced" else None
        self.proxy = self.put_in_front()
        self.port = (self.proxy or self.cluster).port

    def follow(self):
        """A replica that has replayed what a client has been told of, and keeps nobody waiting for
        its readers' snapshots."""
        replica = self.cluster.standby(self.name + ".replica", **self.SETTINGS).start()
        replica.su("ALTER SYSTEM SET hot_standby_feedback = on", dbname="postgres")
        for setting in ("synchronous_standby_names = '*'", "synchronous_commit = 'remote_apply'"):
            self.cluster.su("ALTER SYSTEM SET " + setting, dbname="postgres")
        for node in (replica, self.cluster):
            node.su("SELECT pg_reload_conf()", dbname="postgres")
        return replica

    def put_in_front(self):
        """The proxy of this run; None when there is none."""
        name, nodes = self.name + ".proxy", [self.cluster]
        if self.name == "bouncer":
            return bench.start_bouncer(self.shop, name, nodes, False)
        if self.name == "pgpool2":
            return bench.start_pgpool2(self.shop, name, nodes, False)
        if self.name == "direct":
            return None
        nodes += [self.replica] if self.replica else []
        return self.shop.proxy(nodes, self.args.pgpool, load_balance_mode=len(nodes) > 1,
                               connection_cache=self.name == "cache-on", num_init_children=100,
                               max_pool=2, log_per_node_statement=False, **self.LOGIN).start()

    def close(self):
        """What a proxy had to say is kept, too."""
        if isinstance(self.proxy, pg.Proxy):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.proxy.stop()
            shutil.copy(self.proxy.log_file, os.path.join(self.keep, "pgpool.log"))
            self.proxy.kill()
        elif self.proxy:
            self.proxy.process.terminate()
            self.proxy.process.wait(20)
        for cluster in (self.replica, self.cluster):
            if cluster:
                cluster.stop(signal.SIGQUIT)

    def environment(self):
        """Without the caller's PG* variables, and with the libpq that was built."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return {**env, "LC_MESSAGES": "C", "PGSSLMODE": "disable", "PGGSSENCMODE": "disable",
                "LD_LIBRARY_PATH": self.library()}

    def fresh(self, suite):
        """The empty folder below --dir that a suite's results are kept in."""
        folder = os.path.join(self.keep, suite)
        shutil.rmtree(folder, ignore_errors=True)
        return pg.make_folder(folder)

    def library(self):
        return os.path.join(self.home, "lib")

    def programs(self):
        return os.path.join(self.home, "bin")

    def provide(self):
        """Copies what the tests need to where the server's account can read it."""
        source = os.path.join(self.tree, "src/test")
        for name in ("regress", "isolation"):
            shutil.copytree(f"{source}/{name}", f"{self.home}/{name}",
                            ignore=shutil.ignore_patterns("*.o", "*.c", "output_iso", "results"))
        shutil.copytree(f"{source}/modules/libpq_pipeline", f"{self.home}/pipeline")
        os.mkdir(self.programs())
        shutil.copy(f"{self.tree}/src/bin/psql/psql", self.programs())
        os.mkdir(self.library())
        for so in glob.glob(f"{self.tree}/src/interfaces/libpq/libpq.so.*"):
            shutil.copy(so, self.library())
        for suite in () if self.name == "direct" else ("regress", "isolation"):
            for path in glob.glob(f"{self.measure}/{suite}/*.out"):
                test = os.path.basename(path)[:-len(".out")]    # _9: pg_regress's last alternative
                shutil.copy(path, f"{self.home}/{suite}/expected/{test}_9.out")
        for path, folders, files in os.walk(self.home):
            for name in (*folders, *files):
                self.shop.owned(os.path.join(path, name))

    def database(self, name):
        """An empty database with the settings that pg_regress would give it."""
        su = lambda sql: self.cluster.su(sql, dbname="postgres")
        su(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"
           " LC_COLLATE 'C' LC_CTYPE 'C'")
        for setting in ("lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'",
                        "lc_time TO 'C'", "bytea_output TO 'hex'",
                        "timezone_abbreviations TO 'Default'"):
            su(f"ALTER DATABASE {name} SET {setting}")
        if self.name == "bouncer":      # it cannot pass this one on from the startup packet
            su(f"ALTER DATABASE {name} SET intervalstyle TO 'postgres_verbose'")

    def pg_regress(self, suite, program, database, *tests):
        """Runs pg_regress or its sister for isolation; {test: passed}."""
        self.database(database)
        home = f"{self.home}/{suite}"
        out = self.shop.owned(pg.make_folder(home + ".out"))
        command = [f"{home}/{program}", f"--inputdir={home}", f"--outputdir={out}",
                   f"--bindir={self.programs()}", f"--dlpath={home}", f"--host={self.cluster.host}",
                   f"--port={self.port}", "--user=postgres", f"--dbname={database}",
                   "--use-existing", *tests]
        with open(out + "/log", "w") as log:
            subprocess.run(command, cwd=out, env=self.environment(), stdout=log,
                           stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=3600,
                           **self.shop.as_postgres())
        with open(out + "/log") as log:
            words = re.findall(r"(?m)^(?:test)?\s+(\S+)\s+\.\.\. (\w+)", log.read())
        self.keep_results(suite, out, [test for test, word in words if word != "ok"])
        return {f"{suite} {test}": word == "ok" for test, word in words}

    def keep_results(self, suite, out, failed):
        """The log, the differences, and the whole results of what failed."""
        folder = self.fresh(suite)
        for name in ("log", "regression.diffs", *(f"results/{test}.out" for test in failed)):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{out}/{name}", folder)

    def regress(self):
        tests = self.args.tests or [f"--schedule={self.home}/regress/parallel_schedule"]
        return self.pg_regress("regress", "pg_regress", "regression", *tests)

    def isolation(self):
        tests = self.args.tests or unblocked(f"{self.home}/isolation")
        return self.pg_regress("isolation", "pg_isolation_regress", "isolation", *tests)

    def pipeline(self):
        """As the suite's own script does it: all tests that the program names, some traced."""
        env = self.environment()
        program = f"{self.home}/pipeline/libpq_pipeline"
        where = f"host={self.cluster.host} port={self.port} user=postgres dbname=postgres"
        passed, folder = {}, self.fresh("pipeline")
        for test in self.args.tests or execute([program, "tests"], env=env).split():
            trace = f"{folder}/{test}.trace"
            options = ["-t", trace] if test in TRACED else []
            done = subprocess.run([program, "-r", "700", *options, test, where], env=env,
                                  timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            passed["pipeline " + test] = done.returncode == 0
            if done.returncode:
                bench.write(folder, test + ".log", done.stdout.decode(errors="replace"))
            if options:
                same = same_text(trace, f"{self.home}/pipeline/traces/{test}.trace")
                passed[f"pipeline {test} trace"] = same
        return passed


def same_text(a, b):
    with contextlib.suppress(OSError), open(a) as f, open(b) as g:
        return f.read() == g.read()
    return False


def unblocked(folder):
    """The scheduled specs none of whose expected results has a waiting step."""
    with open(f"{folder}/isolation_schedule") as f:
        names = re.findall(r"(?m)^test: *(\S+)", f.read())
    free = []
    for name in names:
        texts = []
        for path in glob.glob(f"{folder}/expected/{name}.out") + \
                glob.glob(f"{folder}/expected/{name}_[0-9].out"):
            with open(path) as f:
                texts.append(f.read())
        if not any("waiting" in text for text in texts):
            free.append(name)
    return free


# ---- the run ----------------------------------------------------------------------------------

def failures(results, run, suite):
    """What failed in a run, or passed directly and did not run at all."""
    passed, measure = results[run, suite], results.get(("direct", suite), {})
    return [t for t, ok in passed.items() if not ok] + [t for t in measure if t not in passed]


def summary(results):
    """The lines of a Markdown table."""
    lines = ["| run | suite | passed | failed | names of what failed |", "|---|---|---:|---:|---|"]
    for (run, suite), passed in results.items():
        names = [t.split(" ", 1)[1] for t in failures(results, run, suite)]
        lines.append(f"| {run} | {suite} | {sum(passed.values())} | {len(names)} | "
                     f"{', '.join(names)} |")
    return lines


def arguments():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    words = lambda text: text.split(",")
    p = argparse.ArgumentParser(description="PostgreSQL's own tests through the proxy.")
    p.add_argument("--dir", metavar="FOLDER", default=os.path.join(cache, "pgpool-external"),
                   help="where the source is built and differences are kept (%(default)s)")
    p.add_argument("--runs", metavar="NAME,...", type=words, default=RUNS,
                   help="of: direct cache-off cache-on balanced bouncer pgpool2 (the first four)")
    p.add_argument("--suites", metavar="NAME,...", type=words, default=SUITES,
                   help="of: regress pipeline isolation (all)")
    p.add_argument("--tests", metavar="NAME,...", type=words, help="these tests of one suite only")
    p.add_argument("--build", action="store_true", help="fetch and build, then stop")
    p.add_argument("--pgpool", metavar="BINARY", help="the program to test (./pgpool)")
    return p.parse_args()


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = os.path.abspath(args.dir)
    tree = build(folder)
    if args.build:
        print(tree)
        return 0

    shop, results = pg.Workshop(), {}
    keep = os.path.join(folder, "results")
    for name in args.runs:
        run = Run(shop, tree, name, keep, args)
        try:
            run.provide()
            for suite in args.suites:
                start = time.monotonic()
                passed = results[name, suite] = getattr(run, suite)()
                say(f"{name} {suite}: {sum(passed.values())} of {len(passed)} passed"
                    f" in {time.monotonic() - start:.0f} s")
        finally:
            run.close()
    print("\n".join(summary(results)))
    say("differences: " + keep)
    lost = [t for run, suite in results if run in OURS for t in failures(results, run, suite)
            if t not in EXPECTED.get(run, ())]
    empty = [key for key, passed in results.items() if not passed]
    return 1 if lost or empty else 0


if __name__ == "__main__":
    sys.exit(main())
