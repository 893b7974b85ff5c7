"""Chains of certificates and what is made of them: by us as clients' and as nodes' certificates, beside what
`openssl verify`, libpq and PostgreSQL make of the same ones.

A row is a chain.  Where we refuse what openssl takes, the row says why; the other way round is
a failure."""

import os
import ssl
import subprocess
from typing import NamedTuple

import psycopg
import pytest

import pg
from ca import Certificate, openssl
from test_failure import FAST
from test_tls import asked
from test_tls_backend import OPEN, ON_PRIMARY, TRUST, copy_to, use

pytestmark = pytest.mark.proxy

CA = "basicConstraints=critical,CA:TRUE"
LEAF = "basicConstraints=critical,CA:FALSE"
HOST = "subjectAltName=DNS:localhost"
UNKNOWN = "1.2.3.4=critical,ASN1:NULL"


def limits(text, critical="critical,"):
    return f"nameConstraints={critical}{text}"


def use_for(text, critical=""):
    return f"extendedKeyUsage={critical}{text}"


class Link(NamedTuple):
    """A certificate: its extensions, with sections of openssl's behind them, and what is special."""
    extensions: tuple
    sections: str = ""
    days: int = 30
    options: tuple = ()
    subject: str = None         # or one of its own
    bits: int = 0               # of an RSA key; 0: P-256
    is_end: bool = False        # it is in the file of authorities, not in the chain
    patch: tuple = ()           # what openssl writes, and what is put there instead; both in hex


def ca(*extensions, **more):
    return Link((CA, *extensions), **more)


def bare(*extensions, **more):
    return Link(extensions, **more)


def leaf(*extensions, **more):
    return Link((LEAF, HOST, *extensions), **more)


def leaf_of(names, **more):
    return Link((LEAF, *([f"subjectAltName={names}"] if names else [])), **more)


class Row(NamedTuple):
    name: str
    links: list                 # from the root to the leaf
    client: str = ""            # why we refuse it as a client's, "" if we do not; as openssl
    node: str = ""              # and as a node's
    host: str = None            # the same under verify-full, where it is something else
    stricter: str = ""          # why we refuse what openssl does not
    order: tuple = ()           # of the chain, as numbers of links; usual: from the leaf upwards
    weak: bool = False          # OpenSSL's libraries do not even load it


PURPOSE = "unsupported certificate purpose"
PERMITTED, EXCLUDED = "not permitted by its", "excluded by its"
KIND = "of a kind that is not supported"
CRITICAL, ODD = "unhandled critical extension", "invalid or inconsistent certificate extension"
NOT_CA, LENGTH, LONG = "invalid CA certificate", "path length constraint", "certificate chain too long"
NO_ISSUER, DATE, SIGNATURE = "local issuer", "has expired or is not yet", "signature failure"
NAME, UNUSED = "not for this host", "handshake failure"      # the node itself does not use such a key
DIRECTORY = "dirName:dir", "[dir]\nO = Example\n"
CN = "/CN=db.chain.example"
OLD_KEY, BY_OLD_KEY = "subjectKeyIdentifier=01020304", "2.5.29.35=DER:3006800401020304"
NEW_KEY, BY_NEW_KEY = "subjectKeyIdentifier=05060708", "2.5.29.35=DER:3006800405060708"


def both(name, links, why="", **more):
    return Row(name, links, why, why, **more)


