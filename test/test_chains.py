"""Chains of certificates, and what four of us make of them: `openssl verify`, libpq (as a client) and
PostgreSQL (as a server), and the proxy in both roles.

Never does the proxy take what openssl refuses.  Where it refuses what openssl takes, the row says why.
"""

import os
import re
import subprocess

import psycopg
import pytest

from ca import KEY, openssl
from test_failure import FAST

pytestmark = pytest.mark.proxy

CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
PLAIN = "basicConstraints=CA:FALSE\n"
SAN = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
LEAF = PLAIN + SAN
CRITICAL, LONG, NAMES = ("bearssl knows no critical one", "more than five certificates",
                         "name constraints are not supported")


def eku(words):
    return f"extendedKeyUsage={words}\n"


def limits(text):
    return CA + f"nameConstraints={text}\n"


# A root that limits names is refused at start (test_certificates.py).
# What it is, extensions from the root to the leaf, and why the proxy is stricter (or None).
CHAINS = {
    "plain": ([CA, CA, LEAF], None),
    "issued by the root": ([CA, LEAF], None),
    "a leaf for both": ([CA, CA, LEAF + eku("serverAuth,clientAuth")], None),
    "a leaf for servers": ([CA, CA, LEAF + eku("serverAuth")], None),
    "a leaf for clients": ([CA, CA, LEAF + eku("clientAuth")], None),
    "a leaf for anything": ([CA, CA, LEAF + eku("anyExtendedKeyUsage")], None),
    "a leaf for mail": ([CA, CA, LEAF + eku("emailProtection")], None),
    "a critical use": ([CA, CA, LEAF + eku("critical,serverAuth,clientAuth")], CRITICAL),
    "an authority for servers": ([CA, CA + eku("serverAuth"), LEAF], None),
    "an authority for clients": ([CA, CA + eku("clientAuth"), LEAF], None),
    "an authority for both": ([CA, CA + eku("clientAuth,serverAuth"), LEAF], None),
    "an authority for anything": ([CA, CA + eku("anyExtendedKeyUsage"), LEAF], None),
    "an authority for mail": ([CA, CA + eku("emailProtection"), LEAF], None),
    "the upper one for clients": ([CA, CA + eku("clientAuth"), CA, LEAF], None),
    "the upper one for servers": ([CA, CA + eku("serverAuth"), CA, LEAF], None),
    "a root for servers": ([CA + eku("serverAuth"), CA, LEAF], None),
    "a root for clients": ([CA + eku("clientAuth"), CA, LEAF], None),
    "a path of none": ([CA, CA.replace("TRUE", "TRUE,pathlen:0"), LEAF], None),
    "a path of none, with one": ([CA, CA.replace("TRUE", "TRUE,pathlen:0"), CA, LEAF], None),
    "a path of one": ([CA, CA.replace("TRUE", "TRUE,pathlen:1"), CA, LEAF], None),
    "a path of one, with two": ([CA, CA.replace("TRUE", "TRUE,pathlen:1"), CA, CA, LEAF], None),
    "a root's path of none": ([CA.replace("TRUE", "TRUE,pathlen:0"), LEAF], None),
    "a root's path of none, with one": ([CA.replace("TRUE", "TRUE,pathlen:0"), CA, LEAF], None),
    "a root's path of one": ([CA.replace("TRUE", "TRUE,pathlen:1"), CA, LEAF], None),
    "no authority": ([CA, PLAIN, LEAF], None),
    "an authority without a word": ([CA, "", LEAF], None),
    "an authority that may not sign": (
        [CA, "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature\n", LEAF], None),
    "an unknown extension": ([CA, CA + "1.2.3.4=ASN1:NULL\n", LEAF], None),
    "an unknown critical extension": ([CA, CA + "1.2.3.4=critical,ASN1:NULL\n", LEAF], None),
    "a leaf's unknown critical extension": ([CA, CA, LEAF + "1.2.3.4=critical,ASN1:NULL\n"], None),
    "names allowed": ([CA, limits("permitted;DNS:localhost,permitted;IP:127.0.0.0/255.0.0.0"), LEAF],
                      NAMES),
    "names allowed, critical": ([CA, limits("critical,permitted;DNS:localhost"), LEAF], NAMES),
    "names not allowed": ([CA, limits("permitted;DNS:example.com"), LEAF], None),
    "names excluded": ([CA, limits("excluded;DNS:localhost"), LEAF], None),
    "an address not allowed": ([CA, limits("permitted;IP:10.0.0.0/255.0.0.0"), LEAF], None),
    "a common name that is none of a host": ([CA, limits("permitted;DNS:example.com"), PLAIN], NAMES),
    "an upper one's names": ([CA, limits("excluded;DNS:localhost"), CA, LEAF], None),
    "a directory not allowed": ([CA, limits("permitted;dirName:somewhere"), LEAF], None),
    "five": ([CA] * 5 + [LEAF], None),
    "six": ([CA] * 6 + [LEAF], LONG),
}
EXPIRED = {"an expired authority": 1, "an expired leaf": 2, "an expired root": 0}
for _name in EXPIRED:
    CHAINS[_name] = ([CA, CA, LEAF], None)


