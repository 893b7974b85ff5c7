"""The check of the rooms (test/rooms.sh) finds what it is for."""
import pathlib
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent


def run(folder, *objects):
    done = subprocess.run(["sh", str(TOP / "test/rooms.sh"), str(folder), *objects],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def copy(tmp_path):
    """The sources alone, to plant something into."""
    for source in [*TOP.glob("*.[ch]"), *TOP.glob("[!bt]*/*.[ch]"), *TOP.glob("tls/*.[ch]"),
                   TOP / "ARCHITECTURE.md"]:
        to = tmp_path / source.relative_to(TOP)
        to.parent.mkdir(exist_ok=True)
        shutil.copy(source, to)
    assert run(tmp_path) == (0, [])
    return tmp_path


def plant(file, line):
    text = file.read_text()
    file.write_text(text + line + "\n")
    return text.count("\n") + 1


def test_the_rooms_are_as_they_are_described():
    assert run(TOP, "build") == (0, [])


@pytest.mark.parametrize("file, line, wrong", [
    ("client.c", '#include "tls/key.h"', "includes tls/key.h, which is private to tls"),
    ("client/login.c", '#include "server/secure.h"', "includes server/secure.h, which is private to server"),
    ("node.h", '#include "server.h"', "includes server.h, which is above it"),
    ("sql/lex.c", '#include "log.h"', None),
    ("sql/lex.c", '#include "route.h"', "includes route.h, which is above it"),
    ("server/dial.c", '#include "ask.h"', "includes ask.h, which is above it"),
])
def test_an_include_that_breaks_the_rule(copy, file, line, wrong):
    at = plant(copy / file, line)
    expected = [f"{file}:{at}: {wrong}"] if wrong else []
    assert run(copy) == (1 if wrong else 0, expected)


def test_a_line_that_is_too_long(copy):
    plant(copy / "node.c", "\t/* " + "x" * 86 + " */")
    at = plant(copy / "node.c", "\t/* " + "x" * 87 + " */")
    assert run(copy) == (1, [f"node.c:{at}: is longer than 100 columns"])


def test_two_files_of_one_name(copy):
    (copy / "sql/login.c").write_text("")
    assert run(copy) == (1, ["login.c: the name of two files"])


def test_a_file_in_no_room(copy):
    (copy / "misc").mkdir()
    (copy / "misc/odd.c").write_text("int odd;\n")
    assert run(copy) == (1, ["misc/odd.c: is in no room of ARCHITECTURE.md"])


def test_a_room_that_is_only_described(copy):
    plant(copy / "ARCHITECTURE.md", "| 0 | `void.c` | nothing |")
    assert {"void.c: not there, but in ARCHITECTURE.md", "void.c: has no header"} <= set(run(copy)[1])


def test_its_own_header_comes_first(copy):
    text = (copy / "route.c").read_text()
    (copy / "route.c").write_text('#include "node.h"\n' + text)
    assert run(copy) == (1, ["route.c:1: its own header does not come first"])


def compile_in(copy, *files):
    objects = copy / "build"
    for name, text in files:
        source, made = copy / "planted.c", objects / name.replace(".c", ".o")
        made.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        subprocess.run(["gcc", "-c", "-o", made, source], check=True)
        source.unlink()
        (copy / name).touch()


def test_a_call_upwards(copy):
    """Without an include: a declaration of its own does not hide it."""
    compile_in(copy, ("client.c", "void client_end(void) { }"),
               ("wire/up.c", "void client_end(void); void wire_up(void) { client_end(); }"),
               ("pgpool.c", "void client_end(void); void pgpool_x(void) { client_end(); }"))
    assert run(copy, "build") == (1, ["wire/up.o: calls client_end(), which is above it in client"])


def test_a_circle_of_calls(copy):
    """A face and its parts may call each other, parts only in one direction."""
    compile_in(copy, ("server.c", "void request_x(void); void server_x(void) { request_x(); }"),
               ("server/request.c", "void server_x(void); void stmt_x(void);"
                                    " void request_x(void) { server_x(); stmt_x(); }"))
    assert run(copy, "build") == (0, [])
    compile_in(copy, ("server/stmt.c", "void request_x(void); void stmt_x(void) { request_x(); }"))
    assert run(copy, "build") == (1, ["server/request.o: calls in a circle",
                                      "server/stmt.o: calls in a circle"])


def test_the_name_of_a_public_function(copy):
    compile_in(copy, ("server/request.c", "void request_x(void) { } void servers_x(void) { }"
                                          " void account_x(void) { } void accounts_x(void) { }"
                                          " void tell(void) { } void requested(void) { }"),
               ("auth/entry.c", "void entry(void) { } void entries_x(void) { } static void own(void) { }"
                                " void *use(void) { return own; }"))
    assert run(copy, "build") == (1, [
        "auth/entry.o: use() is named after nothing of its room",
        "server/request.o: requested() is named after nothing of its room",
        "server/request.o: tell() is named after nothing of its room"])


def test_the_image_is_built_from_all_rooms():
    """A folder that .dockerignore does not name would be missing in the build stage."""
    named = {line[1:] for line in (TOP / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    folders = {source.parent.name for source in TOP.glob("*/*.c")} - {"test", "build"}
    assert folders and folders <= named
    assert {"*.c", "*.h", "Makefile", "link.ld"} <= named
