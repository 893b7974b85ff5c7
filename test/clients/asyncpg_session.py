"""asyncpg_session.py HOST PORT CA-FILE PASSWORD - a session over asyncpg: its own protocol code, TLS by ssl."""

import asyncio
import ssl
import sys

import asyncpg


async def main(host, port, ca, password):
    context = ssl.create_default_context(cafile=ca)
    c = await asyncpg.connect(host=host, port=int(port), user="app", password=password,
                              database="app", ssl=context)
    for i in range(10):
        assert await c.fetchval("SELECT $1::int + 1", i) == i + 1
    async with c.transaction():
        await c.execute("CREATE TEMP TABLE a (n int)")
        await c.copy_records_to_table("a", records=[(i,) for i in range(5000)])
        n = 0
        async for row in c.cursor("SELECT n FROM a ORDER BY n", prefetch=100):
            assert row["n"] == n
            n += 1
        assert n == 5000
    try:
        await c.fetch("SELECT 1/0")
    except asyncpg.DivisionByZeroError:
        pass
    else:
        raise AssertionError("no error")
    assert len(await c.fetchval("SELECT repeat('x', 5000000)")) == 5000000
    await c.close()
    print("ok")


asyncio.run(main(*sys.argv[1:]))