ROWS = [
    both("plain", [ca(), leaf()]),
    both("two authorities", [ca(), ca(), leaf()]),
    both("another name", [ca(), ca(), leaf_of("DNS:other.example")], host=NAME),
    both("a common name beside an address", [ca(), leaf_of("IP:127.0.0.9", subject="/CN=localhost")]),
    # ---- extended key usage
    Row("client only", [ca(), leaf(use_for("clientAuth"))], "", PURPOSE),
    Row("server only", [ca(), leaf(use_for("serverAuth"))], PURPOSE, ""),
    both("both uses", [ca(), leaf(use_for("serverAuth,clientAuth"))]),
    both("critical usage", [ca(), leaf(use_for("serverAuth,clientAuth", "critical,"))]),
    Row("critical usage for a server", [ca(), leaf(use_for("serverAuth", "critical,"))], PURPOSE, ""),
    both("another usage", [ca(), leaf(use_for("codeSigning"))], PURPOSE),
    both("any usage", [ca(), leaf(use_for("anyExtendedKeyUsage"))], PURPOSE),
    Row("middle for clients", [ca(), ca(use_for("clientAuth")), leaf()], "", PURPOSE),
    Row("middle for servers", [ca(), ca(use_for("serverAuth")), leaf()], PURPOSE, ""),
    both("middle for both", [ca(), ca(use_for("serverAuth,clientAuth", "critical,")), leaf()]),
    both("middle for mail", [ca(), ca(use_for("emailProtection")), leaf()], PURPOSE),
    both("middle for anything", [ca(), ca(use_for("anyExtendedKeyUsage")), leaf()], PURPOSE),
    both("a third for mail", [ca(), ca(use_for("emailProtection")), ca(), leaf()], PURPOSE),
    Row("root for clients", [ca(use_for("clientAuth")), ca(), leaf()], "", PURPOSE),
    Row("middle of our file for clients", [ca(), ca(use_for("clientAuth"), is_end=True), leaf()], "", PURPOSE),
    Row("nsCertType client", [ca(), leaf("nsCertType=client")], "", PURPOSE),
    Row("nsCertType server", [ca(), ca("nsCertType=sslCA"), leaf("nsCertType=server")], PURPOSE, ""),
    # ---- name constraints
    both("permitted dns", [ca(), ca(limits("permitted;DNS:localhost")), leaf()]),
    both("permitted dns, not critical", [ca(), ca(limits("permitted;DNS:x.example", "")), leaf()], PERMITTED),
    both("permitted dns violated", [ca(), ca(limits("permitted;DNS:good.example")), leaf()], PERMITTED),
    both("permitted dns above", [ca(), ca(limits("permitted;DNS:good.example")), ca(), leaf()], PERMITTED),
    both("permitted dns of the root", [ca(limits("permitted;DNS:good.example")), leaf()], PERMITTED),
    both("permitted dns of the root, good", [ca(limits("permitted;DNS:localhost")), ca(), leaf()]),
    both("permitted by one, not by the other", [
        ca(limits("permitted;DNS:localhost")), ca(limits("permitted;DNS:a.example")), leaf()], PERMITTED),
    both("one of two permitted", [ca(), ca(limits("permitted;DNS:a.example,permitted;DNS:localhost")), leaf()]),
    both("below a permitted one", [ca(limits("permitted;DNS:example")), leaf_of("DNS:localhost,DNS:A.EXAMPLE")],
         PERMITTED),
    both("case does not count", [ca(limits("permitted;DNS:LOCALHOST,permitted;DNS:exAmple")),
                                 leaf_of("DNS:localhost,DNS:a.Example")]),
    both("no label's end", [ca(limits("excluded;DNS:host")), leaf()]),
    both("dot in front", [ca(limits("permitted;DNS:.example,permitted;DNS:localhost")),
                          leaf_of("DNS:localhost,DNS:example")], PERMITTED),
    both("excluded dns", [ca(), ca(limits("excluded;DNS:localhost")), leaf()], EXCLUDED),
    both("excluded dns, another", [ca(), ca(limits("excluded;DNS:bad.example")), leaf()]),
    both("excluded within permitted", [ca(limits("permitted;DNS:example,permitted;DNS:localhost,"
         "excluded;DNS:bad.example")), leaf_of("DNS:localhost,DNS:a.bad.example")], EXCLUDED),
    both("a self-issued authority is not meant", [
        ca(limits(f"excluded;{DIRECTORY[0]}"), OLD_KEY, sections=DIRECTORY[1], subject="/O=Example"),
        ca(NEW_KEY, BY_OLD_KEY, subject="/O=Example"), leaf(BY_NEW_KEY)]),
    both("a self-issued leaf is", [ca(limits(f"excluded;{DIRECTORY[0]}"), OLD_KEY, sections=DIRECTORY[1],
         subject="/O=Example/CN=app"), leaf(NEW_KEY, BY_OLD_KEY,
         subject="/O=Example/CN=app")], EXCLUDED),
    both("common name within", [ca(limits("permitted;DNS:chain.example")), leaf_of("", subject=CN)], host=NAME),
    both("common name violates", [ca(limits("permitted;DNS:good.example")), leaf_of("", subject=CN)], PERMITTED),
    both("common name excluded", [ca(), ca(limits("excluded;DNS:chain.example")), leaf_of("", subject=CN)],
         EXCLUDED),
    both("common name beside dns", [ca(limits("permitted;DNS:localhost")), leaf(subject=CN)]),
    both("common name beside an address, excluded", [
        ca(limits("excluded;DNS:chain.example")), leaf_of("IP:127.0.0.1", subject=CN)], EXCLUDED),
    both("common name is no host's", [ca(limits("permitted;DNS:good.example")), leaf_of("")], host=NAME),
    both("common name with a star", [ca(limits("permitted;DNS:good.example")),
         leaf_of("", subject="/CN=*.chain.example")], PERMITTED,
         stricter="clients take such a name for hosts', so it is bound like them"),
    both("permitted directory", [ca(), ca(limits(f"permitted;{DIRECTORY[0]}"), sections=DIRECTORY[1]),
                                 leaf(subject="/O=Example/CN=app")]),
    both("permitted directory, other case and spaces", [
        ca(), ca(limits(f"permitted;{DIRECTORY[0]}"), sections="[dir]\nO=Big   Example\n"),
        leaf(subject="/O= big EXAMPLE /CN=app")]),
    both("permitted directory violated", [ca(), ca(limits(f"permitted;{DIRECTORY[0]}"), sections=DIRECTORY[1]),
                                          leaf(subject="/O=Elsewhere/CN=app")], PERMITTED),
    both("permitted directory is deeper", [
        ca(limits(f"permitted;{DIRECTORY[0]}"), sections="[dir]\nO=Example\nOU=a\n"),
        leaf(subject="/O=Example/CN=app")], PERMITTED),
    both("excluded directory", [ca(), ca(limits(f"excluded;{DIRECTORY[0]}"), sections=DIRECTORY[1]),
                                leaf(subject="/O=EXAMPLE/CN=app")], EXCLUDED),
    both("excluded directory of a middle one", [
        ca(limits(f"excluded;{DIRECTORY[0]}"), sections=DIRECTORY[1]), ca(subject="/O=Example/CN=m"), leaf()],
        EXCLUDED),
    both("permitted address", [ca(limits("permitted;IP:127.0.0.0/255.0.0.0")),
                               leaf_of("DNS:localhost,IP:127.0.0.1")]),
    both("permitted address violated", [ca(limits("permitted;IP:10.0.0.0/255.0.0.0")),
                                        leaf_of("DNS:localhost,IP:127.0.0.1")], PERMITTED),
    both("excluded address", [ca(limits("excluded;IP:127.0.0.0/255.255.255.0")),
                              leaf_of("DNS:localhost,IP:127.0.0.1")], EXCLUDED),
    both("address of the other family", [ca(limits("excluded;IP:::/::")),
                                         leaf_of("DNS:localhost,IP:127.0.0.1")]),
    both("excluded address of six", [ca(limits("excluded;IP:::/::")), leaf_of("DNS:localhost,IP:::1")], EXCLUDED),
    both("permitted mail", [ca(limits("permitted;email:chain.example")),
                            leaf_of("DNS:localhost,email:A@Chain.example")]),
    both("permitted mail violated", [ca(limits("permitted;email:.chain.example")),
                                     leaf_of("DNS:localhost,email:a@chain.example")], PERMITTED),
    both("excluded mailbox", [ca(limits("excluded;email:bad@chain.example")),
                              leaf_of("DNS:localhost,email:bad@CHAIN.example")], EXCLUDED),
    both("mail in the subject", [ca(limits("permitted;email:good.example")),
                                 leaf(subject="/CN=app/emailAddress=a@chain.example")], PERMITTED),
    both("permitted uri", [ca(limits("permitted;URI:.chain.example")),
                           leaf_of("DNS:localhost,URI:https://a.chain.example:5432/b")]),
    both("excluded uri", [ca(limits("excluded;URI:a.chain.example")),
                          leaf_of("DNS:localhost,URI:https://A.chain.example")], EXCLUDED),
    both("a uri without a host", [ca(limits("permitted;URI:a.example")), leaf_of("DNS:localhost,URI:urn:x")], KIND),
    both("a kind that nobody knows", [ca(limits("permitted;RID:1.2.3.4")), leaf_of("DNS:localhost,RID:1.2.3.4")],
         KIND),
    both("a kind that nobody has", [ca(limits("permitted;RID:1.2.3.4")), leaf()]),
    both("a least distance", [ca("2.5.29.30=critical,DER:3012a010300e82096c6f63616c686f7374800101"), leaf()], KIND),
    both("malformed constraints", [ca("2.5.29.30=critical,DER:3003a00105"), leaf()], ODD),
    # ---- basic constraints and key usage
    both("length 0", [Link((CA + ",pathlen:0",)), leaf()]),
    both("length 0 violated", [Link((CA + ",pathlen:0",)), ca(), leaf()], LENGTH),
    both("length 1", [Link((CA + ",pathlen:1",)), Link((CA + ",pathlen:0",)), leaf()]),
    both("length 1 violated", [Link((CA + ",pathlen:1",)), ca(), ca(), leaf()], LENGTH),
    both("length 0 in the middle", [ca(), Link((CA + ",pathlen:0",)), ca(), leaf()], LENGTH),
    both("self-issued ones do not count", [
        Link((CA + ",pathlen:1", OLD_KEY), subject="/O=Same"), ca(NEW_KEY, BY_OLD_KEY, subject="/O=Same"),
        ca(BY_NEW_KEY), leaf()]),
    both("may sign", [ca("keyUsage=critical,keyCertSign"), ca("keyUsage=critical,keyCertSign,cRLSign"),
                      leaf("keyUsage=critical,digitalSignature")]),
    both("may not sign", [ca(), ca("keyUsage=critical,digitalSignature,cRLSign"), leaf()], NOT_CA),
    both("root may not sign", [ca("keyUsage=critical,cRLSign"), leaf()], NOT_CA),
    both("no authority", [ca(), Link((LEAF,)), leaf()], NOT_CA),
    both("a leaf signs", [ca(), leaf(), leaf()], NOT_CA),
    both("no constraints at all", [ca(), bare("subjectKeyIdentifier=01"), leaf()], NOT_CA),
    both("only a usage", [ca(), bare("keyUsage=keyCertSign"), leaf()], NOT_CA),
    both("only a usage, the root", [bare("keyUsage=keyCertSign"), leaf()]),
    both("version 1 in the middle", [ca(), bare(), leaf()], NOT_CA),
    both("version 1, the root", [bare(), leaf()]),
    both("version 1, the leaf", [ca(), bare()], host=NAME),
    Row("leaf for certificates only", [ca(), leaf("keyUsage=keyCertSign")], PURPOSE, UNUSED),
    Row("leaf not to be denied", [ca(), leaf("keyUsage=nonRepudiation")], PURPOSE, UNUSED),
    Row("leaf for key encipherment", [ca(), leaf("keyUsage=keyEncipherment")], PURPOSE, UNUSED,
        stricter="its key signs the handshake"),
    # ---- extensions
    both("unknown", [ca(), ca("1.2.3.4=ASN1:NULL"), leaf("1.2.3.4=ASN1:NULL")]),
    both("critical and unknown, middle", [ca(), ca(UNKNOWN), leaf()], CRITICAL),
    both("critical and unknown, leaf", [ca(), leaf(UNKNOWN)], CRITICAL),
    both("critical and unknown, root", [ca(UNKNOWN), leaf()], CRITICAL),
    both("critical identifier of a key", [ca(), ca("2.5.29.14=critical,DER:040401020304"), leaf()], CRITICAL),
    both("critical identifier of the issuer's key", [ca(OLD_KEY), leaf("2.5.29.35=critical,DER:3006800401020304")],
         CRITICAL),
    both("a proxy", [ca(), Link(("proxyCertInfo=language:id-ppl-anyLanguage", "extendedKeyUsage=clientAuth"))],
         CRITICAL),
    both("names of no kind", [ca(), ca("2.5.29.17=DER:300d82096c6f63616c686f73740c00"), leaf()], ODD),
    both("critical policies", [ca(), ca("certificatePolicies=critical,1.2.3.4"), leaf()]),
    both("policies are demanded", [ca(), ca("policyConstraints=critical,requireExplicitPolicy:0"), leaf()]),
    both("constraints twice", [ca(), ca("2.5.29.99=DER:30030101ff", patch=("551d63", "551d13")), leaf()], ODD),
    both("usage twice", [ca(), ca(use_for("clientAuth,serverAuth"), "2.5.29.99=DER:300a06082b06010505070302",
                                  patch=("551d63", "551d25")), leaf()], ODD),
    both("two kinds of signature", [ca(), leaf(patch=("06082a8648ce3d040302", "06082a8648ce3d040303"))],
         "not supported"),
    both("malformed usage", [ca(), ca("2.5.29.37=DER:0500"), leaf()], ODD),
    # ---- dates, numbers, order
    both("expired in the middle", [ca(), ca(days=-1), leaf()], DATE),
    both("expired root", [ca(days=-1), leaf()], DATE),
    both("expired leaf", [ca(), leaf(days=-1)], DATE),
    both("six", [ca(), *[ca()] * 6, leaf()]),
    both("ten", [ca(), *[ca()] * 9, leaf()]),
    both("eleven", [ca(), *[ca()] * 10, leaf()], LONG, stricter="OpenSSL takes 100, we take 10"),
    both("disorder", [ca(), ca(), ca(), leaf()], order=(3, 1, 2)),
    both("with the root", [ca(), ca(), leaf()], order=(2, 1, 0)),
    both("without one", [ca(), ca(), ca(), leaf()], NO_ISSUER, order=(3, 1)),
    both("middle of our file", [ca(), ca(is_end=True), leaf()]),
    both("not the key that is named", [ca(OLD_KEY), leaf(BY_NEW_KEY)], NO_ISSUER),
    both("the key that is named", [ca(OLD_KEY), leaf(BY_OLD_KEY)]),
    both("not the number that is named", [ca(), leaf("2.5.29.35=DER:301da117a4153013311130"
                                          "0f06035504030c08736f6d65626f6479820205aa")], NO_ISSUER),
    # ---- what is too weak
    both("SHA-1", [ca(), leaf(options=("-sha1",))], "not supported", weak=True,
         stricter="collisions of SHA-1 are made"),
    both("SHA-1 in the middle", [ca(), ca(options=("-sha1",)), leaf()], "not supported", weak=True,
         stricter="collisions of SHA-1 are made"),
    both("1024 bits in the middle", [ca(), ca(bits=1024), leaf()], "the key is too small", weak=True,
         stricter="OpenSSL's libraries refuse them at security level 2"),
]

