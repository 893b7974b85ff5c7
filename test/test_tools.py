"""pg_md5 and pg_enc: what they print, what they write, beside Debian's where it is installed."""

import os
import pty
import select
import shutil
import stat
import subprocess

import pytest

pytestmark = pytest.mark.proxy

HASH = "5ebe2294ecd0e0f08eab7690d2a6ee69"           # md5("secret")
AES = {"secret": "YLROATKETwgvY557eVg7dQ==", "postgres": "MLQb96VM31h/Ntiu98RhBg==",
       "a:b": "+L25yPH7YUA6OcmobLx3WQ==",
       "exactly16bytes!!": "AaEdA/dmZT1es07ilKcfFP7yndSVHJVC2ItjzB6yfhw="}
MD5 = {"alice": "md54a0a68b43b6cd5cf266fa02f196e2371",          # "secret" of alice
       "bob": "md565170a859842ceb2930dc2fa1454af9d"}            # "postgres" of bob

BINARY = os.path.abspath(os.environ.get("PGPOOL_BINARY") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "pgpool"))
THEIRS = {name: shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("pg_md5", "pg_enc")}


@pytest.fixture
def desk(tmp_path):
    """A folder with a key, a configuration, and our tools under their own names."""
    (tmp_path / "key").write_text("testkey\n")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "pgpool.conf").write_text("pool_passwd = 'pool_passwd'\n")
    (tmp_path / "pairs").write_text("carl:a:b\ndave:secret\n\nnoline\n")
    for name in ("pg_md5", "pg_enc"):
        (tmp_path / name).symlink_to(BINARY)
    return tmp_path


