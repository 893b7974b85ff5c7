"""The HTTP port: /metrics, /healthz, /readyz, and hostile visitors."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser

import prometheus_client.openmetrics.parser as openmetrics
import prometheus_client.parser as prometheus
import pytest

from pg import free_port
from test_process import reload_fails
from wire import V3_0, message, packet, query, wait_until
from wire import errors as wire_errors

pytestmark = pytest.mark.proxy


class Page:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text


@pytest.fixture
def site(proxy):
    """site(...): a proxy with an HTTP port, and what fetches a path of it."""
    def make(*args, **how):
        port = free_port()
        p = proxy(*args, metrics_listen_addresses="127.0.0.1", metrics_port=port, **how)

        def get(path, method="GET", **headers):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method,
                                             headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as r:
                    return Page(r.status, r.headers, r.read().decode())
            except urllib.error.HTTPError as e:
                return Page(e.code, e.headers, e.read().decode())
        p.web = port
        return p, get
    return make


def talk(port, data, end=True):
    """All that comes back for these bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(data)
        if end:
            s.shutdown(socket.SHUT_WR)
        out = b""
        while got := s.recv(65536):
            out += got
        return out


def samples(text):
    """{series with its labels: value}; fails at what is no line of the format."""
    out, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# "):
            word, name = line.split()[1:3] if line != "# EOF" else ("EOF", "")
            assert word in ("HELP", "TYPE", "EOF"), line
            if word == "TYPE":
                assert name not in typed, f"{name} is there twice"
                typed.add(name)
            continue
        m = re.fullmatch(r'([a-z_:0-9]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+\})? (\S+)', line)
        assert m, line
        parts = [m[1], *(m[1].removesuffix(s) for s in ("_total", "_bucket", "_sum", "_count"))]
        assert any(family in typed for family in parts), line
        assert m[1] + (m[2] or "") not in out, f"{line} is there twice"
        out[m[1] + (m[2] or "")] = float(m[3])
    return out


def recorded():
    """The families of the real exporter in front of Pgpool-II 4.7.2: {name: type}."""
    with open(__file__.replace("test_web.py", "exporter_families.txt")) as f:
        return dict(line.split() for line in f if not line.startswith("#"))


def test_the_exporter_s_families_are_there(site):
    p, get = site(num_init_children=8, max_pool=2)
    with p.raw() as w:
        w.query("SELECT 1")
        page = get("/metrics")
    assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    types = dict(line.split()[2:] for line in page.text.splitlines() if line.startswith("# TYPE"))
    assert len(recorded()) == 46
    assert {n: t for n, t in types.items() if n.startswith("pgpool2_")} == recorded()
    got = samples(page.text)
    assert got["pgpool2_frontend_total"] == 8
    assert got['pgpool2_frontend_used{database="app",username="app"}'] == 1
    total, used = got["pgpool2_backend_total"], got["pgpool2_backend_used"]
    assert total >= 32 and used >= 3
    assert got["pgpool2_backend_used_ratio"] == pytest.approx(used / total)
    assert sum(v for k, v in got.items() if k.startswith("pgpool2_pool_nodes_select_cnt")) == 1
    assert sum(v for k, v in got.items() if k.startswith("pgpool2_backend_by_process_used{")
               and f'pool_pid="{w.pid}"' in k) == 2


