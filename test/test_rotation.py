"""Files of the configuration change, and the proxy reloads them by itself (reload_check_period)."""

import os
import shutil

import pytest
import wire
from pg import settings_text

AGAIN = "has changed: the configuration is reloaded"


def mount(folder, version, **files):
    """As Kubernetes puts a ConfigMap or a Secret in place: links through ..data, which one rename
    leads elsewhere."""
    os.mkdir(f"{folder}/..{version}")
    for name, text in files.items():
        name = name.replace("_conf", ".conf")
        with open(f"{folder}/..{version}/{name}", "w") as f:
            f.write(text)
        if not os.path.islink(f"{folder}/{name}"):
            if os.path.exists(f"{folder}/{name}"):
                os.unlink(f"{folder}/{name}")
            os.symlink(f"..data/{name}", f"{folder}/{name}")
    os.symlink(f"..{version}", f"{folder}/..data_tmp")
    os.rename(f"{folder}/..data_tmp", f"{folder}/..data")
    shutil.rmtree(f"{folder}/..{version - 1}", ignore_errors=True)


class Mounted:
    """A proxy whose files are mounted."""

    def __init__(self, proxy, **params):
        self.p = proxy(passwd="app:TEXTapp\n", reload_check_period=1, **params)
        self.version = 0

    def put(self, **changes):
        self.p.params.update(changes)
        self.version += 1
        mount(self.p.folder, self.version, pgpool_conf=settings_text(self.p.params),
              pool_passwd=self.p.passwd)


@pytest.fixture
def mounted(proxy):
    m = Mounted(proxy, log_statement=False)
    mark = len(m.p.log)
    m.put(log_statement=True)
    m.p.wait_log("reload config files", mark)
    return m


def test_a_mounted_file_is_exchanged(mounted):
    p = mounted.p
    with p.raw() as w:
        w.query("SELECT 'told'")
        p.wait_log("LOG:  statement: SELECT 'told'")
        mark = len(p.log)
        mounted.put(log_statement=False)
        p.wait_log(f'"{p.conf_file}" {AGAIN}|pool_passwd" {AGAIN}', mark)
        p.wait_log("reload config files", mark)
        assert wire.value(w.query("SELECT 'untold'")) == "untold"
        assert not [line for line in p.log[mark:] if "LOG:  statement: SELECT 'untold'" in line]
        assert w.query("SELECT 1")


def test_a_bad_file_changes_nothing_and_is_told_once(mounted):
    p, mark = mounted.p, len(mounted.p.log)
    mounted.put(num_init_children=-1)
    p.wait_log("num_init_children", mark)
    p.wait_log("the configuration was not reloaded: nothing has changed", mark)
    with p.raw() as w:
        w.query("SELECT 'as before'")
        p.wait_log("LOG:  statement: SELECT 'as before'", mark)
    mounted.put(num_init_children=32)
    p.wait_log("reload config files", mark)
    assert len([line for line in p.log[mark:] if "was not reloaded" in line]) == 1


def test_files_that_are_named_in_files(proxy):
    """An included file, one that comes later, one that goes."""
    p = proxy(reload_check_period=1)
    more = f"{p.folder}/more.conf"
    with open(more, "w") as f:
        f.write("log_statement = on\n")
    with open(p.conf_file, "a") as f:
        f.write("include 'more.conf'\n")
    p.wait_log(f'"{p.conf_file}" {AGAIN}')
    p.wait_log("reload config files")
    mark = len(p.log)
    with open(more, "w") as f:
        f.write("log_statement = off  # a comment\n")
    p.wait_log(f'"{more}" {AGAIN}', mark)
    mark = len(p.log)
    os.unlink(more)
    p.wait_log("was not reloaded|reload config files", mark)
    mark = len(p.log)
    with open(more, "w") as f:
        f.write("log_statement = on\n")
    p.wait_log(f'"{more}" {AGAIN}', mark)
    p.wait_log("reload config files", mark)


def test_nobody_looks_without_being_asked(proxy):
    """With -f the default is to wait for SIGHUP, and a reload begins to look, or ends it."""
    p = proxy(log_statement=False)
    mark = len(p.log)
    p.write(log_statement=True)
    p.reload(reload_check_period=1)
    assert not [line for line in p.log[mark:] if AGAIN in line]
    mark = len(p.log)
    p.write(log_statement=False)
    p.wait_log(AGAIN, mark)
    p.wait_log("reload config files", mark)
    mark = len(p.log)
    p.write(reload_check_period=0)
    p.wait_log("reload config files", mark)
    mark = len(p.log)
    p.reload(log_statement=True)
    assert not [line for line in p.log[mark:] if AGAIN in line]
