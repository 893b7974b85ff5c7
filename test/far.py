"""A node behind a network that can be cut: no reset, no error, just silence.

    with Far(shop, cluster) as far:     a node for the proxy: far.host, far.port
        far.cut()
        far.mend()

A process of its own network namespace takes the connections and passes them on to the cluster's Unix
socket; a pair of interfaces leads there, which end with it.  To be root is not enough for that
everywhere: possible() says.
"""

import functools
import os
import shutil
import subprocess
import sys

PREFIX = 30                     # four addresses, one network per test


@functools.cache
def possible():
    """May we have network namespaces?"""
    if os.getuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return False
    return subprocess.run(["unshare", "-n", "ip", "link", "add", "x0", "type", "veth", "peer", "name",
                           "x1"], capture_output=True).returncode == 0


class Far:
    """A node in front of the cluster.  Its connections come from a Unix socket."""

    port = 5432

    def __init__(self, shop, cluster):
        self.process = shop.spawn(["unshare", "-n", sys.executable, __file__, str(self.port),
                                   cluster.socket], shop.path(shop.fresh("far") + ".log"))

    def __enter__(self):
        from wire import wait_until
        pid = self.process.pid
        near, self.name = f"near{pid}", f"far{pid}"
        first = 4 * (pid % 4096)
        us, self.host = (f"10.213.{(first + i) >> 8}.{(first + i) & 255}" for i in (1, 2))
        wait_until(lambda: os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"),
                   "a network of its own")
        run("ip", "link", "add", near, "type", "veth", "peer", "name", self.name, "netns", str(pid))
        run("ip", "addr", "add", f"{us}/{PREFIX}", "dev", near)
        run("ip", "link", "set", near, "up")
        self.there("addr", "add", f"{self.host}/{PREFIX}", "dev", self.name)
        self.mend()
        return self

    def there(self, *command):
        run("nsenter", "-t", str(self.process.pid), "-n", "ip", *command)

    def cut(self):
        self.there("link", "set", self.name, "down")

    def mend(self):
        self.there("link", "set", self.name, "up")

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()


def run(*command):
    subprocess.run(command, check=True)


def serve(port, path):
    """Passes each connection on."""
    import socket
    import threading

    def copy(a, b):
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)

    with socket.create_server(("", port)) as listener:
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(path)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=copy, args=ends, daemon=True).start()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