class Chain:
    """Files: root (the anchor), shown (the leaf and what is between), key (the leaf's)."""

    def __init__(self, folder, name, extensions):
        self.base = os.path.join(folder, re.sub(r"\W+", "-", name))
        self.root, self.key, self.shown = (f"{self.base}.{end}" for end in ("root", "key", "shown"))
        self.between = self.base + ".between"
        certs = [self.make(i, text, i == EXPIRED.get(name), len(extensions))
                 for i, text in enumerate(extensions)]
        self.join(self.root, certs[:1])
        self.join(self.between, certs[1:-1])
        self.join(self.shown, certs[:0:-1])
        self.leaf = certs[-1]
        os.rename(f"{self.base}.{len(certs) - 1}.key", self.key)
        os.chmod(self.key, 0o600)

    @staticmethod
    def join(path, certs):
        with open(path, "w") as f:
            for c in certs:
                with open(c) as part:
                    f.write(part.read())

    def make(self, i, extensions, expired, count):
        """The i-th from the root, and its key; issued by the one before."""
        cert, key, request, ini = (f"{self.base}.{i}.{end}" for end in ("crt", "key", "csr", "ini"))
        cn = "app" if i == count - 1 else f"{os.path.basename(self.base)} {i}"
        with open(ini, "w") as f:
            f.write(f"[x]\n{extensions}\n[somewhere]\nCN=another place\n")
        openssl("req", "-new", *KEY, "-subj", f"/CN={cn}", "-keyout", key, "-out", request)
        issuer = f"{self.base}.{i - 1}"
        sign = ["-CA", issuer + ".crt", "-CAkey", issuer + ".key", "-CAcreateserial"] if i \
            else ["-signkey", key]
        openssl("x509", "-req", "-in", request, *sign, "-days", "-1" if expired else "30",
                "-extfile", ini, "-extensions", "x", "-out", cert)
        return cert

    def verdict(self, *args):
        """openssl's: "", or why not."""
        between = ["-untrusted", self.between] if os.path.getsize(self.between) else []
        done = subprocess.run(["openssl", "verify", "-CAfile", self.root, *between, *args, self.leaf],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return "" if done.returncode == 0 else done.stdout


@pytest.fixture(scope="module")
def node(shop):
    node = shop.cluster(shop.fresh("p")).start()
    node.provide()
    yield node
    node.remove()


@pytest.fixture(params=CHAINS)
def chain(request, node, tmp_path):
    extensions, stricter = CHAINS[request.param]
    chain = Chain(tmp_path, request.param, extensions)
    chain.stricter, chain.named = stricter, SAN in extensions[-1]
    for name in ("root", "shown", "key"):
        path = f"{node.data}/{name}"
        with open(getattr(chain, name)) as f, open(path, "w") as to:
            to.write(f.read())
        os.chmod(path, 0o600)
        node.shop.owned(path)
    node.configure(ssl=True, ssl_cert_file="shown", ssl_key_file="key", ssl_ca_file="root")
    node.rules("local all all trust\nhost all postgres all trust\nhostnossl all all all trust\n"
               "hostssl all all all cert\n")
    node.reload()
    return chain


def connects(target, **how):
    try:
        with psycopg.connect(**target.where(user="app", **how)) as c:
            return c.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError as e:
        text = str(e)
        assert "certificate" in text or "alert" in text or "SSL" in text, text
        return False


def agree(chain, expect, theirs, ours, log):
    """Ours is the others', or stricter where it is said why."""
    assert theirs == (not expect), expect
    assert ours == (theirs and not chain.stricter), (expect, log())


def test_a_client_s_chain(proxy, node, chain):
    """Shown to PostgreSQL and to the proxy, by libpq."""
    shown = dict(sslmode="require", sslcert=chain.shown, sslkey=chain.key)
    p = proxy(nodes=[node], ssl=True, ssl_ca_cert=chain.root, backend_sslmode="disable",
              enable_pool_hba=True, hba="hostssl all all all cert\n")
    agree(chain, chain.verdict("-purpose", "sslclient"), connects(node, **shown),
          connects(p, **shown), p.log_text)


def test_a_node_s_chain(proxy, node, chain):
    """PostgreSQL shows it to libpq, and to the proxy."""
    node.rules("local all all trust\nhost all all all trust\n")
    node.reload()
    name = "localhost" if chain.named else "app"            # the common name
    expect = chain.verdict("-purpose", "sslserver", "-verify_hostname", name)
    theirs = connects(node, sslmode="verify-full", sslrootcert=chain.root, host=name,
                      hostaddr="127.0.0.1", sslcert="none", sslkey="none")
    p = proxy(nodes=[node], backend_hostname0=name if name == "localhost" else "127.0.0.1",
              backend_sslmode="verify-full" if name == "localhost" else "verify-ca",
              ssl_ca_cert=chain.root, primary_wait_timeout=0, **FAST)
    try:
        ours = p.one("SELECT 1") == 1
    except psycopg.OperationalError as e:
        assert "certificate" in str(e), e
        ours = False
    agree(chain, expect, theirs, ours, p.log_text)

