"""Makes the files below test/tls: keys in every form, certificates and lists that are right and wrong.

They are kept, so that tests need neither this program nor python3-cryptography; it is run again
when another file is wanted:

    python3 test/make_certificates.py [name ...]        without names: what is not there yet
"""

import datetime
import ipaddress
import os
import ssl
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tls")
WANTED = set(sys.argv[1:])
PAST, NOW, FUTURE = (datetime.datetime(year, 1, 1) for year in (2001, 2020, 2120))
PEM = serialization.Encoding.PEM


def path(name):
    return os.path.join(FOLDER, name)


def is_due(name):
    return name in WANTED if WANTED else not os.path.exists(path(name))


def write(name, data):
    if is_due(name):
        with open(path(name), "wb") as f:
            f.write(data)


def read(name):
    with open(path(name), "rb") as f:
        return f.read()


def openssl(name, *args):
    """A file that openssl writes; its arguments may name other files."""
    if is_due(name):
        subprocess.run(["openssl", args[0], "-out", name, *args[1:]], cwd=FOLDER, check=True,
                       capture_output=True)


# ---- keys -------------------------------------------------------------------------------------

def plain(key):
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def keep(name, make):
    """The key of this name: from its file, or a new one."""
    if is_due(f"{name}.key"):
        write(f"{name}.key", plain(make()))
    return serialization.load_pem_private_key(read(f"{name}.key"), None)


def curve(c=ec.SECP256R1):
    return lambda: ec.generate_private_key(c())


def bits(n):
    return lambda: rsa.generate_private_key(65537, n)


