#!/usr/bin/python3
"""make run: a throw-away primary and replica behind ./pgpool, to look at and to play with.

Shows where a few statements run, says how to connect, and waits for Ctrl-C.  With --once, or
when standard input is no terminal, it ends by itself.
"""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pg                                                       # noqa: E402

STATEMENTS = [
    "CREATE TABLE fruit (name text PRIMARY KEY, price numeric)",
    "INSERT INTO fruit VALUES ('apple', 1.20), ('pear', 1.50), ('quince', 2.90)",
    "SELECT name, price FROM fruit ORDER BY price",
    "UPDATE fruit SET price = price * 2 WHERE name = 'apple'",
    "SELECT count(*), max(price) FROM fruit",
    "/*NO LOAD BALANCE*/ SELECT price FROM fruit WHERE name = 'apple'",
    "SELECT name FROM fruit WHERE price > 2 FOR UPDATE",
    "SHOW port",
    "SELECT random() < 2",
]
NAMES = {"0": "primary", "1": "replica"}


def show(proxy, primary, replica):
    print("\nWhere statements run (psql through the proxy):\n")
    for sql in STATEMENTS:
        at = len(proxy.log)
        out = proxy.psql(sql)
        line = proxy.wait_log("DB node id: . .*statement: " + re.escape(sql), at)
        node = NAMES[re.search(r"DB node id: (\d)", line)[1]]
        print(f"  {node:8} {sql}")
        for row in out.splitlines():
            print(f"  {'':8}    {row}")
        primary.catch_up(replica)
        if sql.startswith("INSERT"):
            proxy.learn("fruit")        # else its first read may be the primary's


def invite(proxy, primary, replica):
    print(f"""
Connect with:

    psql -h {proxy.host} -p {proxy.port} -U app app          through the proxy
    psql -h {primary.host} -p {primary.port} -U app app          the primary itself
    psql -h {replica.host} -p {replica.port} -U app app          the replica itself

Configuration: {proxy.conf_file}
Log:           {proxy.log_file}
""", flush=True)


def main():
    once = "--once" in sys.argv[1:] or not sys.stdin.isatty()
    shop = pg.Workshop()
    try:
        print("starting a primary and a replica ...", flush=True)
        primary, replica = shop.pair()
        proxy = shop.proxy([primary, replica], log_per_node_statement=True).start()
        show(proxy, primary, replica)
        invite(proxy, primary, replica)
        if not once:
            print("Ctrl-C ends all of it.", flush=True)
            proxy.process.wait()
    except KeyboardInterrupt:
        print()
    finally:
        shop.close()


if __name__ == "__main__":
    main()
