"""Certificates for tests, made by openssl: authorities, what they issue, what signs itself.

    ca = Authority(folder)
    good = ca.issue("localhost", "DNS:localhost", "IP:127.0.0.1")
    good.cert, good.key         names of files, as PEM
"""

import hashlib
import itertools
import os
import ssl
import subprocess
from typing import NamedTuple

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_serial = itertools.count(1)


class Certificate(NamedTuple):
    cert: str
    key: str

    def der(self):
        with open(self.cert) as f:
            return ssl.PEM_cert_to_DER_cert(f.read())

    def end_point(self, signed_with="sha256"):
        """tls-server-end-point (RFC 5929)."""
        return hashlib.new(signed_with, self.der()).digest()

    def context(self, alpn=()):
        """A server's, of TLS 1.2."""
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        c.load_cert_chain(self.cert, self.key)
        if alpn:
            c.set_alpn_protocols(list(alpn))
        return c


def openssl(*args):
    done = subprocess.run(["openssl", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == 0, done.stdout


def fresh(folder, name):
    base = os.path.join(folder, f"{name}{next(_serial)}")
    return Certificate(base + ".crt", base + ".key")


def extensions(names, usage=None):
    return [*(["-addext", "subjectAltName=" + ",".join(names)] if names else []),
            *(["-addext", "extendedKeyUsage=" + usage] if usage else [])]


def self_signed(folder, cn="localhost", *names, ca=False, key=None):
    """With a key of its own, or with this one."""
    made = fresh(folder, "self")
    made = Certificate(made.cert, key or made.key)
    openssl("req", "-x509", *(("-key", key) if key else (*KEY, "-keyout", made.key)),
            "-subj", f"/CN={cn}", "-days", "30", *extensions(names),
            *([] if ca else ["-addext", "basicConstraints=critical,CA:FALSE"]), "-out", made.cert)
    return made


class Authority:
    def __init__(self, folder, name="authority"):
        self.folder = folder
        self.own = self_signed(folder, name, ca=True)
        self.cert = self.own.cert

    def issue(self, cn="localhost", *names, days=30, usage=None):
        """days=-1: expired; usage: the extended one, of any kind if there is none."""
        made = fresh(self.folder, "leaf")
        request = made.key + ".csr"
        openssl("req", "-new", *KEY, "-subj", f"/CN={cn}", *extensions(names, usage),
                "-keyout", made.key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.own.cert, "-CAkey", self.own.key,
                "-CAcreateserial", "-copy_extensions", "copyall", "-days", str(days),
                "-out", made.cert)
        return made