def test_openmetrics(site):
    p, get = site()
    page = get("/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert page.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert page.text.endswith("\n# EOF\n")
    types = dict(line.split()[2:] for line in page.text.splitlines() if line.startswith("# TYPE"))
    assert {t for n, t in types.items() if n.startswith("pgpool2_")} == {"unknown"}
    assert types["pgpool_node_statements"] == "counter"
    assert samples(page.text).keys() == samples(get("/metrics").text).keys()


def test_our_own_numbers(site, primary, replica):
    p, get = site()
    with p.raw() as w:
        w.query("CREATE TEMP TABLE one (i int)")
        w.query("INSERT INTO one SELECT 1")
        w.query("SELECT nothing")
        got = samples(get("/metrics").text)
        descriptors = p.descriptors()
    place = f'node="0",hostname="127.0.0.1",port="{primary.port}"'
    assert got["pgpool_sessions"] == 1
    assert got[f"pgpool_node_up{{{place}}}"] == got[f"pgpool_node_primary{{{place}}}"] == 1
    assert got[f'pgpool_node_statements_total{{{place},class="INSERT"}}'] == 1
    assert got[f'pgpool_node_errors_total{{{place},severity="ERROR"}}'] >= 1
    assert got['pgpool_errors_total{class="42"}'] == 1
    assert 0 < got["process_resident_memory_bytes"] < 1 << 30
    assert abs(got["process_open_fds"] - descriptors) <= 2          # the visitor's own
    assert wait_until(lambda: samples(get("/metrics").text)["pgpool_sessions"] == 0, "its end")


def test_readiness_may_ask_for_the_primary(site, own_pair):
    p, get = site(list(own_pair), readiness="primary")
    primary, replica = own_pair
    wait_until(lambda: get("/readyz").status == 200, "the primary")
    primary.stop()
    p.psql("SELECT 1", check=False)             # somebody notices
    page = wait_until(lambda: (found := get("/readyz")).status == 503 and found, "it is not ready")
    assert "the primary is not there" in page.text
    p.reload(readiness="any")
    assert get("/readyz").status == 200
    p.reload(readiness="primary")
    primary.start()
    wait_until(lambda: get("/readyz").status == 200, "the primary is back")


def test_a_standby_alone_is_no_primary(site, replica):
    p, get = site([replica], readiness="primary", sr_check_period=1, sr_check_user="postgres",
                  sr_check_database="postgres", backend_flag0="DISALLOW_TO_FAILOVER")
    page = wait_until(lambda: "the primary is not there" in get("/readyz").text, "it is not ready")
    assert page
    p.reload(readiness="any")
    wait_until(lambda: get("/readyz").status == 200, "a node")


def test_it_speaks_tls(site):
    p, get = site(ssl=True)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(f"https://127.0.0.1:{p.web}/metrics", timeout=10, context=context) as r:
        assert samples(r.read().decode())["pgpool_sessions"] == 0
    assert get("/healthz").status == 200                    # and plain text on the same port
    plain, _ = site()
    with pytest.raises(urllib.error.URLError):              # nothing to show for itself
        urllib.request.urlopen(f"https://127.0.0.1:{plain.web}/", timeout=10, context=context)


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser_shows_the_page(site, tmp_path):
    p, get = site()
    with p.raw() as w:
        w.query("SELECT 1")
        done = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--dump-dom",
             f"http://127.0.0.1:{p.web}/"], capture_output=True, text=True, timeout=60)
    assert "<h2>Connections to PostgreSQL</h2>" in done.stdout and "<td>app</td>" in done.stdout
    assert "CONSOLE" not in done.stderr


def judge(text):
    """{metric: promtool's words about it}"""
    out = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert "error while linting" not in out.stderr, out.stderr
    return dict(line.split(" ", 1) for line in out.stderr.splitlines())


def test_others_can_read_it(site):
    """Prometheus' own library and tool.  Complaints are about the exporter's names alone."""
    p, get = site()
    with p.raw() as w:
        w.query("SELECT 1")
        classic, new = get("/metrics").text, get("/metrics", Accept="application/openmetrics-text").text
    families = {f.name: f for f in openmetrics.text_string_to_metric_families(new)}
    assert families.keys() >= {f.name for f in prometheus.text_string_to_metric_families(classic)
                               if f.name.startswith("pgpool_")}
    if shutil.which("promtool"):
        complained = judge(classic)
        assert {"pgpool2_pool_nodes_select_cnt", "pgpool2_frontend_total"} <= complained.keys()
        assert all(name in recorded() for name in complained), complained


def test_who_asks_again_and_again_holds_up_nobody(site):
    p, _ = site(log_per_node_statement=False)
    with p.raw() as w, socket.create_connection(("127.0.0.1", p.web)) as s:
        taken = [0]

        def take():
            with contextlib.suppress(OSError):
                while data := s.recv(1 << 20):
                    taken[0] += len(data)

        def send():
            with contextlib.suppress(OSError):
                s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * 400000)
        both = [threading.Thread(target=t) for t in (take, send)]
        for t in both:
            t.start()
        asked = 0
        while taken[0] < 20 << 20:
            assert w.query("SELECT 1")[1].row == [b"1"]
            asked += 1
        assert both[0].is_alive() and asked >= 20, f"{asked} requests beside 20 MB"
        s.shutdown(socket.SHUT_RDWR)
        for t in both:
            t.join()
        assert w.query("SELECT 1")[1].row == [b"1"]


