"""A network that is cut: nobody says that the node is gone."""

import pytest

import wire
from far import Far, possible
from wire import wait_until

pytestmark = [pytest.mark.proxy,
              pytest.mark.skipif(not possible(), reason="no network of its own for a node")]

ON_PRIMARY = "/* primary */ "
WHERE = "SELECT coalesce(inet_server_port(), 0)"    # 0: on a node that is far
SOON = dict(tcp_user_timeout=1000, tcp_keepalives_idle=1, tcp_keepalives_interval=1,
            tcp_keepalives_count=1, node_probe_period=100, connect_timeout=1000)


def reader(p, *first):
    w = p.raw(timeout=30)
    for sql in first:
        w.query(sql)
    assert wire.value(w.query(WHERE)) == "0"
    return w


def test_reads_on_a_replica_whose_network_is_cut(proxy, shop, primary, replica):
    """The one that it was computing, the one that it never got, the one that comes later."""
    with Far(shop, replica) as far:
        p = proxy(nodes=[primary, far], **SOON)
        wait_until(lambda: wire.value(p.raw().query(WHERE)) == "0", "reads on the replica")
        runs, idle, within = reader(p), reader(p), reader(p, "BEGIN")
        runs.send(wire.query("SELECT coalesce(inet_server_port(), 0) FROM pg_sleep(3)"))
        far.cut()
        idle.send(wire.query(WHERE))
        within.send(wire.query(WHERE))
        for w in (idle, within, runs):
            assert wire.value(w.reply()) == str(primary.port)
        assert wire.value(idle.query(WHERE)) == str(primary.port)       # and notices that it is down
        p.wait_log("node 1 .* is down")
        far.mend()
        p.wait_log("node 1 .* is up again")
        wait_until(lambda: wire.value(idle.query(WHERE)) == "0", "reads on the replica again")
        for w in (runs, idle, within):
            w.bye()


def test_a_primary_whose_network_is_cut(proxy, shop, primary, replica):
    """What was sent ends, and is not sent again; what was not sent waits for it."""
    primary.su("CREATE TABLE far (a int); ALTER TABLE far OWNER TO app")
    insert, count = "INSERT INTO far VALUES (1)", "SELECT count(*) FROM far"
    try:
        with Far(shop, primary) as far:
            p = proxy(nodes=[far, replica], **SOON, primary_wait_timeout=60)
            sent, within, idle = (p.raw(timeout=30) for _ in range(3))
            assert wire.value(sent.query(ON_PRIMARY + WHERE)) == "0"
            for sql in ("BEGIN", insert):
                within.query(sql)
            far.cut()
            sent.send(wire.query(insert))
            assert wire.errors(sent.eof()) == ["08006"]
            assert wire.errors(within.eof()) == ["57P01"]
            p.wait_log("node 0 .* is down")
            assert wire.value(idle.query(WHERE)) == str(replica.port)
            idle.send(wire.query(insert))
            assert idle.silent()
            far.mend()
            assert wire.errors(idle.reply()) == []
            assert primary.su(count)[0][0] in (1, 2)       # TCP may still bring the lost one
            idle.bye()
    finally:
        primary.expel()
        primary.su("DROP TABLE far")
