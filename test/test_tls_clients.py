"""Other clients than libpq over TLS: JDBC, asyncpg, Node's TLS and openssl, each with code of its own."""

import os
import re
import subprocess
import sys

import pytest

from ca import Authority

pytestmark = pytest.mark.proxy

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
PASSWORD = "correct horse"
JDBC = "/usr/share/java/postgresql.jar"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture
def server(proxy, authority):
    """Starts a proxy whose clients need TLS, and this method."""
    made = authority.issue("localhost", "DNS:localhost", "IP:127.0.0.1")

    def start(method="scram-sha-256"):
        return proxy(ssl=True, ssl_cert=made.cert, ssl_key=made.key, enable_pool_hba=True,
                     backend_sslmode="disable", passwd=f"app:TEXT{PASSWORD}\n",
                     hba=f"hostssl all all all {method}\n")
    return start


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_jdbc(server, authority, host):
    p = server()
    url = (f"jdbc:postgresql://{host}:{p.port}/app?user=app&password={PASSWORD}"
           f"&sslmode=verify-full&sslrootcert={authority.cert}")
    assert run("java", "-cp", JDBC, f"{HERE}/Jdbc.java", url.replace(" ", "%20")) == "ok"


def test_asyncpg(server, authority):
    assert run(sys.executable, f"{HERE}/asyncpg_session.py", "127.0.0.1", str(server().port),
               authority.cert, PASSWORD) == "ok"


@pytest.mark.parametrize("how", ["request", "direct"])
def test_node(server, authority, how):
    out = run("node", f"{HERE}/tls.js", str(server("trust").port), authority.cert, "localhost",
              how)
    assert re.fullmatch(r"TLSv1.2 ECDHE-ECDSA-\S+ postgresql 5050", out), out


def test_node_refuses_another_host(server, authority):
    with pytest.raises(AssertionError, match="ERR_TLS_CERT_ALTNAME_INVALID"):
        run("node", f"{HERE}/tls.js", str(server("trust").port), authority.cert, "elsewhere",
            "request")


@pytest.mark.parametrize("how, words", [
    (["-tls1_2"], "Verification: OK"),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "CHACHA20-POLY1305"),
    (["-tls1_2", "-curves", "P-256"], "ECDH, prime256v1"),
    (["-tls1_2", "-curves", "P-256:X25519"], "X25519"),
])
def test_openssl(server, authority, how, words):
    out = run("openssl", "s_client", "-starttls", "postgres", "-connect",
              f"127.0.0.1:{server().port}", "-CAfile", authority.cert, "-verify_return_error", *how)
    assert words in out and "Secure Renegotiation IS supported" in out