def node_of(cluster, n):
    return f'node="{n}",hostname="127.0.0.1",port="{cluster.port}"'


def test_times_are_counted(site, primary, replica):
    p, get = site()
    place = node_of(primary, 0)

    def counted(name, bound="+Inf"):
        return samples(get("/metrics").text)[f'pgpool_node_{name}_seconds_bucket{{{place},le="{bound}"}}']
    with p.raw() as w:
        before = counted("request"), counted("request", 0.1)
        w.query("/*NO LOAD BALANCE*/ SELECT pg_sleep(0.11)")
        w.query("/*NO LOAD BALANCE*/ SELECT 1")
        after = counted("request"), counted("request", 0.1)
        assert after[0] == before[0] + 2 and after[1] <= before[1] + 1
        got = samples(get("/metrics").text)
        assert got[f"pgpool_node_request_seconds_sum{{{place}}}"] >= 0.11
        assert got[f"pgpool_node_request_seconds_count{{{place}}}"] == after[0]
        before = got[f"pgpool_node_request_seconds_sum{{{place}}}"]
        w.send(b"".join(query(f"/*NO LOAD BALANCE*/ SELECT pg_sleep({t})") for t in [0.2] + [0] * 20))
        w.reply(21)
        got = samples(get("/metrics").text)
        assert got[f"pgpool_node_request_seconds_sum{{{place}}}"] < before + 2, "20 waited for the first"
        assert counted("login") >= 1 and counted("wait") >= 1   # for the session's first connection


def requests_by_reason(get):
    out = {}
    for name, n in samples(get("/metrics").text).items():
        if name.startswith("pgpool_node_requests_total"):
            reason = re.search('reason="([a-z_]+)"', name)[1]
            out[reason] = out.get(reason, 0) + n
    return {reason: n for reason, n in out.items() if n}


