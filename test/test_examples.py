"""The examples of README.md, docs/guide.md and Dockerfile, typed as they stand there.

Only what must differ on this machine is replaced: host names and ports.  An example that no test
knows is an error, so that a new one comes with its test.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from pg import free_port, tool
from test_image import asking, image                        # noqa: F401
from wire import wait_until

pytestmark = pytest.mark.proxy

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def read(name):
    with open(os.path.join(TOP, name)) as f:
        return f.read()


def blocks(name):
    """Indented blocks, each as one text without its indent."""
    found = re.findall(r"(?:^\n)((?:^    .*\n|^\n(?=    ))+)", read(name), re.M)
    return [re.sub(r"^    ", "", text, flags=re.M).rstrip() for text in found]


def block(name, begins):
    (text,) = [b for b in blocks(name) if b.startswith(begins)]
    return text


KNOWN = {
    "README.md": ["$ make run", "make  ", "listen_addresses", "$ echo", "$ PGPOOL_PARAMS_"],
    "docs/guide.md": ["$ PGPOOL_PARAMS_", "CREATE ROLE pgpool_auth"],
}


@pytest.mark.parametrize("name", KNOWN)
def test_each_example_is_tried(name):
    assert len(blocks(name)) == len(KNOWN[name])
    for text, begins in zip(blocks(name), KNOWN[name]):
        assert text.startswith(begins)


# ---- make -------------------------------------------------------------------------------------

def shape(text):
    """What make run prints, without the port, which differs."""
    return re.sub(r"\d{5}", "PORT", text).split("Connect with")[0].split()


def test_make_run_prints_what_the_readme_shows():
    command, *shown = block("README.md", "$ make run").splitlines()
    assert f"\n{command.split()[-1]}:" in read("Makefile")
    out = subprocess.run([sys.executable, f"{TOP}/test/run-demo.py", "--once"], text=True, timeout=120,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True).stdout
    assert shape(out) == shape("\n".join(shown))


def test_the_targets_of_make():
    makefile = read("Makefile")
    for line in block("README.md", "make  ").splitlines():
        target = re.match(r"make (\S*)", line)[1] or "all"
        assert re.search(rf"^{target}:", makefile, re.M), line
        assert target == "all" or f"# make {target} " in makefile, line


# ---- on a host --------------------------------------------------------------------------------

@pytest.fixture
def host(shop, asking, tmp_path):                           # noqa: F811
    """A folder of an ordinary user with the program in it."""
    primary = asking[0]
    primary.su("ALTER ROLE app PASSWORD 'secret'")
    primary.catch_up(asking[1])
    folder = tmp_path / "host"
    folder.mkdir()
    shutil.copy(os.environ.get("PGPOOL_BINARY", f"{TOP}/pgpool"), folder / "pgpool")
    for part in (folder, *folder.parents):
        os.chmod(part, os.stat(part).st_mode | 0o555)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    return folder


def type_in(shop, folder, script, **environment):
    path = os.path.dirname(tool("psql")) + ":" + os.environ["PATH"]
    return subprocess.run(["sh", "-e"], input=script, cwd=folder, text=True, timeout=60,
                          env={"PATH": path, "PGPASSWORD": "secret", **environment},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **shop.as_postgres())


def test_the_smallest_configuration(shop, asking, host):    # noqa: F811
    """Clients get in, reload and stop find the daemon."""
    primary, replica = asking
    port = str(free_port())
    text = block("README.md", "listen_addresses")
    for old, new in {"'primary.example'": "'127.0.0.1'", "'replica.example'": "'127.0.0.1'",
                     "backend_port0 = 5432": f"backend_port0 = {primary.port}",
                     "backend_port1 = 5432": f"backend_port1 = {replica.port}",
                     "port = 9999": f"port = {port}"}.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (host / "pgpool.conf").write_text(text + f"\npcp_port = {free_port()}\n")
    commands = block("README.md", "$ echo")
    assert len(re.findall(r"^\$ ", commands, re.M)) == len(commands.splitlines())
    done = type_in(shop, host, re.sub(r"^\$ ", "", commands, flags=re.M).replace("9999", port))
    assert done.returncode == 0, done.stdout
    assert re.search(r"^ +1$", done.stdout, re.M), done.stdout
    wait_until(lambda: not (host / "pgpool.pid").exists(), "its end")


# ---- in a container ---------------------------------------------------------------------------

def variables(text):
    """A command line's NAME=value words, and the rest."""
    words = shlex.split(text.replace("\\\n", " "))
    given = dict(w.split("=", 1) for w in words if re.match(r"[A-Z_0-9]+=", w))
    return given, [w for w in words if not re.match(r"[A-Z_0-9]+=", w)]


def serves(image, asking, host, environment):               # noqa: F811
    """The program gets exactly these variables, but for hosts and ports."""
    p = image()
    names = {"primary.example": "127.0.0.1", "replica.example": "127.0.0.1", "db": "127.0.0.1"}
    p.environment = {k: names.get(v, v) for k, v in environment.items()} | {
        "PGPOOL_PARAMS_PORT": str(p.port), "PGPOOL_PARAMS_PCP_PORT": str(p.pcp_port)}
    for i, node in enumerate(asking):
        if f"PGPOOL_PARAMS_BACKEND_HOSTNAME{i}" in environment:
            p.environment[f"PGPOOL_PARAMS_BACKEND_PORT{i}"] = str(node.port)
    p.launch()
    wait_until(p.accepts, "start of the proxy")
    assert p.psql("SELECT current_user", user="app", password="secret") == "app"
    assert "FATAL" in p.psql("SELECT 1", user="app", password="wrong", check=False)
    return p


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md"])
def test_variables_on_a_command_line(image, asking, host, name):        # noqa: F811
    given, rest = variables(block(name, "$ PGPOOL_PARAMS_"))
    assert rest == ["$", "./pgpool"]
    assert given["PGPOOL_PARAMS_BACKEND_PORT1"] == "5432"
    p = serves(image, asking, host, given)
    assert len({p.psql("SELECT current_setting('port')", user="app", password="secret")
                for _ in range(20)}) >= 1


def test_docker_run(image, asking, host):                   # noqa: F811
    (line,) = re.findall(r"^#\tdocker run (.*)$", read("Dockerfile"), re.M)
    given, rest = variables(line)
    assert rest == ["-p", "9999:9999", "-e", "-e", "-e", "pgpool"]
    assert "EXPOSE 9999" in read("Dockerfile")
    serves(image, asking, host, given)


# ---- auth_user --------------------------------------------------------------------------------

def test_the_role_that_auth_user_needs(proxy, asking, host):            # noqa: F811
    primary = asking[0]
    sql = block("docs/guide.md", "CREATE ROLE pgpool_auth").replace("'...'", "'asks'")
    primary.su("DROP ROLE IF EXISTS pgpool_auth")
    primary.psql(sql, user="postgres", dbname="postgres")
    try:
        p = proxy(nodes=asking, auth_user="pgpool_auth", passwd="pgpool_auth:asks\n")
        assert p.psql("SELECT current_user", user="app", password="secret") == "app"
        assert "FATAL" in p.psql("SELECT 1", user="app", password="wrong", check=False)
    finally:
        primary.su("REVOKE ALL ON pg_authid FROM pgpool_auth", dbname="postgres")
        primary.su("DROP ROLE pgpool_auth")
