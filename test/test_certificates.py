"""Certificates, keys, CA files, lists of revoked certificates and ciphers: what is loaded at start, at
a reload and by --check, what is refused and how that is said.  The files are those of test/tls."""

import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import psycopg
import pytest

import wire
from test_command import run, written
from wire import packet, wait_until

pytestmark = pytest.mark.proxy

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def pems(shop):
    """pems("leaf.key") is the path of a copy whose permissions are as they should be."""
    folder = shop.path("pems")
    shutil.copytree(f"{HERE}/tls", folder)
    for name in os.listdir(folder):
        os.chmod(f"{folder}/{name}", 0o600 if name.endswith(".key") else 0o644)
    return lambda name: f"{folder}/{name}"


@pytest.fixture
def pair_of(pems):
    """Parameters of pgpool.conf: a certificate and its key.  The nodes have none."""
    def ours(cert="alt", key="leaf", **more):
        return dict(ssl=True, ssl_cert=pems(f"{cert}.crt"), ssl_key=pems(f"{key}.key"),
                    backend_sslmode="disable", **more)
    return ours


def shake(p, ciphers=None):
    """The TLS connection that SSLRequest gives."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if ciphers:
        context.set_ciphers(ciphers)
    s = socket.create_connection(p.address, 10)
    s.sendall(packet(wire.SSL_REQUEST))
    assert s.recv(1) == b"S"
    return context.wrap_socket(s)


def shown(p):
    """The fingerprint of the certificate that clients see."""
    with shake(p) as s:
        return hashlib.sha256(s.getpeercert(True)).hexdigest().upper()


def offers(p):
    with socket.create_connection(p.address, 10) as s:
        s.sendall(packet(wire.SSL_REQUEST))
        return s.recv(1)


def fingerprint(line):
    return re.search(r"fingerprint ([0-9A-F:]+)$", line)[1].replace(":", "")


def refuses_reload(p, pattern, **params):
    """What is told, and that it changes nothing."""
    before, mark = shown(p), len(p.log)
    old = {name: p.params.get(name) for name in params}
    p.write(**params)
    p.send_signal(signal.SIGHUP)
    p.wait_log("WARNING:  .*" + pattern, mark, 30)
    p.wait_log("the configuration was not reloaded: nothing has changed", mark)
    assert shown(p) == before
    p.reload(**old)
    assert shown(p) == before


# ---- the certificate that is made -------------------------------------------------------------

def test_made_at_start(proxy, pair_of):
    p = proxy(ssl=True)
    line = p.wait_log("LOG:  neither ssl_cert nor ssl_key is set: made a self-signed certificate for")
    assert f'for "{socket.gethostname()}"' in line
    assert fingerprint(line) == shown(p)
    first = shown(p)
    p.reload(log_statement=True)
    assert shown(p) == first and p.log_text().count("made a self-signed") == 1
    p.reload(**pair_of())
    assert shown(p) != first
    mark = len(p.log)
    p.reload(ssl_cert=None, ssl_key=None)
    assert fingerprint(p.wait_log("made a self-signed", mark)) == shown(p) != first


def test_ssl_is_switched_by_a_reload(proxy):
    p = proxy(ssl=False)
    assert offers(p) == b"N"
    p.reload(ssl=True)
    assert offers(p) == b"S"
    with p.connect(sslmode="require") as c:
        p.reload(ssl=False)
        assert offers(p) == b"N"
        assert c.execute("SELECT 1").fetchone() == (1,)


def test_a_client_can_trust_it(proxy, tmp_path):
    p = proxy(ssl=True)
    with shake(p) as s:
        pem = ssl.DER_cert_to_PEM_cert(s.getpeercert(True))
    (tmp_path / "root.crt").write_text(pem)
    with p.connect(sslmode="verify-full", sslrootcert=str(tmp_path / "root.crt"),
                   host=socket.gethostname(), hostaddr=p.host) as c:
        assert c.execute("SELECT 1").fetchone() == (1,)


# ---- what is loaded ---------------------------------------------------------------------------

@pytest.mark.parametrize("cert, key", [
    ("leaf", "leaf"), ("chain", "leaf"), ("rsa2048-leaf", "rsa2048"), ("rsa4096-leaf", "rsa4096"),
    ("rsa2048-leaf", "rsa2048-pkcs1"), ("p256-leaf", "p256-parameters"), ("p256-leaf", "p256-crlf"),
    ("p384-leaf", "p384"), ("p521-leaf", "p521"), ("by-rsa", "leaf")])
def test_kinds_of_keys(proxy, pair_of, pems, cert, key):
    p = proxy(**pair_of(cert, key))
    with open(pems(f"{cert}.crt")) as f:
        pem = f.read().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    assert shown(p) == hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    assert p.one("SELECT 1", sslmode="require") == 1
    assert ("4096 bits: a handshake takes" in p.log_text()) == (key == "rsa4096")
    assert p.log_text().count("WARNING") == (key == "rsa4096")


def test_relative_names(proxy, pems):
    p = proxy(start=False, ssl=True, ssl_cert="server.crt", ssl_key="server.key", ssl_ca_cert="ca.crt",
              ssl_crl_file="ca.crl", backend_sslmode="disable")
    for name, source in (("server.crt", "leaf.crt"), ("server.key", "leaf.key"), ("ca.crt", "ca.crt"),
                         ("ca.crl", "ca.crl")):
        shutil.copy(pems(source), f"{p.folder}/{name}")
    p.start()
    assert p.one("SELECT 1", sslmode="verify-ca", sslrootcert=pems("ca.crt")) == 1


def test_permissions_and_dates_are_told(proxy, pair_of, tmp_path, pems):
    shutil.copy(pems("leaf.key"), tmp_path / "open.key")
    os.chmod(tmp_path / "open.key", 0o644)
    p = proxy(**{**pair_of("expired"), "ssl_key": str(tmp_path / "open.key")})
    p.wait_log(r'WARNING:  private key file ".*/open\.key" has group or world access')
    p.wait_log(r'WARNING:  certificate "db\.example\.com" of file ".*/expired\.crt" has expired')
    assert p.one("SELECT 1", sslmode="require") == 1


BAD = [
    (dict(ssl_cert="leaf.crt"), "ssl_cert is set, but ssl_key is not: set both or neither"),
    (dict(ssl_key="leaf.key"), "ssl_key is set, but ssl_cert is not: set both or neither"),
    (dict(ssl_cert="no.crt", ssl_key="leaf.key"),
     r'could not load certificate file ".*/no\.crt": No such file or directory'),
    (dict(ssl_cert="leaf.crt", ssl_key="no.key"),
     r'could not load private key file ".*/no\.key": No such file or directory'),
    (dict(ssl_cert="leaf.crt", ssl_key="p256.key"),
     r'private key file ".*/p256\.key" does not belong to certificate file ".*/leaf\.crt"'),
    (dict(ssl_cert="ed25519.crt", ssl_key="ed25519.key"), "keys of this kind cannot be used: Ed25519"),
    (dict(ssl_cert="leaf.crt", ssl_key="p256-sha256.key"),
     r'private key file ".*" cannot be reloaded because it requires a passphrase'),
    (dict(ssl_cert="leaf.crt", ssl_key="p256-traditional.key"), "convert it with"),
    (dict(ssl_ca_cert="no.crt"), "could not load root certificate file"),
    (dict(ssl_ca_cert="leaf.key"), "there is no usable certificate in it"),
    (dict(ssl_ca_cert_dir="no"), "could not open ssl_ca_cert_dir"),
    (dict(ssl_ca_cert="ca.crt", ssl_crl_file="stranger.crl"), "it is not signed by a certificate of"),
    (dict(ssl_ca_cert="ca.crt", ssl_crl_file="part.crl"), "issuing distribution point"),
    (dict(ssl_crl_file="ca.crl"), "it is not signed by a certificate of"),
    (dict(ssl_ciphers="3DES"), "ssl_ciphers leaves nothing"),
    (dict(ssl_ecdh_curve="secp384r1"), "ssl_ecdh_curve leaves nothing"),
]


def named(pems, params):
    return {k: v if k in ("ssl_ciphers", "ssl_ecdh_curve") else pems(v) for k, v in params.items()}


@pytest.mark.parametrize("params, pattern", BAD)
def test_what_prevents_a_start(proxy, pems, params, pattern):
    p = written(proxy, ssl=True, **named(pems, params))
    done = run(p, "--check")
    assert done.returncode == 3 and re.search("FATAL:  .*" + pattern, done.stderr), done.stderr
    p.launch()
    assert p.wait() == 3
    assert re.search("FATAL:  .*" + pattern, p.log_text())


def test_what_prevents_a_reload(proxy, pair_of, pems):
    p = proxy(**pair_of())
    with p.connect(sslmode="require") as c:
        for params, pattern in BAD:
            refuses_reload(p, pattern, **{"ssl_cert": None, "ssl_key": None, **named(pems, params)})
        assert c.execute("SELECT 1").fetchone() == (1,)


def test_without_ssl_nothing_is_loaded(proxy):
    p = proxy(ssl_cert="no.crt", ssl_key="no.key", ssl_ca_cert="no.crt", ssl_ciphers="3DES")
    assert p.one("SELECT 1") == 1 and "WARNING" not in p.log_text()


def test_check_and_show_conf(proxy, pair_of, pems):
    p = written(proxy, **pair_of(ssl_ca_cert=pems("ca.crt"), ssl_crl_file=pems("ca.crl")))
    done = run(p, "--check")
    assert done.returncode == 0 and "usable" in done.stdout and "WARNING" not in done.stderr
    done = run(p, "show-conf")
    assert done.returncode == 0 and f"ssl_cert = '{pems('alt.crt')}'" in done.stdout


# ---- passphrases ------------------------------------------------------------------------------

def asking(p, text):
    """A command that writes down what it is asked."""
    with open(f"{p.folder}/ask.sh", "w") as f:
        f.write(f'echo "$1" >>{p.folder}/asked\n{text}\n')
    return f'/bin/sh {p.folder}/ask.sh "%p"'


def test_passphrase(proxy, pair_of, pems):
    p = proxy(start=False, **pair_of("p256-leaf", "p256-sha256"))
    p.params["ssl_passphrase_command"] = asking(p, "echo secret; echo more")
    p.start()
    assert p.one("SELECT 1", sslmode="require") == 1
    with open(f"{p.folder}/asked") as f:
        assert f.read() == f'Enter PEM pass phrase for {pems("p256-sha256.key")}:\n'
    first = shown(p)
    p.reload(**pair_of("rsa2048-leaf", "rsa2048-sha256"))
    assert shown(p) != first
    refuses_reload(p, "bad decrypt", ssl_passphrase_command="echo wrong")


@pytest.mark.parametrize("command, pattern", [
    ("echo wrong", "bad decrypt: the passphrase is wrong"),
    ("exit 7", r"ssl_passphrase_command failed \(exit status 7\)"),
    ("/no/such/command", r"ssl_passphrase_command failed \(exit status 127\)"),
    ("", "cannot be reloaded because it requires a passphrase")])
def test_no_passphrase(proxy, pair_of, command, pattern):
    p = written(proxy, **pair_of("p256-leaf", "p256-sha256", ssl_passphrase_command=command))
    done = run(p, "--check")
    assert done.returncode == 3 and re.search("FATAL:  .*" + pattern, done.stderr), done.stderr


def test_a_command_that_never_ends(proxy, pair_of):
    p = proxy(**pair_of("p256-leaf", "p256-sha256", ssl_passphrase_command="echo secret"))
    refuses_reload(p, "did not answer within 10 seconds",
                   ssl_passphrase_command=f"sleep 1000 & echo $! >{p.folder}/pid; wait; echo secret")
    with open(f"{p.folder}/pid") as f:
        pid = int(f.read())
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of what it started")


# ---- whom to trust ----------------------------------------------------------------------------

def client(pems, cert, key="leaf"):
    return dict(sslmode="require", sslcert=pems(f"{cert}.crt"), sslkey=pems(f"{key}.key"))


def refused(p, pattern, **how):
    with pytest.raises(psycopg.OperationalError, match=pattern):
        p.connect(**how)


def test_client_certificates(proxy, pair_of, pems):
    p = proxy(**pair_of(ssl_ca_cert=pems("ca.crt")))
    for cert in ("alice", "p384-leaf"):
        assert p.one("SELECT 1", **client(pems, cert, "p384" if cert[0] == "p" else "leaf")) == 1
    assert p.one("SELECT 1", sslmode="require", sslcert="/none") == 1
    for cert, alert in (("mallory", "unknown ca"), ("expired", "certificate expired"),
                        ("alice-by-middle", "unknown ca"), ("critical", "unsupported certificate")):
        mark = len(p.log)
        refused(p, f"alert {alert}", **client(pems, cert))
        p.wait_log("certificate verify failed", mark)


def test_revoked(proxy, pair_of, pems):
    p = proxy(**pair_of(ssl_ca_cert=pems("ca.crt"), ssl_crl_file=pems("ca.crl")))
    assert p.one("SELECT 1", **client(pems, "alice")) == 1
    refused(p, "alert certificate revoked", **client(pems, "revoked"))
    p.wait_log("certificate verify failed: certificate revoked")
    p.reload(ssl_crl_file=pems("ca-newer.crl"))
    assert p.one("SELECT 1", **client(pems, "revoked")) == 1
    refused(p, "alert certificate revoked", **client(pems, "leaf"))
    p.reload(ssl_ca_cert=pems("all.crt"), ssl_crl_file=pems("ca.crl"))
    refused(p, "alert unknown ca", **client(pems, "alice-by-middle"))
    p.wait_log("certificate verify failed: unable to get certificate CRL")
    p.reload(ssl_crl_file=pems("all.crl"))
    assert p.one("SELECT 1", **client(pems, "alice-by-middle")) == 1
    refused(p, "alert certificate revoked", **client(pems, "by-lost"))
    mark = len(p.log)
    p.reload(ssl_crl_file=pems("expired.crl"))
    p.wait_log("WARNING:  .*a list has expired", mark)
    refused(p, "alert certificate expired", **client(pems, "alice"))
    p.wait_log("certificate verify failed: CRL has expired", mark)
    assert p.one("SELECT 1", sslmode="require", sslcert="/none") == 1


def test_directory_of_cas(proxy, pair_of, pems, tmp_path):
    for name in ("ca.crt", "rsa-ca.crt"):
        shutil.copy(pems(name), tmp_path / name)
    os.symlink("ca.crt", tmp_path / "0123abcd.0")
    (tmp_path / "README").write_text("not a certificate")
    (tmp_path / "folder").mkdir()
    p = proxy(**pair_of(ssl_ca_cert_dir=str(tmp_path)))
    for cert in ("alice", "by-rsa"):
        assert p.one("SELECT 1", **client(pems, cert)) == 1
    refused(p, "alert unknown ca", **client(pems, "mallory"))
    assert "WARNING" not in p.log_text()


# ---- what is spoken ---------------------------------------------------------------------------

def suite(p, **how):
    with shake(p, **how) as s:
        return s.cipher()[0]


def test_ciphers(proxy):
    p = proxy(ssl=True, ssl_ciphers="AES256:CHACHA20", ssl_prefer_server_ciphers=True)
    assert suite(p) == "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert suite(p, ciphers="CHACHA20:AES256") == "ECDHE-ECDSA-AES256-GCM-SHA384"
    p.reload(ssl_prefer_server_ciphers=False)
    assert suite(p, ciphers="CHACHA20:AES256") == "ECDHE-ECDSA-CHACHA20-POLY1305"
    with pytest.raises(ssl.SSLError, match="(?i)alert handshake failure"):
        suite(p, ciphers="AES128")
    p.reload(ssl_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    assert suite(p) == "ECDHE-ECDSA-AES128-GCM-SHA256"
    mark = len(p.log)
    p.reload(ssl_ciphers="HIGH:AES256-SHA:!aNULL")
    assert sum("AES256-SHA" in line for line in p.log[mark:]) == 1
    p.wait_log('WARNING:  ssl_ciphers: "AES256-SHA" selects nothing here', mark)


def key_exchange(p, groups):
    """The curve that openssl got, "" when there was no handshake."""
    done = subprocess.run(["openssl", "s_client", "-starttls", "postgres", "-tls1_2", "-groups", groups,
                           "-connect", f"{p.host}:{p.port}"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20)
    found = re.search("Server Temp Key: (?:ECDH, )?([^,]+),", done.stdout)
    return found[1] if found else ""


def test_curves(proxy):
    p = proxy(ssl=True)
    assert key_exchange(p, "X25519") == "X25519" and key_exchange(p, "P-256") == "prime256v1"
    assert key_exchange(p, "P-384") == ""
    p.reload(ssl_ecdh_curve="prime256v1")
    assert key_exchange(p, "X25519:P-256") == "prime256v1" and key_exchange(p, "X25519") == ""
    p.reload(ssl_ecdh_curve="X25519")
    assert key_exchange(p, "P-256:X25519") == "X25519" and key_exchange(p, "P-256") == ""
    p.reload(ssl_ecdh_curve="secp384r1:P-256")
    p.wait_log('WARNING:  ssl_ecdh_curve: "secp384r1" selects nothing here')
    assert key_exchange(p, "P-384:P-256") == "prime256v1"
