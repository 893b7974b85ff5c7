"""Parameters as an operator meets them: where a mistake is, and what has no effect."""
import re

import pytest

pytestmark = pytest.mark.proxy

WHERE = [
    ("port = 99999", 8, "port"),
    ("port = 5433 max_pool = '-1'", 24, "max_pool"),
    ("\tbackend_portx = 5432", 2, "backend_portx"),
    ("log_line_prefix = 'abc", 19, "closing quote"),
    ("use_watchdog = maybe", 16, "use_watchdog"),
    ("heartbeat_port0 = 80", 19, "heartbeat_port0"),
    ("wd_priority =", 1, "no value"),
    ("include 'nowhere.conf'", 9, "nowhere.conf"),
]


@pytest.mark.parametrize("line, column, words", WHERE)
def test_a_mistake_is_told_with_line_and_column(proxy, line, column, words):
    p = proxy(start=False, text=f"listen_addresses = '127.0.0.1'\n\n{line}\n")
    p.launch()
    assert p.wait() == 3
    assert re.search(rf"pgpool\.conf:3:{column}: .*{words}", p.log_text()), p.log_text()


def test_what_has_no_effect_says_so_once_with_its_reason(proxy):
    p = proxy(use_watchdog=True, wd_port0=9000, wd_port1=9001, failover_command="/bin/promote",
              memory_cache_enabled=True, wd_priority=2, parallel_mode=False)
    p.psql("SELECT 1")
    lines = [line for line in p.log if "has no effect here: " in line]
    told = {re.search(r'parameter "(\w+)"', line)[1]: line for line in lines}
    assert len(lines) == len(told)
    assert set(told) == {"use_watchdog", "wd_port0", "failover_command", "memory_cache_enabled",
                         "wd_priority", "parallel_mode"}
    for name in ("use_watchdog", "failover_command", "memory_cache_enabled", "parallel_mode"):
        assert "WARNING: " in told[name]
    for name in ("wd_port0", "wd_priority"):
        assert "LOG: " in told[name]


def test_what_is_switched_off_is_not_told(proxy):
    p = proxy(use_watchdog=False, ssl=False, memory_cache_enabled=False, failover_command="",
              pcp_port=9898, health_check_period=0, delay_threshold=0, insert_lock=False,
              failover_on_backend_error=False, pid_file_name="pid", memqcache_total_size="64MB")
    p.psql("SELECT 1")
    assert "no effect" not in p.log_text()
    assert "WARNING" not in p.log_text()


def test_a_replica_without_weight_is_told_once(proxy):
    p = proxy(backend_weight1=0)
    p.psql("SELECT 1")
    assert p.log_text().count('node 1 gets no reads: "backend_weight1" is 0') == 1
    assert "node 0 gets no reads" not in p.log_text()