def test_requests_are_counted_by_why_they_went_where(site, primary, replica):
    p, get = site()
    primary.su("CREATE TABLE IF NOT EXISTS reasons (a int); GRANT ALL ON reasons TO app;"
               "CREATE OR REPLACE FUNCTION writes() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    primary.catch_up(replica)
    with p.raw() as w:
        wait_until(lambda: w.query("SELECT * FROM reasons") and "balanced" in requests_by_reason(get),
                   "the catalog has told of it")
        for sql, reason in [
                ("SELECT * FROM reasons", "balanced"), ("INSERT INTO reasons VALUES (1)", "write"),
                ("SELECT writes()", "function"), ("SELECT pg_backend_pid() FROM pg_locks", "catalog")]:
            before = requests_by_reason(get)
            w.query(sql)
            after = requests_by_reason(get)
            assert {r for r in after if after[r] != before.get(r, 0)} == {reason}, sql
        w.query("BEGIN")
        w.query("INSERT INTO reasons VALUES (1)")
        w.query("SELECT * FROM reasons")
        w.query("COMMIT")
        w.query("CREATE TEMP TABLE mine (a int)")
        w.query("SELECT * FROM mine")
        w.query("LISTEN x")
        w.query("SELECT * FROM reasons")
        w.ask(query("INSERT INTO reasons VALUES (1)") + query("SELECT 1"), 2)
    assert {"temporary", "transaction", "place", "session"} <= requests_by_reason(get).keys()
    primary.su("DROP TABLE reasons; DROP FUNCTION writes()")


def test_retries_are_counted_by_error(site, primary, replica):
    p, get = site()
    primary.su("CREATE TABLE IF NOT EXISTS later (a int); GRANT ALL ON later TO app")
    primary.catch_up(replica)
    with p.raw() as w:
        wait_until(lambda: w.query("SELECT * FROM later") and "balanced" in requests_by_reason(get),
                   "a replica")
        w.query("SELECT 1/0")
        got = samples(get("/metrics").text)
    assert got['pgpool_retries_total{sqlstate="22012"}'] == 1
    assert got['pgpool_errors_total{class="22"}'] == 1
    primary.su("DROP TABLE later")


def test_pins_bytes_and_look_ups_are_counted(site):
    p, get = site()
    with p.raw() as w:
        before = samples(get("/metrics").text)
        w.query("CREATE TEMP TABLE held (a int)")
        w.query("SELECT * FROM held")
        w.query("SELECT '" + 100_000 * "x" + "'")
        got = samples(get("/metrics").text)
    assert got['pgpool_sessions_pinned{reason="temporary table"}'] == 1
    for side, direction in [("client", "received"), ("client", "sent"), ("node", "sent"),
                            ("node", "received")]:
        name = f'pgpool_{direction}_bytes_total{{side="{side}"}}'
        assert 100_000 < got[name] - before[name] < 200_000, name
    assert got["pgpool_catalog_names_total"] > before["pgpool_catalog_names_total"]


def test_handshakes_are_counted(site, tmp_path):
    p, get = site(ssl=True)
    with p.connect(sslmode="require") as c:
        assert c.execute("SELECT 1").fetchone() == (1,)
    with socket.create_connection(p.address) as s:
        s.sendall(struct.pack("!II", 8, 80877103))
        assert s.recv(1) == b"S"
        s.sendall(b"no TLS at all, but more than a record's header")
        while s.recv(4096):
            pass
    got = samples(get("/metrics").text)
    assert got['pgpool_tls_handshakes_total{side="client"}'] == 1
    assert got['pgpool_tls_failures_total{side="client"}'] == 1


def test_reloads_are_counted_and_counters_outlive_them(site):
    p, get = site()
    with p.raw() as w:
        w.query("INSERT INTO nothing VALUES (1)")
    before = samples(get("/metrics").text)
    assert before["pgpool_reloads_total"] == before["pgpool_reload_failures_total"] == 0
    p.reload(client_idle_limit=77)
    got = samples(get("/metrics").text)
    assert got["pgpool_reloads_total"] == 1 and got["pgpool_reload_failures_total"] == 0
    assert got["pgpool_last_load_timestamp_seconds"] >= before["pgpool_last_load_timestamp_seconds"]
    for name, value in before.items():
        if name.endswith("_total") or "_total{" in name:
            assert got[name] >= value, name
    reload_fails(p, client_idle_limit="nonsense")
    got = samples(get("/metrics").text)
    assert got["pgpool_reloads_total"] == got["pgpool_reload_failures_total"] == 1


def test_names_are_written_as_they_have_to_be(site, primary):
    name = 'a "quoted\\ name'
    primary.su('DROP ROLE IF EXISTS "a ""quoted\\ name"; CREATE ROLE "a ""quoted\\ name" LOGIN')
    p, get = site()
    with p.raw(user=name):
        got = samples(get("/metrics").text)
        assert got['pgpool2_frontend_used{database="app",username="a \\"quoted\\\\ name"}'] == 1
    primary.su('DROP ROLE "a ""quoted\\ name"')


def test_only_sessions_are_told_of(site):
    """Whoever has not proved anything makes no label; what is no UTF-8 is in none."""
    p, get = site(enable_pool_hba=True, passwd="app:secret\n", hba="host all app all scram-sha-256\n")
    strangers = [p.raw(login=False) for _ in range(5)]
    for i, w in enumerate(strangers):
        w.startup(user="app", database=f"guess{i}").until("R")
    strangers.append(odd := p.raw(login=False))
    odd.send(packet(V3_0, b"user\0app\0database\0d\xff\0\0"))
    odd.until("R")
    page = get("/metrics")
    assert "guess" not in page.text and "pgpool2_frontend_used{" not in page.text
    for w in strangers:
        w.shut()


def test_names_in_another_encoding(site, primary):
    primary.su("DROP DATABASE IF EXISTS odd_bytes")
    primary.su("CREATE DATABASE odd_bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    with primary.raw(user="postgres", database="odd_bytes") as w:
        w.query("SET client_encoding = 'SQL_ASCII'")
        assert wire_errors(w.ask(message("Q", b'CREATE ROLE "caf\xe9" LOGIN\0'))) == []
    p, get = site()
    try:
        with p.raw(login=False) as w:
            w.send(packet(V3_0, b"user\0caf\xe9\0database\0app\0\0"))
            w.until("Z")
            assert 'username="caf?"' in get("/metrics").text and "<td>caf?</td>" in get("/").text
    finally:
        with primary.raw(user="postgres", database="odd_bytes") as w:
            w.query("SET client_encoding = 'SQL_ASCII'")
            w.ask(message("Q", b'DROP ROLE "caf\xe9"\0'))
        primary.su("DROP DATABASE odd_bytes")


def test_bad_sqlstates_are_one_series(site, fake, primary):
    """However many a node, or code, invents."""
    p, get = site()
    with p.raw() as w:
        for code in ["00000", *(f"Z{i:04}" for i in range(70)), "22012", "Y0000"]:
            w.query(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$")
        w.query("SELECT nothing")
    got = samples(get("/metrics").text)
    assert got['pgpool_errors_total{class="??"}'] == 71 and got['pgpool_errors_total{class="42"}'] == 1
    assert got['pgpool_errors_total{class="22"}'] == 1


def test_many_places_are_told_of_together(site):
    p, get = site(num_init_children=101)
    with p.raw():
        got = samples(get("/metrics").text)
    assert got["pgpool2_frontend_total"] == 101 and got["pgpool2_backend_used"] >= 2
    assert not any("by_process" in k for k in got)


def test_the_page_is_whole_and_needs_nobody_else(site, primary):
    name = "<b>&'\"x"
    quoted = name.replace('"', '""')
    primary.su(f'DROP ROLE IF EXISTS "{quoted}"; CREATE ROLE "{quoted}" LOGIN')
    p, get = site()
    with p.raw(user=name) as w:
        w.query("SELECT 'a secret text'")
        w.query("SELECT nothing")
        page = get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8" and len(page.text) < 8192
    opened = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag not in ("script", "img", "iframe", "object")
            for k, v in attrs:
                assert k not in ("src", "onload") and (k != "href" or v.startswith("/"))
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag
    Reader().feed(page.text)
    assert opened == []
    assert "&lt;b&gt;&amp;'&quot;x" in page.text and "secret" not in page.text
    assert "<td>42</td><td>1</td>" in page.text and f"<td>{primary.port}</td>" in page.text
    primary.su(f'DROP ROLE "{quoted}"')


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/healthz", 200), ("HEAD", "/metrics", 200), ("GET", "/metrics?x=1", 200),
    ("GET", "/nothing", 404), ("GET", "/metrics/", 404), ("POST", "/metrics", 405), ("PUT", "/x", 404)])
def test_paths(site, method, path, status):
    p, get = site()
    page = get(path, method)
    assert page.status == status
    assert (page.text == "") == (method == "HEAD")
    assert page.headers.get("Allow") == ("GET, HEAD" if status == 405 else None)


def test_readiness(site, own_pair):
    p, get = site(list(own_pair))
    wait_until(lambda: get("/readyz").status == 200, "the first node")
    for cluster in reversed(own_pair):
        cluster.stop()
    assert get("/readyz").status == 200             # reads, or a failover: clients may come
    with p.raw(login=False):
        pass
    assert get("/healthz").status == 200


def test_not_ready_before_any_node_is_there(site, own_pair):
    for cluster in reversed(own_pair):
        cluster.stop()
    p, get = site(list(own_pair), start=True)
    page = get("/readyz")
    assert page.status == 503 and "no node" in page.text
    for cluster in own_pair:
        cluster.start()
    wait_until(lambda: get("/readyz").status == 200, "a node")


def test_a_drain_is_no_readiness(site):
    p, get = site()
    with p.raw() as w:
        w.query("SELECT 1")
        wait_until(lambda: get("/readyz").status == 200, "the first node")
        p.send_signal(signal.SIGTERM)
        page = wait_until(lambda: get("/readyz").status == 503 and get("/readyz"), "the drain")
        assert "about to end" in page.text and get("/metrics").status == 200
    p.wait()


def test_requests_of_one_connection(site):
    p, get = site()
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert talk(p.web, 3 * one + b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n" + one
                ).count(b"200 OK") == 4
    assert talk(p.web, b"GET /healthz HTTP/1.0\r\n\r\n" + one).count(b"200 OK") == 1
    assert talk(p.web, b"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" + one
                ).count(b"200 OK") == 2
    long = b"GET /metrics HTTP/1.1\r\n\r\n" * 300
    assert talk(p.web, long).count(b"200 OK") == 300


@pytest.mark.parametrize("data, status", [
    (b"nonsense\r\n\r\n", 400), (b"GET\r\n\r\n", 400), (b"GET / HTTP/2.0\r\n\r\n", 505),
    (b"GET x HTTP/1.1\r\n\r\n", 400), (b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nA : x\r\n\r\n", 400), (b"GET /healthz\0 HTTP/1.1\r\n\r\n", 400),
    (b"POST /healthz HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 413),
    (b"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
    (b"GET /" + 9000 * b"x", 414), (b"GET / HTTP/1.1\r\n" + 9000 * b"A: b\r\n", 431)])
def test_what_is_no_request(site, data, status):
    p, get = site()
    assert talk(p.web, data, end=False).startswith(b"HTTP/1.1 %d " % status)
    assert get("/healthz").status == 200


def test_many_that_say_nothing(site):
    """The one that has been silent for longest gives its place up."""
    p, get = site()
    silent = [socket.create_connection(("127.0.0.1", p.web)) for _ in range(100)]
    try:
        for _ in range(3):
            assert get("/healthz").status == 200
    finally:
        for s in silent:
            s.close()


def ping(p, **env):
    done = subprocess.run([p.binary, "-f", p.conf_file, "ping"], capture_output=True, text=True,
                          timeout=20, env={**os.environ, **env})
    return done.returncode, done.stdout


def test_ping(site, proxy, own_pair):
    p, get = site(list(own_pair))
    wait_until(lambda: ping(p) == (0, "ready\n"), "the first node")
    p.stop()
    assert ping(p) == (2, "no answer\n")
    for cluster in reversed(own_pair):
        cluster.stop()
    p.start()
    status, said = ping(p)
    assert status == 1 and said.startswith("not ready: ")
    plain = proxy(list(own_pair))
    assert ping(plain) == (0, "it answers\n")
    plain.stop()
    assert ping(plain) == (2, "no answer\n")
    plain.write(num_init_children=-1)
    assert ping(plain)[0] == 3


def expressions(name):
    """Those of a file in k8s/."""
    with open(os.path.join(os.path.dirname(__file__), "..", "k8s", name)) as f:
        text = f.read()
    if name.endswith(".json"):
        return [t["expr"] for p in json.loads(text)["panels"] for t in p["targets"]]
    return re.findall(r"^ *expr: (.*)$", text, re.M)


IN_K8S = ["dashboard.json", "alerts.yaml"]


@pytest.mark.parametrize("name", IN_K8S)
def test_what_is_asked_for_in_k8s_is_there(site, name):
    p, get = site()
    with p.raw() as w:
        w.query("SELECT nothing")
        page = get("/metrics").text
    families = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    asked = {re.sub("_bucket$", "", metric) for e in expressions(name)
             for metric in re.findall(r"\b(?:pgpool2?|process)_\w+", e)}
    assert len(asked) >= 6 and asked <= families


@pytest.mark.skipif(not shutil.which("prometheus"), reason="a check with Prometheus itself")
def test_prometheus_answers_what_k8s_asks_for(site, tmp_path, replica):
    p, _ = site(sr_check_period=1, sr_check_user="postgres")
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 200ms}}
scrape_configs: [{{job_name: pgpool, static_configs: [{{targets: ["127.0.0.1:{p.web}"]}}]}}]
""")

    def ask(expr):
        query = urllib.parse.urlencode({"query": expr.replace("$__rate_interval", "10s").replace("$job", ".*")})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=10) as r:
            return json.load(r)["data"]["result"]
    with p.raw() as w, open(tmp_path / "log", "w") as log, subprocess.Popen(
            ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--web.listen-address=127.0.0.1:{port}",
             f"--storage.tsdb.path={tmp_path}/data"], stdout=log, stderr=log) as server:
        try:
            def empty():
                w.query("SELECT 1")
                w.query("SELECT nothing")
                try:
                    return [e for e in expressions("dashboard.json")
                            if not ask(e) and "pgpool_retries" not in e]    # none yet, no series
                except OSError:
                    return ["not yet up"]
            wait_until(lambda: not empty(), "something to draw in each panel", 30)
            for e in expressions("alerts.yaml"):
                assert not ask(e), "nothing is wrong here"
        finally:
            server.terminate()
