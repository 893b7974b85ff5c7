"""The container image's environment: what works with Pgpool-II's image works with ours.

The program runs without arguments as it does in the image: in an empty root directory that it may
not write to, as nobody, with files below /config.  The deployments are those of Pgpool-II's
documentation for Kubernetes; only hosts, ports and passwords are the test's.
"""

import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import textwrap

import psycopg
import pytest

import wire
from pg import free_port
from test_pcp import Pcp
from wire import packet, wait_until

pytestmark = [pytest.mark.proxy,
              pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its root directory")]

USER, PASSWORD = "image_user", "a=b 'c' $d"
RULES = "local all all trust\nhost all all 127.0.0.1/32 {}\n"
_roots = itertools.count()


@pytest.fixture(scope="module")
def asking(shop):
    """A primary and its replica that ask everybody but postgres for a password (SCRAM)."""
    primary = shop.cluster(shop.fresh("p"), password_encryption="scram-sha-256").start()
    primary.provide()
    primary.ask("CREATE ROLE " + USER + " LOGIN PASSWORD '" + PASSWORD.replace("'", "''") + "'",
                user="postgres")
    replica = primary.standby(shop.fresh("r")).start()
    primary.catch_up(replica)
    for node in (primary, replica):
        node.rules("local all all trust\nhost replication all 127.0.0.1/32 trust\n"
                   "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        node.reload()
    yield primary, replica
    replica.remove()
    primary.remove()


@pytest.fixture
def image(proxy, asking, tmp_path):
    """image(environment, {"pgpool.conf": text, ...}) is a proxy that is not started yet."""
    def make(environment=None, files=None, folder="config"):
        p = proxy(start=False, nodes=asking, unix_socket_directories=None)
        if p.sanitized:
            pytest.skip("a debugging build needs its libraries")
        root = tmp_path / f"root{next(_roots)}"
        (root / folder).mkdir(parents=True)
        shutil.copy(p.binary, root / "pgpool")
        for name, text in (files or {}).items():
            path = root / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        for part in (root, *root.parents):
            os.chmod(part, os.stat(part).st_mode | 0o555)

        def enter():
            os.chroot(root)
            os.chdir("/")
            os.setgroups([])
            os.setgid(70)
            os.setuid(70)

        p.root, p.before, p.environment = root, enter, environment or {}
        p.pcp_port = free_port()
        p.write = lambda **params: None
        p.command = lambda *args: ["/pgpool", *args]
        return p
    return make


def minimal(p, primary, replica):
    """pgpool-deploy-minimal.yaml"""
    return {
        "PGPOOL_PARAMS_PORT": str(p.port),
        "PGPOOL_PARAMS_PCP_PORT": str(p.pcp_port),
        "PGPOOL_PARAMS_BACKEND_HOSTNAME0": primary.host,
        "PGPOOL_PARAMS_BACKEND_PORT0": str(primary.port),
        "PGPOOL_PARAMS_BACKEND_WEIGHT0": "1",
        "PGPOOL_PARAMS_BACKEND_FLAG0": "ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER",
        "PGPOOL_PARAMS_BACKEND_HOSTNAME1": replica.host,
        "PGPOOL_PARAMS_BACKEND_PORT1": str(replica.port),
        "PGPOOL_PARAMS_BACKEND_WEIGHT1": "1",
        "PGPOOL_PARAMS_BACKEND_FLAG1": "DISALLOW_TO_FAILOVER",
        "PGPOOL_PARAMS_FAILOVER_ON_BACKEND_ERROR": "off",
        "POSTGRES_USERNAME": USER,
        "POSTGRES_PASSWORD": PASSWORD,
    }


# pgpool-deploy.yaml
DEPLOY = {
    "POSTGRES_USERNAME": USER,
    "POSTGRES_PASSWORD": PASSWORD,
    "PGPOOL_PASSWORD_ENCRYPTION_METHOD": "scram-sha-256",
    "PGPOOL_ENABLE_POOL_PASSWD": "true",
    "PGPOOL_SKIP_PASSWORD_ENCRYPTION": "false",
}

# pgpool-configmap.yaml
CONFIGMAP = """\
listen_addresses = '*'
port = {port}
socket_dir = '/var/run/pgpool'
pcp_listen_addresses = '*'
pcp_port = {pcp}
pcp_socket_dir = '/var/run/pgpool'
backend_hostname0 = '127.0.0.1'
backend_port0 = {primary}
backend_weight0 = 1
backend_flag0 = 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER'
backend_hostname1 = '127.0.0.1'
backend_port1 = {replica}
backend_weight1 = 1
backend_flag1 = 'DISALLOW_TO_FAILOVER'
sr_check_period = 0
health_check_period = 0
backend_clustering_mode = 'streaming_replication'
num_init_children = 32
max_pool = 4
child_life_time = 300
child_max_connections = 0
connection_life_time = 0
client_idle_limit = 0
connection_cache = on
load_balance_mode = on
ssl = on
enable_pool_hba = on
failover_on_backend_error = off
log_min_messages = warning"""


def configmap(p, asking, more=""):
    return CONFIGMAP.format(port=p.port, pcp=p.pcp_port, primary=asking[0].port,
                            replica=asking[1].port) + more


def put(p, name, text):
    (p.root / "config" / name).write_text(text)


def serves(p, password=PASSWORD):
    assert p.psql("SELECT current_user", user=USER, password=password, dbname="app") == USER
    nodes = {p.psql("SELECT current_setting('port')", user=USER, password=password, dbname="app")
             for _ in range(20)}
    assert len(nodes) == 2                          # weights 1 and 1
    assert p.psql("CREATE TEMP TABLE t (a int); SELECT count(*) FROM t", user=USER,
                  password=password, dbname="app") == "0"
    wrong = p.psql("SELECT 1", user=USER, password="wrong", dbname="app", check=False)
    assert "FATAL" in wrong


def writes_nothing(p):
    names = sorted(os.path.relpath(os.path.join(d, f), p.root)
                   for d, _, files in os.walk(p.root) for f in files)
    return [name for name in names if name != "pgpool" and not name.startswith("config/")] == []


def unencrypted(p):
    try:
        return str(p.one("SELECT 1", user=USER, password=PASSWORD, sslmode="disable"))
    except psycopg.OperationalError as e:
        return str(e)


def pem(name):
    with open(f"{os.path.dirname(__file__)}/tls/{name}") as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


def mount(p, **files):
    """mount(p, tls_crt="leaf.crt") is /config/tls/tls.crt, a file of test/tls."""
    (p.root / "config/tls").mkdir(exist_ok=True)
    for name, source in files.items():
        path = p.root / "config/tls" / name.replace("_", ".")
        shutil.copy(f"{os.path.dirname(__file__)}/tls/{source}", path)
        os.chmod(path, 0o644)


def certificate(p):
    """What clients see."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(p.address, 10) as s:
        s.sendall(packet(wire.SSL_REQUEST))
        assert s.recv(1) == b"S"
        with context.wrap_socket(s) as t:
            return t.getpeercert(True)


def start(p):
    p.launch()
    wait_until(p.accepts, "start of the proxy", 20)
    return p


# ---- the documented deployments ---------------------------------------------------------------

def test_pgpool_deploy_minimal(image, asking):
    p = image()
    p.environment = minimal(p, *asking)
    start(p)
    serves(p)
    p.wait_log("configuration: PGPOOL_PARAMS_\\* variables; access rules: none")
    assert writes_nothing(p)
    assert p.stop(signal.SIGTERM) == 0


def test_pgpool_deploy_with_the_configmap(image, asking):
    """ssl = on: a certificate is made, and the generated rule lets nobody in without TLS."""
    p = image(DEPLOY)
    put(p, "pgpool.conf", configmap(p, asking))
    start(p)
    serves(p)
    p.wait_log(r"configuration: /config/pgpool\.conf; access rules: generated")
    p.wait_log("made a self-signed certificate for")
    assert "SSL off" in unencrypted(p)
    p.wait_log('"socket_dir" is now called "unix_socket_directories"')
    assert PASSWORD not in p.log_text() and writes_nothing(p)
    assert p.stop(signal.SIGTERM) == 0


def test_pgpool_deploy_with_its_own_rules(image, asking):
    """The commented lines of the ConfigMap: with TLS or not at all."""
    p = image(DEPLOY)
    put(p, "pgpool.conf", configmap(p, asking))
    put(p, "pool_hba.conf", "local      all         all                          trust\n"
                            "hostssl    all         all         0.0.0.0/0        scram-sha-256\n")
    serves(start(p))
    assert "no pool_hba.conf entry" in unencrypted(p)
    put(p, "pool_hba.conf", RULES.format("scram-sha-256"))
    p.send_signal(signal.SIGHUP)
    p.wait_log("reload config files")
    serves(p)
    assert unencrypted(p) == "1"


def blocks(name):
    """The texts behind `KEY: |` in a manifest."""
    with open(f"{os.path.dirname(__file__)}/../k8s/{name}") as f:
        found = re.findall(r"^  (\S+): \|\n((?:    .*\n|\n)+)", f.read(), re.M)
    return {key: textwrap.dedent(text) for key, text in found}


def test_our_configmap(image, asking):
    files = blocks("pgpool-configmap.yaml")
    assert set(files) == {"pgpool.conf", "pool_hba.conf", "pool_passwd"}
    p = image(files=files)
    put(p, "pool_passwd", files["pool_passwd"].replace("postgres:change-me", f"{USER}:{PASSWORD}"))
    put(p, "pgpool.conf", files["pgpool.conf"].replace("port = 9999", f"port = {p.port}")
        .replace("'mypostgres'", "'127.0.0.1'").replace("'mypostgres-replica'", "'127.0.0.1'")
        .replace("port0 = 5432", f"port0 = {asking[0].port}").replace("weight0 = 0", "weight0 = 1")
        .replace("port1 = 5432", f"port1 = {asking[1].port}") + f"pcp_port = {p.pcp_port}\n")
    serves(start(p))
    assert "WARNING" not in p.log_text()


# ---- where things come from -------------------------------------------------------------------

@pytest.mark.parametrize("folder", ["etc/pgpool2", "etc/pgpool-II", "usr/local/etc"])
def test_a_host_s_file_is_not_read_and_that_is_said(image, asking, folder):
    p = image(files={"pgpool.conf": "port = 1\n"}, folder=folder)
    p.launch()
    assert p.wait() == 1
    first, second = p.log
    assert f'"/{folder}/pgpool.conf" is not read' in first
    assert "PGPOOL_PARAMS_BACKEND_HOSTNAME0 environment variable is not set" in second


def test_a_file_wins_over_variables(image, asking):
    p = image(DEPLOY | {"PGPOOL_PARAMS_BACKEND_HOSTNAME0": "nowhere", "PGPOOL_PARAMS_PORT": "1"})
    put(p, "pgpool.conf", configmap(p, asking))
    serves(start(p))
    p.wait_log(r"there is a configuration file: .*PGPOOL_PARAMS_\w+.* ignored")


def test_the_folder_of_the_older_image(image, asking):
    p = image(DEPLOY, folder="usr/local/pgpool-II/etc")
    (p.root / "usr/local/pgpool-II/etc/pgpool.conf").write_text(configmap(p, asking))
    serves(start(p))
    p.wait_log(r"configuration: /usr/local/pgpool-II/etc/pgpool\.conf")


def test_files_of_users_and_rules_beside_variables(image, asking):
    p = image()
    p.environment = {k: v for k, v in minimal(p, *asking).items() if not k.startswith("POSTGRES_")}
    p.environment["PGPOOL_PARAMS_ENABLE_POOL_HBA"] = "yes"
    put(p, "pool_hba.conf", RULES.format("scram-sha-256"))
    put(p, "pool_passwd", f"{USER}:{PASSWORD}\n")
    serves(start(p))
    p.wait_log(r"access rules: /config/pool_hba\.conf")


@pytest.mark.parametrize("prefix", ["A", "MY_APP", "PGPOOL_ADMIN", "lower_case"])
def test_prefixes_of_users(image, asking, prefix):
    p = image()
    p.environment = {k: v for k, v in minimal(p, *asking).items() if not k.startswith("POSTGRES_")}
    p.environment |= {f"{prefix}_USERNAME": USER, f"{prefix}_PASSWORD": PASSWORD}
    serves(start(p))


@pytest.mark.parametrize("method", ["scram-sha-256", "md5", ""])
@pytest.mark.parametrize("word", ["on", "true", "1", "yes"])
def test_generated_rules(image, asking, method, word):
    p = image()
    p.environment = minimal(p, *asking) | {"PGPOOL_PASSWORD_ENCRYPTION_METHOD": method,
                                           "PGPOOL_PARAMS_ENABLE_POOL_HBA": word}
    start(p)
    serves(p)
    p.wait_log("access rules: generated")


def test_users_of_pcp(image, asking):
    p = image()
    p.environment = minimal(p, *asking) | {"PGPOOL_PCP_USER": "operator",
                                           "PGPOOL_PCP_PASSWORD": "word"}
    start(p)
    assert Pcp(("127.0.0.1", p.pcp_port)).login("operator", "word").ask("L") == ["2"]


def test_passwords_that_are_entries_already(image, asking):
    p = image()
    p.environment = minimal(p, *asking) | {"PGPOOL_SKIP_PASSWORD_ENCRYPTION": "true",
                                           "POSTGRES_PASSWORD": "TEXT" + PASSWORD}
    serves(start(p))


def test_a_certificate_means_ssl(image, asking):
    p = image()
    p.environment = minimal(p, *asking)
    mount(p, tls_crt="leaf.crt", tls_key="leaf.key")
    serves(start(p))
    assert certificate(p) == pem("leaf.crt") and "made a self-signed" not in p.log_text()
    assert unencrypted(p) == "1"                    # a certificate alone does not make TLS a duty
    mount(p, tls_crt="p256-leaf.crt", tls_key="p256.key")
    p.send_signal(signal.SIGHUP)
    p.wait_log("reload config files")
    assert certificate(p) == pem("p256-leaf.crt")


def test_a_mounted_certificate_wins(image, asking):
    """The image writes its own names behind those of the file."""
    p = image(DEPLOY)
    put(p, "pgpool.conf", configmap(p, asking, "\nssl_cert = '/no.crt'\nssl_key = '/no.key'\n"))
    mount(p, tls_crt="leaf.crt", tls_key="leaf.key")
    serves(start(p))
    assert certificate(p) == pem("leaf.crt")


def test_names_of_the_images_own_folder(image, asking):
    """/config/tls is copied to /opt/pgpool-II/tls there; what says whom to trust must be found."""
    own = "\nssl_cert = '/opt/pgpool-II/tls/tls.crt'\nssl_key = '/opt/pgpool-II/tls/tls.key'\n"
    p = image(DEPLOY)
    put(p, "pgpool.conf", configmap(p, asking, own))
    serves(start(p))
    p.wait_log("made a self-signed certificate for")
    p = image(DEPLOY)
    put(p, "pgpool.conf", configmap(p, asking, "\nssl_ca_cert = '/opt/pgpool-II/tls/ca.crt'\n"
                                               "backend_sslmode = 'disable'\n"))
    mount(p, ca_crt="ca.crt")
    serves(start(p))
    p = image(DEPLOY)
    put(p, "pgpool.conf", configmap(p, asking, "\nssl_ca_cert = '/opt/pgpool-II/tls/ca.crt'\n"))
    p.launch()
    assert p.wait() == 3 and "could not load root certificate file" in p.log_text()


def test_a_bad_certificate_ends_the_start(image, asking):
    p = image()
    p.environment = minimal(p, *asking)
    (p.root / "config/tls").mkdir()
    for name in ("tls.key", "tls.crt"):
        put(p, f"tls/{name}", "x")
    p.launch()
    assert p.wait() == 3
    assert 'could not load certificate file "/config/tls/tls.crt": there is no' in p.log_text()


def test_without_pool_passwd_passwords_need_tls(image, asking):
    """A clear text password does not travel without TLS."""
    p = image()
    p.environment = minimal(p, *asking) | {"PGPOOL_ENABLE_POOL_PASSWD": "false"}
    serves(start(p))
    p.wait_log("access rules: generated")
    assert "no pool_hba.conf entry" in unencrypted(p)


def test_reload_finds_a_file_that_was_mounted_later(image, asking):
    p = image(DEPLOY)
    put(p, "pgpool.conf", configmap(p, asking))
    start(p)
    put(p, "pool_hba.conf", "local all all trust\nhost all all all reject\n")
    p.send_signal(signal.SIGHUP)
    p.wait_log(r"access rules: /config/pool_hba\.conf")
    p.wait_log("reload config files")
    assert "no pool_hba.conf entry" in p.psql("SELECT 1", user=USER, password=PASSWORD,
                                              dbname="app", check=False)


# ---- what the image refuses -------------------------------------------------------------------

REFUSED = [
    ({"PGPOOL_PARAMS_BACKEND_HOSTNAME0": None},
     "PGPOOL_PARAMS_BACKEND_HOSTNAME0 environment variable is not set, exiting..."),
    ({"PGPOOL_PARAMS_BACKEND_HOSTNAME0": ""},
     "PGPOOL_PARAMS_BACKEND_HOSTNAME0 environment variable is not set, exiting..."),
    ({"PGPOOL_PASSWORD_ENCRYPTION_METHOD": "plain"},
     "PGPOOL_PASSWORD_ENCRYPTION_METHOD is neither scram-sha-256 nor md5, exiting..."),
    ({"PGPOOL_PARAMS_SR_CHECK_PERIOD": "10"}, "sr_check_user is not set, exiting..."),
    ({"PGPOOL_PARAMS_SR_CHECK_PERIOD": "10", "PGPOOL_PARAMS_SR_CHECK_USER": "checker"},
     "password of sr_check_user is not set. Set sr_check_password or environment variable. "
     "exiting..."),
    ({"PGPOOL_PARAMS_HEALTH_CHECK_PERIOD": "10"}, "health_check_user is not set, exiting..."),
    ({"PGPOOL_PARAMS_HEALTH_CHECK_PERIOD": "10", "PGPOOL_PARAMS_HEALTH_CHECK_USER": "checker"},
     "password of health_check_user is not set. Set health_check_password or environment "
     "variable. exiting..."),
]


@pytest.mark.parametrize("change, text", REFUSED)
def test_validation(image, asking, change, text):
    p = image()
    env = minimal(p, *asking) | change
    p.environment = {k: v for k, v in env.items() if v is not None}
    p.launch()
    assert p.wait() == 1
    assert any(line.endswith(f"ERROR:  {text}") for line in p.log), p.log_text()


@pytest.mark.parametrize("change", [
    {"PGPOOL_PARAMS_SR_CHECK_USER": USER},
    {"PGPOOL_PARAMS_SR_CHECK_USER": "checker", "PGPOOL_PARAMS_SR_CHECK_PASSWORD": "AESx==",
     "PGPOOL_PARAMS_HEALTH_CHECK_PERIOD": "5", "PGPOOL_PARAMS_HEALTH_CHECK_USER": USER}])
def test_validation_is_content(image, asking, change):
    p = image()
    p.environment = minimal(p, *asking) | {"PGPOOL_PARAMS_SR_CHECK_PERIOD": "10"} | change
    serves(start(p))


def test_validation_of_a_file(image, asking):
    """A line that is absent counts: the period's default is not 0."""
    p = image(DEPLOY)
    put(p, "pgpool.conf", configmap(p, asking).replace("sr_check_period = 0\n", ""))
    p.launch()
    assert p.wait() == 1 and "sr_check_user is not set, exiting..." in p.log_text()
    p = image(DEPLOY)
    put(p, "pgpool.conf", "sr_check_period = 0\n")
    p.launch()
    assert p.wait() == 1 and "backend_hostname0 is not set, exiting..." in p.log_text()
    p = image(DEPLOY | {"PGPOOL_ENABLE_POOL_PASSWD": "no"})
    put(p, "pgpool.conf", configmap(p, asking))
    put(p, "pool_hba.conf", RULES.format("password"))
    p.launch()
    assert p.wait() == 1 and "You must add hostssl lines in pool_hba.conf" in p.log_text()


def test_a_bad_value_ends_the_start_with_3(image, asking):
    p = image()
    p.environment = minimal(p, *asking) | {"PGPOOL_PARAMS_MAX_POOL": "many"}
    p.launch()
    assert p.wait() == 3 and "PGPOOL_PARAMS_MAX_POOL" in p.log_text()


def test_with_f_the_image_has_no_say(proxy, asking):
    """A file of a host: no sr_check_user is asked for, no rules are made up."""
    p = proxy(nodes=asking, sr_check_period=None, passwd=f"{USER}:{PASSWORD}\n",
              env={"PGPOOL_PASSWORD_ENCRYPTION_METHOD": "whatever"})
    assert p.psql("SELECT 1", user=USER, password=PASSWORD, dbname="app") == "1"
    p = proxy(start=False, nodes=asking, enable_pool_hba=True)
    p.start()
    p.wait_log("missing or erroneous pool_hba.conf file")


# ---- what can be looked at --------------------------------------------------------------------

def output(p, *args):
    """What `kubectl exec POD -- /pgpool ARGS` prints, and its status."""
    p.command = lambda: ["/pgpool", *args]
    p.launch()
    return p.wait(), p.log_text()


def test_show_conf_and_show_passwd(image, asking):
    p = image()
    p.environment = minimal(p, *asking) | {"PGPOOL_PARAMS_ENABLE_POOL_HBA": "on"}
    status, text = output(p, "show-conf")
    assert status == 0 and "# from PGPOOL_PARAMS_* variables" in text
    assert "#   host all all all scram-sha-256" in text
    assert f"backend_port1 = {asking[1].port}" in text
    status, text = output(p, "show-passwd")
    assert status == 0 and PASSWORD not in text
    assert f"{USER}\tclear text\tmd5" in text and "\tPOSTGRES_USERNAME" in text


def test_check(image, asking):
    p = image()
    p.environment = minimal(p, *asking)
    status, text = output(p, "--check")
    assert status == 0 and "the configuration is usable" in text
    p.environment["PGPOOL_PARAMS_SR_CHECK_PERIOD"] = "10"
    status, text = output(p, "--check")
    assert status == 3 and "sr_check_user is not set, exiting..." in text