def run(desk, *command, theirs=False, **env):
    """Exit status, stdout, stderr."""
    name, *rest = command
    program = THEIRS[name] if theirs else str(desk / name)
    p = subprocess.run([program, *rest], cwd=desk, env={"PATH": os.environ["PATH"], **env},
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    return p.returncode, p.stdout, p.stderr


def typed(desk, command, *answers, theirs=False):
    """Runs it on a terminal where each prompt gets an answer; its output and exit status."""
    name, *rest = command
    program = THEIRS[name] if theirs else str(desk / name)
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(desk)
        os.execv(program, [name, *rest])
    out, left = b"", list(answers)
    while select.select([fd], [], [], 20)[0]:
        try:
            got = os.read(fd, 4096)
        except OSError:
            break
        if not got:
            break
        out += got
        if left and out.endswith(b": "):
            os.write(fd, left.pop(0).encode() + b"\n")
    os.close(fd)
    return out.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def entries(desk):
    return (desk / "pool_passwd").read_text()


# ---- what is printed --------------------------------------------------------------------------

def test_md5_prints_what_pcp_conf_needs(desk):
    assert run(desk, "pg_md5", "secret") == (0, HASH + "\n", "")
    assert run(desk, "pg_md5", "-u", "alice", "secret") == (0, HASH + "\n", "")


@pytest.mark.parametrize("password", AES)
def test_enc_prints_what_pool_passwd_needs(desk, password):
    said = f"\n{AES[password]}\npool_passwd string: AES{AES[password]}\n"
    key = "trying to read key from file "
    assert run(desk, "pg_enc", "-K", "testkey", password) == (0, said, "")
    assert run(desk, "pg_enc", "-k", "key", password) == (0, f"{key}key\n{said}", "")
    assert run(desk, "pg_enc", password, PGPOOLKEYFILE="key") == (0, f"{key}key\n{said}", "")
    (desk / ".pgpoolkey").symlink_to("key")
    assert run(desk, "pg_enc", password, HOME=str(desk)) == \
        (0, f"{key}{desk}/.pgpoolkey\n{said}", "")


def test_subcommands(desk):
    for command in (["pg_md5", "secret"], ["pg_enc", "-K", "testkey", "secret"]):
        p = subprocess.run([BINARY, *command], capture_output=True, text=True, timeout=20)
        assert (p.returncode, p.stdout, p.stderr) == run(desk, *command)


def test_no_key(desk):
    (desk / "empty").write_text("")
    for command in (["-k", "nowhere"], ["-k", "empty"], ["-K", ""]):
        status, out, err = run(desk, "pg_enc", *command, "secret")
        assert status == 1 and AES["secret"] not in out
        assert err.endswith("encryption key not provided\n")


def test_a_key_that_others_can_read_is_a_warning(desk):
    (desk / "key").chmod(0o644)
    status, out, err = run(desk, "pg_enc", "-k", "key", "secret")
    assert status == 0 and AES["secret"] in out
    assert 'pool key file "key" has group or world access' in err


@pytest.mark.parametrize("tool", [["pg_md5"], ["pg_enc", "-K", "testkey"]], ids=lambda t: t[0])
def test_mistakes(desk, tool):
    assert run(desk, *tool, "-p") == (1, "", "stdin is not tty\n")
    assert run(desk, *tool, "x" * 128)[0] == 0
    status, out, err = run(desk, *tool, "x" * 129)
    assert status == 1 and out == ""
    assert err.startswith("Error: Input exceeds maximum password length")
    status, out, err = run(desk, *tool, "-Z")
    assert status == 1 and "Usage:" in err
    status, out, err = run(desk, *tool, "--help")
    assert status == 0 and "Usage:" in out and err == ""
    status, out, err = run(desk, *tool, "-i", "nowhere")
    assert status == 1
    assert err == 'failed to open input_file "nowhere" (No such file or directory)\n\n'
    for conf in ("nowhere", "broken"):
        (desk / "broken").write_text("port = 127.0.0.1\n")
        status, out, err = run(desk, *tool, "-m", "-f", conf, "-u", "alice", "secret")
        assert status == 1 and "Unable to get configuration. Exiting..." in err
    (desk / "none.conf").write_text("pool_passwd = ''\n")
    status, out, err = run(desk, *tool, "-m", "-f", "none.conf", "-u", "alice", "secret")
    assert status == 1 and "pool_passwd is empty" in err


def test_md5_without_arguments_shows_its_usage(desk):
    status, out, err = run(desk, "pg_md5")
    assert status == 1 and "Usage:" in out


# ---- prompts ----------------------------------------------------------------------------------

PROMPTS = [
    (["pg_md5", "-p"], ["secret"], f"password: \r\n{HASH}\r\n"),
    (["pg_md5", "--prompt"], [""], "password: \r\nd41d8cd98f00b204e9800998ecf8427e\r\n"),
    (["pg_enc", "-k", "key", "-p"], ["secret"], "db password: \r\ntrying to read key from file key"
     f"\r\n\r\n{AES['secret']}\r\npool_passwd string: AES{AES['secret']}\r\n"),
    (["pg_enc", "-k", "key"], ["secret"], "db password: \r\ntrying to read key from file key"
     f"\r\n\r\n{AES['secret']}\r\npool_passwd string: AES{AES['secret']}\r\n"),
    (["pg_enc", "-P", "secret"], ["testkey"], "encryption key: \r\n"
     f"\r\n{AES['secret']}\r\npool_passwd string: AES{AES['secret']}\r\n"),
    (["pg_enc", "-p", "-P"], ["a:b", "testkey"], "db password: \r\nencryption key: \r\n"
     f"\r\n{AES['a:b']}\r\npool_passwd string: AES{AES['a:b']}\r\n"),
]


@pytest.mark.parametrize("command,answers,said", PROMPTS, ids=lambda v: " ".join(v))
def test_prompts(desk, command, answers, said):
    assert typed(desk, command, *answers) == (said, 0)          # nothing is echoed
    if THEIRS[command[0]] and "-P" not in command:              # theirs takes no key so
        assert typed(desk, command, *answers, theirs=True) == (said, 0)


# ---- pool_passwd ------------------------------------------------------------------------------

def test_md5_entries(desk):
    base = ["pg_md5", "-m", "-f", "pgpool.conf"]
    assert run(desk, *base, "-u", "alice", "wrong") == (0, "", "")
    assert stat.S_IMODE((desk / "pool_passwd").stat().st_mode) == 0o600
    assert run(desk, *base, "-u", "bob", "postgres") == (0, "", "")
    assert run(desk, *base, "-u", "alice", "secret") == (0, "", "")
    assert entries(desk) == f"alice:{MD5['alice']}\nbob:{MD5['bob']}\n"
    assert typed(desk, [*base, "-p", "-u", "alice"], "other") == ("password: \r\n", 0)
    assert MD5["alice"] not in entries(desk) and MD5["bob"] in entries(desk)


def test_enc_entries(desk):
    base = ["pg_enc", "-K", "testkey", "-m", "-f", "pgpool.conf"]
    assert run(desk, *base, "-u", "alice", "wrong") == (0, "", "")
    assert run(desk, *base, "-u", "bob", "postgres") == (0, "", "")
    assert run(desk, *base, "--username=alice", "secret") == (0, "", "")
    assert entries(desk) == f"alice:AES{AES['secret']}\nbob:AES{AES['postgres']}\n"


def test_entries_of_an_input_file(desk):
    said = "trying to read username:password pairs from file pairs\n"
    base = ["-m", "-f", "pgpool.conf", "-i", "pairs"]
    status, out, err = run(desk, "pg_enc", "-K", "testkey", *base)
    assert (status, out, err) == (1, said, "LINE#04: invalid username:password pair\n")
    assert entries(desk) == f"carl:AES{AES['a:b']}\ndave:AES{AES['secret']}\n"
    status, out, err = run(desk, "pg_md5", *base)
    assert (status, err) == (1, "")
    assert out == said + ("LINE#01: USER: <carl>\nLINE#02: USER: <dave>\nLINE#03: BLANK LINE\n"
                          "LINE#04: Invalid username:password pair\n")
    assert entries(desk) == "carl:md5f3613d6acd0d31dff43b6d8c4cbcf1d9\n" \
                            "dave:md5d054392f985a267df752bb2b16be2f2f\n"


def test_other_lines_stay_as_they_are(desk):
    before = b"# odd\r\n\n:nobody\nalice\nalice\\:x:y\n\xff\xfe\0:z\n" \
             b"alice:old:more\nalice:2\n  bob:1\nlast:one"
    file = desk / "pool_passwd"
    file.write_bytes(before)
    file.chmod(0o640)
    base = ["pg_md5", "-m", "-f", str(desk / "pgpool.conf")]
    assert run(desk, *base, "-u", "alice", "secret") == (0, "", "")
    mine = f"alice:{MD5['alice']}".encode()
    assert file.read_bytes() == before.replace(b"alice:old:more", mine)
    assert run(desk, *base, "-u", "bob", "postgres") == (0, "", "")
    after = before.replace(b"alice:old:more", mine) + f"\nbob:{MD5['bob']}\n".encode()
    assert file.read_bytes() == after
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(os.listdir(desk)) == ["key", "pairs", "pg_enc", "pg_md5", "pgpool.conf",
                                        "pool_passwd"]


def test_names_with_colons_and_backslashes(desk):
    base = ["pg_enc", "-K", "testkey", "-m", "-f", "pgpool.conf", "-u"]
    for user, line in (("a:b\\c", "a\\:b\\\\c"), ("a", "a"), ("a:b", "a\\:b")):
        for password in ("postgres", "secret"):
            assert run(desk, *base, user, password) == (0, "", "")
        assert f"{line}:AES{AES['secret']}" in entries(desk).splitlines()
    assert entries(desk).count("\n") == 3
    assert run(desk, *base, "two\nlines", "secret")[0] == 1
    assert entries(desk).count("\n") == 3


def test_a_link_stays_a_link(desk):
    (desk / "real").mkdir()
    (desk / "real" / "file").write_text("x:y\n")
    (desk / "pool_passwd").symlink_to("real/file")
    assert run(desk, "pg_md5", "-m", "-f", "pgpool.conf", "-u", "alice", "secret") == (0, "", "")
    assert (desk / "pool_passwd").is_symlink()
    assert (desk / "real" / "file").read_text() == f"x:y\nalice:{MD5['alice']}\n"


# ---- Debian's ---------------------------------------------------------------------------------

SAME = [
    ["pg_md5", "secret"], ["pg_md5", ""], ["pg_md5", "-u", "alice", "secret"],
    ["pg_md5", "pass wörd"], ["pg_md5", "x" * 128], ["pg_md5", "-p"],
    ["pg_md5", "-i", "nowhere"],
    ["pg_md5", "-m", "-f", "pgpool.conf", "-u", "alice", "secret"],
    ["pg_md5", "--md5auth", "--config-file=pgpool.conf", "--username=new", "secret"],
    ["pg_enc", "-k", "key", "secret"], ["pg_enc", "--key-file=key", "a:b"],
    ["pg_enc", "-K", "testkey", "exactly16bytes!!"], ["pg_enc", "--enc-key=k k", "pass wörd"],
    ["pg_enc", "-k", "key", "x" * 128], ["pg_enc", "-k", "key", "x" * 127],
    ["pg_enc", "-k", "nowhere", "secret"], ["pg_enc", "-k", "key", "-i", "nowhere"],
    ["pg_enc", "-k", "key", "-m", "-f", "pgpool.conf", "-u", "alice", "secret"],
    ["pg_enc", "-k", "key", "--update-pass", "--config-file=pgpool.conf", "--username=n", "a:b"],
]
SAME_FILES = [["pg_md5", "-i", "good"], ["pg_md5", "-m", "-f", "pgpool.conf", "-i", "good"],
              ["pg_enc", "-k", "key", "-i", "good"],
              ["pg_enc", "-k", "key", "-m", "-f", "pgpool.conf", "--input-file=good"]]


@pytest.mark.skipif(not all(THEIRS.values()), reason="pgpool2 is not installed")
@pytest.mark.parametrize("command", SAME + SAME_FILES, ids=lambda c: " ".join(c)[:60])
def test_the_same_as_theirs(desk, command):
    (desk / "good").write_text("carl:a:b\ndave:secret\n\ne: x \n")
    file, results = desk / "pool_passwd", []
    for theirs in (False, True):
        file.write_text("old:x\nalice:y\nbob:z\n")
        results.append((*run(desk, *command, theirs=theirs), file.read_bytes()))
    assert results[0] == results[1]