def keys():
    for n in (1024, 2048, 4096, 5120):
        keep(f"rsa{n}", bits(n))
    for name, c in (("p256", ec.SECP256R1), ("p384", ec.SECP384R1), ("p521", ec.SECP521R1)):
        keep(name, curve(c))
    openssl("rsa2048-pkcs1.key", "rsa", "-in", "rsa2048.key", "-traditional")
    openssl("rsa2048.der", "pkcs8", "-topk8", "-nocrypt", "-in", "rsa2048.key", "-outform", "DER")
    openssl("rsa-primes.key", "genrsa", "-primes", "3", "2048")
    openssl("p256-sec1.key", "ec", "-in", "p256.key")
    openssl("p256-sec1.der", "ec", "-in", "p256.key", "-outform", "DER")
    write("p256-parameters.key", b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
          b"-----END EC PARAMETERS-----\n" + read("p256-sec1.key"))
    write("p256-crlf.key", read("p256-sec1.key").replace(b"\n", b"\r\n"))
    write("p256-no-newline.key", read("p256-sec1.key").rstrip(b"\n"))
    openssl("p256-traditional.key", "ec", "-in", "p256.key", "-aes256", "-passout", "pass:secret")
    for name, args in {"sha256": ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"],
                       "sha1": ["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"],
                       "sha512": ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"],
                       "3des": ["-v2", "des3"], "scrypt": ["-scrypt"]}.items():
        openssl(f"p256-{name}.key", "pkcs8", "-topk8", "-in", "p256.key", *args,
                "-passout", "pass:secret")
    openssl("rsa2048-sha256.key", "pkcs8", "-topk8", "-in", "rsa2048.key", "-v2", "aes-256-cbc",
            "-iter", "10000", "-passout", "pass:secret")
    openssl("ed25519.key", "genpkey", "-algorithm", "ED25519")
    openssl("ed448.key", "genpkey", "-algorithm", "ED448")
    openssl("pss.key", "genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048")
    openssl("secp256k1.key", "ecparam", "-name", "secp256k1", "-genkey", "-noout")
    openssl("explicit.key", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-param_enc",
            "explicit")
    openssl("explicit-pkcs8.key", "genpkey", "-algorithm", "EC", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-pkeyopt", "ec_param_enc:explicit")
    write("damaged.key", read("p256.key").replace(b"M", b"*", 1))
    write("cut.key", read("p256.key")[:100])


# ---- certificates -----------------------------------------------------------------------------

def name_of(cn):
    return x509.Name([] if cn is None else [x509.NameAttribute(NameOID.COMMON_NAME, cn)])


CA = (x509.BasicConstraints(True, None), True)
LEAF = (x509.BasicConstraints(False, None), True)
SERIALS = {}                                            # by file name, for the lists


def alt(*names):
    return x509.SubjectAlternativeName([
        x509.IPAddress(ipaddress.ip_address(n[3:])) if n.startswith("ip:") else x509.DNSName(n)
        for n in names]), False


def certificate(name, cn, key, by=None, begins=NOW, ends=FUTURE, extensions=(), hash=hashes.SHA256,
                sign=True):
    """by is (common name, key) of the issuer, or None: it signs itself."""
    issuer, secret = by or (cn, key)
    if is_due(f"{name}.crt"):
        b = (x509.CertificateBuilder().subject_name(name_of(cn)).issuer_name(name_of(issuer))
             .public_key(key.public_key()).serial_number(x509.random_serial_number())
             .not_valid_before(begins).not_valid_after(ends))
        for extension, critical in extensions:
            b = b.add_extension(extension, critical)
        algorithm = None if isinstance(secret, ed25519.Ed25519PrivateKey) else hash()
        write(f"{name}.crt", b.sign(secret, algorithm).public_bytes(PEM))
    SERIALS[name] = x509.load_pem_x509_certificate(read(f"{name}.crt")).serial_number
    return cn, key


def der(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    size = [n] if n < 128 else [0x81, n] if n < 256 else [0x82, n >> 8, n & 255]
    return bytes([tag, *size]) + body


def version_1(name, cn, key):
    """Of version 1, which has no extensions: a certificate without the field that says 3."""
    if is_due(f"{name}.crt"):
        certificate(name, cn, key)
        c = x509.load_pem_x509_certificate(read(f"{name}.crt"))
        text = c.tbs_certificate_bytes
        text = der(0x30, text[text.index(b"\xa0\3\2\1\2") + 5:])
        algorithm = der(0x30, bytes.fromhex("06082a8648ce3d040302"))
        signature = der(3, b"\0", key.sign(text, ec.ECDSA(hashes.SHA256())))
        with open(path(f"{name}.crt"), "w") as f:
            f.write(ssl.DER_cert_to_PEM_cert(der(0x30, text, algorithm, signature)))


def usage(**on):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{n: on.get(n, False) for n in names}), True


def chain(name, *parts):
    write(name, b"".join(read(p) for p in parts))


def certificates():
    leaf_key = keep("leaf", curve())
    ca = certificate("ca", "test CA", keep("ca", curve()), extensions=[CA])
    middle = certificate("middle", "test CA in the middle", keep("middle", curve()), ca,
                         extensions=[CA])
    lost = certificate("lost", "CA in the middle that was lost", keep("lost", curve()), ca,
                       extensions=[CA])
    other = certificate("stranger", "stranger", keep("stranger", curve()), extensions=[CA])
    false_ca = certificate("false-ca", "test CA", keep("false-ca", curve()), extensions=[CA])
    old = certificate("old-ca", "old CA", keep("old-ca", curve()), begins=PAST,
                      ends=datetime.datetime(2010, 1, 1), extensions=[CA])
    rsa_ca = certificate("rsa-ca", "RSA CA", keep("rsa2048", bits(2048)), extensions=[CA])
    big_ca = certificate("p384-ca", "P-384 CA", keep("p384", curve()), extensions=[CA],
                         hash=hashes.SHA384)
    by_use = certificate("usage-ca", "CA by its usage", keep("usage-ca", curve()),
                         extensions=[usage(key_cert_sign=True)])
    no_use = certificate("no-usage-ca", "CA that may not", keep("no-usage-ca", curve()),
                         extensions=[CA, usage(digital_signature=True)])
    plain_ca = certificate("plain-ca", "no CA", keep("plain-ca", curve()))
    v1 = ("version 1", keep("v1-ca", curve()))
    version_1("v1-ca", *v1)

    def leaf(name, cn="db.example.com", by=ca, key=leaf_key, extensions=(LEAF,), **more):
        return certificate(name, cn, key, by, extensions=extensions, **more)

    leaf("leaf")
    leaf("alt", "whatever", extensions=[LEAF, alt("db.example.com", "ip:127.0.0.1", "ip:::1")])
    leaf("wildcard", "*.example.com")
    leaf("dns-address", "x", extensions=[LEAF, alt("127.0.0.1")])
    leaf("cn-address", "127.0.0.1")
    leaf("cn-wild-address", "*.0.0.1")
    leaf("alt-cn-address", "127.0.0.1", extensions=[LEAF, alt("db.example.com")])
    leaf("no-name", None)
    leaf("expired", begins=PAST, ends=datetime.datetime(2010, 1, 1))
    leaf("early", begins=datetime.datetime(2110, 1, 1))
    leaf("year-1950", begins=datetime.datetime(1950, 1, 1))
    leaf("by-middle", by=middle)
    leaf("by-lost", by=lost)
    leaf("by-stranger", by=other)
    leaf("by-false-ca", by=false_ca)
    leaf("by-old", by=old)
    leaf("by-rsa", by=rsa_ca)
    leaf("by-p384", by=big_ca, hash=hashes.SHA384)
    leaf("by-leaf", by=("db.example.com", leaf_key))
    leaf("by-usage", by=by_use)
    leaf("by-no-usage", by=no_use)
    leaf("by-plain", by=plain_ca)
    leaf("by-v1", by=v1)
    leaf("sha1", by=rsa_ca, hash=hashes.SHA1)
    leaf("sha512", hash=hashes.SHA512)
    leaf("rsa1024-leaf", key=keep("rsa1024", bits(1024)))
    leaf("rsa2048-leaf", key=keep("rsa2048", bits(2048)))
    leaf("rsa4096-leaf", key=keep("rsa4096", bits(4096)))
    leaf("p256-leaf", key=keep("p256", curve()))
    leaf("p384-leaf", key=keep("p384", curve()))
    leaf("p521-leaf", key=keep("p521", curve()))
    leaf("revoked", "revoked")
    leaf("alice", "alice")
    leaf("alice-by-middle", "alice", by=middle)
    leaf("critical", extensions=[LEAF, (x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)])
    leaf("signs-only", extensions=[usage(key_cert_sign=True)])
    certificate("mallory", "alice", leaf_key, extensions=[LEAF])
    certificate("self", "db.example.com", leaf_key, extensions=[LEAF])
    certificate("self-ca", "db.example.com", leaf_key, extensions=[CA])
    ed = serialization.load_pem_private_key(read("ed25519.key"), None)
    certificate("ed25519", "ed25519", ed, extensions=[CA])
    leaf("by-ed25519", by=("ed25519", ed))
    openssl("pss.crt", "req", "-new", "-x509", "-key", "pss.key", "-subj", "/CN=pss", "-days", "36500")
    openssl("pss-signed.crt", "req", "-new", "-x509", "-key", "rsa2048.key", "-subj", "/CN=pss", "-days",
            "36500", "-sigopt", "rsa_padding_mode:pss", "-sha384")
    openssl("secp256k1.crt", "req", "-new", "-x509", "-key", "secp256k1.key", "-subj", "/CN=k1",
            "-days", "36500")
    openssl("leaf.der", "x509", "-in", "leaf.crt", "-outform", "DER")
    chain("chain.crt", "by-middle.crt", "middle.crt")
    chain("chain-extra.crt", "leaf.crt", "stranger.crt", "mallory.crt")
    chain("unordered.crt", "by-middle.crt", "stranger.crt")
    chain("bundle.crt", "ed25519.crt", "secp256k1.crt", "ca.crt", "rsa-ca.crt", "ca.crt")
    chain("both.crt", "ca.crt", "middle.crt")
    chain("all.crt", "ca.crt", "middle.crt", "lost.crt", "rsa-ca.crt")


# ---- lists ------------------------------------------------------------------------------------

def crl(name, by, *revoked, begins=NOW, ends=FUTURE, extensions=(), entry=(), hash=hashes.SHA256):
    cn, key = by
    if not is_due(f"{name}.crl"):
        return
    b = (x509.CertificateRevocationListBuilder().issuer_name(name_of(cn)).last_update(begins)
         .next_update(ends))
    for serial in revoked:
        r = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW)
        for extension, critical in entry:
            r = r.add_extension(extension, critical)
        b = b.add_revoked_certificate(r.build())
    for extension, critical in extensions:
        b = b.add_extension(extension, critical)
    write(f"{name}.crl", b.sign(key, hash()).public_bytes(PEM))