assert len({row.name for row in ROWS}) == len(ROWS)


# ---- making them ------------------------------------------------------------------------------

class Maker:
    """Keys are made once for each kind and place in a chain, certificates for each row."""

    def __init__(self, folder):
        self.folder = folder
        self.roots = f"{folder}/roots.crt"
        self.count = 0

    def key(self, place, bits):
        path = f"{self.folder}/{place % 4}-{bits}.key"
        if not os.path.exists(path):
            openssl("genpkey", "-out", path, "-algorithm",
                    *(("RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}") if bits
                      else ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")))
        return path

    def sign(self, link, place, subject, by):
        """A certificate; by is None for one that signs itself."""
        self.count += 1
        base = f"{self.folder}/{self.count}"
        key = self.key(place, link.bits)
        openssl("req", "-new", "-key", key, "-subj", subject, "-out", base + ".csr")
        with open(base + ".ext", "w") as f:
            f.write("\n".join(link.extensions) + "\n" + link.sections)
        openssl("x509", "-req", "-in", base + ".csr", "-set_serial", str(self.count), "-days", str(link.days),
                *(("-CA", by.cert, "-CAkey", by.key) if by else ("-signkey", key)),
                *(("-extfile", base + ".ext") if link.extensions else ()), *link.options,
                "-out", base + ".crt")
        if link.patch:
            patch(base + ".crt", by.key, *map(bytes.fromhex, link.patch))
        return Certificate(base + ".crt", key)

    def make(self, row):
        made = []
        for place, link in enumerate(row.links):
            last = place + 1 == len(row.links)
            subject = link.subject or ("/CN=app" if last else f"/CN={row.name} {place}".replace(",", ""))
            made.append(self.sign(link, place, subject, made[-1] if made else None))
        order = row.order or [i for i in range(len(made) - 1, 0, -1) if not row.links[i].is_end]
        chain = made[-1].cert + ".chain"
        join(chain, [made[i].cert for i in order])
        ends = [c.cert for c, link in zip(made, row.links) if link.is_end or c is made[0]]
        join(self.roots, ends, "a")
        return Certificate(chain, made[-1].key)


def der_of(chain):
    """Of the first one."""
    with open(chain.cert) as f:
        return ssl.PEM_cert_to_DER_cert(f.read().split("-----END CERTIFICATE-----")[0] + ssl.PEM_FOOTER)


def der(tag, body):
    n = len(body)
    return bytes([tag, *([n] if n < 128 else [0x81, n] if n < 256 else [0x82, n >> 8, n & 255])]) + body


def patch(path, key, old, new):
    """Exchanges bytes in what is signed, and signs it again."""
    whole = Certificate(path, key).der()
    text = whole[4:8 + int.from_bytes(whole[6:8], "big")]
    assert whole[4:6] == b"\x30\x82" and text.count(old) == 1
    with open(path + ".text", "wb") as f:
        f.write(text.replace(old, new))
    openssl("dgst", "-sha256", "-sign", key, "-out", path + ".signature", path + ".text")
    with open(path + ".text", "rb") as f, open(path + ".signature", "rb") as g:
        signed = f.read() + der(0x30, bytes.fromhex("06082a8648ce3d040302")) + der(3, b"\0" + g.read())
    with open(path, "w") as f:
        f.write(ssl.DER_cert_to_PEM_cert(der(0x30, signed)))


def join(path, parts, how="w"):
    with open(path, how) as out:
        for part in parts:
            with open(part) as f:
                out.write(f.read())


def name_of(row):
    subject = row.links[-1].subject
    return subject.split("CN=")[1].split("/")[0] if subject else "app"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chains")
    folder.chmod(0o755)
    maker = Maker(str(folder))
    chains = {row.name: maker.make(row) for row in ROWS}
    return maker.roots, chains


# ---- the verdicts of others -------------------------------------------------------------------

def openssl_takes(roots, chain, purpose, *more):
    done = subprocess.run(["openssl", "verify", "-purpose", purpose, "-CAfile", roots, "-untrusted", chain,
                           *more, chain], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0, done.stdout


def refusal(do):
    """What the connection fails with, "" if it does not."""
    try:
        do()
    except (psycopg.OperationalError, ssl.SSLError, ConnectionError) as e:
        return str(e)
    return ""


def compare(row, ours, expected, other, whose):
    """Ours is what was wanted, and nothing that others refuse."""
    assert bool(ours) == bool(expected) and expected in ours, f"wanted {expected!r}, got {ours!r}"
    good, said = other
    if row.stricter and good:
        assert ours, f"{whose}: {said}"
    else:
        assert (not ours) == good, f"{whose}: {said}, we: {ours or 'good'}"


def cluster(shop, made):
    node = shop.cluster(shop.fresh("chains")).start()
    node.provide()
    copy_to(node, made[0], "roots.crt")
    for cn in sorted({name_of(row) for row in ROWS} - {"app"}):
        node.su(f'CREATE ROLE "{cn}" LOGIN')
    return node


# ---- clients ----------------------------------------------------------------------------------

HBA = "hostssl all all all cert\n"


@pytest.fixture(scope="module")
def asking(shop, made):
    """A proxy and a node that ask for clients' certificates; what they show, nobody looks at."""
    roots, chains = made
    own = chains["plain"]
    node = cluster(shop, made)
    use(node, own, TRUST + HBA + "hostnossl all all all trust\n", ssl_ca_file="roots.crt")
    p = shop.proxy([node], hba=HBA, enable_pool_hba=True, ssl=True, ssl_cert=own.cert, ssl_key=own.key,
                   ssl_ca_cert=roots, backend_sslmode="disable").start()
    yield p, node
    p.stop()
    node.remove()


def shake(p, chain):
    """A handshake with what libpq would not show."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(chain.cert, chain.key)
    with asked(p) as w:
        w.sock = context.wrap_socket(w.sock)
        w.login(user="app")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.skipif(pg.SERVER != pg.BIN, reason="another OpenSSL judges otherwise")
def test_as_a_clients(asking, made, row):
    roots, chains = made
    p, node = asking
    chain = chains[row.name]
    how = dict(user=name_of(row), dbname="app", sslmode="require", sslcert=chain.cert, sslkey=chain.key,
               ssl_max_protocol_version="TLSv1.2")
    mark = len(p.log)
    said = refusal(lambda: shake(p, chain) if row.weak else p.ask("SELECT 1", **how))
    ours = said and p.wait_log("certificate verify failed: ", mark)
    compare(row, ours, row.client, openssl_takes(roots, chain.cert, "sslclient"), "openssl")
    if row.weak:
        return
    theirs = refusal(lambda: node.ask("SELECT 1", **how))
    compare(row, ours, row.client, (not theirs, theirs), "PostgreSQL")


# ---- nodes ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def node(shop, made):
    node = cluster(shop, made)
    yield node
    node.remove()


def shown(node):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with asked(node) as w:
        w.sock = context.wrap_socket(w.sock)
        return w.sock.getpeercert(True)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.weak], ids=lambda row: row.name)
def test_as_a_nodes(proxy, node, made, row):
    """Under verify-full, and where that refuses a name, under verify-ca as well."""
    roots, chains = made
    chain = chains[row.name]
    use(node, chain, OPEN)
    if row.node != UNUSED:
        assert shown(node) == der_of(chain)
    full = row.node if row.host is None else row.host
    for mode, expected, host in (("verify-full", full, ("-verify_hostname", "localhost")),
                                 ("verify-ca", row.node, ()))[:1 if row.host is None else 2]:
        p = proxy(nodes=[node], start=False, backend_sslmode=mode, ssl_ca_cert=roots, **FAST)
        p.params["backend_hostname0"] = "localhost"
        p.start()
        ours = refusal(lambda: p.ask(ON_PRIMARY + "SELECT 1"))
        theirs = refusal(lambda: node.ask("SELECT 1", host="localhost", sslmode=mode, sslrootcert=roots))
        compare(row, ours, expected, openssl_takes(roots, chain.cert, "sslserver", *host), "openssl")
        compare(row, ours, expected, (not theirs, theirs), f"libpq {mode}")
