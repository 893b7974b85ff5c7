"""What `make bench` prints, and what README.md says that it prints."""

import os

import pytest

import bench
from pg import HERE


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def table(text):
    """The first table of a Markdown text that has a column for us, without its ruler."""
    lines = text[text.index("| | pgpool |"):].split("\n\n")[0].splitlines()
    return [cells(line) for i, line in enumerate(lines) if i != 1]


def made_up():
    """A figure of its own for each cell that a bench can measure."""
    results = bench.Results()
    for n, (_, name, rows) in enumerate(bench.SUMMARY):
        for k, row in enumerate(rows):
            for i, column in enumerate(bench.columns(bench.variant_of(name))):
                results.add(name, row, column, 10000 + n * 1000 + i * 100 + k)
    return results


def test_readme_has_the_table_that_is_printed():
    with open(os.path.join(os.path.dirname(HERE), "README.md")) as f:
        readme = table(f.read())
    printed = table(bench.summary_text(made_up()))
    assert readme[0] == printed[0]
    assert [row[0] for row in readme] == [row[0] for row in printed]
    for said, made in zip(readme[1:], printed[1:]):
        for s, m in zip(said[1:], made[1:]):
            assert s == "n/a" or (m != "n/a" and len(s.split(" / ")) == len(m.split(" / ")))


def test_a_figure_stands_in_its_row_and_column():
    printed = table(bench.summary_text(made_up()))
    names = [name for name in bench.PEERS if name != "direct"]
    for n, (row, (_, name, rows)) in enumerate(zip(printed[1:], bench.SUMMARY)):
        columns = bench.columns(bench.variant_of(name))
        for cell, peer in zip(row[1:], names):
            column = peer + bench.variant_of(name)
            want = [str(10000 + n * 1000 + columns.index(column) * 100 + k)
                    for k in range(len(rows))] if column in columns else ["n/a"]
            assert cell.split(" / ") == want


def test_what_failed_once_has_no_figure():
    results = made_up()
    results.lack("cpu", "simple 16", "bouncer", "ERROR: no")
    row = table(bench.summary_text(results))[1]
    assert "n/a" in row[3] and row[3].split(" / ")[1] == "n/a" and "n/a" not in row[2]


def test_peers_are_taken_by_path(monkeypatch, tmp_path):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho PgBouncer 1.25.2\n")
    monkeypatch.setenv("BENCH_PGBOUNCER", str(other))
    with pytest.raises(bench.Unmeasurable):
        bench.rival("pgbouncer")
    other.chmod(0o755)
    assert bench.rival("pgbouncer") == str(other)
    assert bench.version("pgbouncer", "-V") == "PgBouncer 1.25.2"
    assert bench.bouncer_version() == (1, 25)