def lists():
    ca, middle = ("test CA", keep("ca", None)), ("test CA in the middle", keep("middle", None))
    lost = ("CA in the middle that was lost", keep("lost", None))
    number = (x509.CRLNumber(3), False)
    reason = (x509.CRLReason(x509.ReasonFlags.key_compromise), False)
    unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)
    part = (x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True)
    whose = (x509.CertificateIssuer([x509.DirectoryName(name_of("stranger"))]), True)
    gone = SERIALS["revoked"]
    crl("ca", ca, gone, SERIALS["lost"], extensions=[number], entry=[reason])
    crl("ca-empty", ca)
    crl("ca-newer", ca, SERIALS["leaf"], begins=datetime.datetime(2021, 1, 1))
    crl("ca-sha512", ca, gone, hash=hashes.SHA512)
    crl("middle", middle)
    crl("lost", lost)
    crl("rsa", ("RSA CA", keep("rsa2048", None)), gone)
    crl("expired", ca, begins=PAST, ends=datetime.datetime(2010, 1, 1))
    crl("early", ca, begins=datetime.datetime(2110, 1, 1))
    crl("stranger", ("stranger", keep("stranger", None)))
    crl("forged", ("test CA", keep("false-ca", None)))
    crl("sha1", ("RSA CA", keep("rsa2048", None)), hash=hashes.SHA1)
    crl("usage", ("CA by its usage", keep("usage-ca", None)))
    crl("unknown", ca, extensions=[unknown])
    crl("delta", ca, extensions=[(x509.DeltaCRLIndicator(2), True)])
    crl("part", ca, extensions=[part])
    crl("indirect", ca, gone, entry=[whose])
    crl("entry-unknown", ca, gone, entry=[unknown])
    chain("all.crl", "ca.crl", "middle.crl", "lost.crl")
    chain("twice.crl", "ca-newer.crl", "ca.crl")


os.makedirs(FOLDER, exist_ok=True)
keys()
certificates()
lists()
