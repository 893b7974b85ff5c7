#!/usr/bin/env python3
"""Writes scram/unicode.h: what SASLprep has to know of Unicode.

    test/make_unicode.py > scram/unicode.h

RFC 3454 speaks of Unicode 3.2: newer characters are refused, so that nothing else matters of them.
Normalisation is that of Python's unicodedata, which has not changed for the others since.
"""
import stringprep
import sys
import unicodedata

ALL = [c for c in range(0x110000) if not 0xd800 <= c < 0xe000]
PROHIBITED = [stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3,
              stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6,
              stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9]
HANGUL = range(0xac00, 0xd7a4)


def refused(c):
    return any(table(chr(c)) for table in PROHIBITED) or stringprep.in_table_a1(chr(c))


def number(n):
    """Seven bits a byte, the lowest first; all but the last have the eighth bit."""
    out = []
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    return out + [n]


def ranges(wanted, among=range(0x110000)):
    """How many characters to the next one, and how many there are then, in turn."""
    out, at, first = [], 0, None
    for c in [*among, None]:
        inside = c is not None and wanted(c)
        if inside and first is None:
            first = c
        if not inside and first is not None:
            end = last + 1
            out += number(first - at) + number(end - first)
            at, first = end, None
        last = c
    return out


def canonical_pair(c):
    """The two characters that compose to this one, or None."""
    d = unicodedata.decomposition(chr(c)).split()
    if len(d) != 2 or d[0].startswith("<") or unicodedata.normalize("NFC", chr(c)) != chr(c):
        return None
    return [int(x, 16) for x in d]


def changes():
    """All that NFKD replaces: character, what by, whether that composes to it."""
    for c in ALL:
        full = [ord(x) for x in unicodedata.normalize("NFKD", chr(c))]
        pair = canonical_pair(c)
        if full == [c] or c in HANGUL or refused(c):
            continue
        yield c, pair or full, pair is not None


def encode(entries, marks):
    """One after the other: see find() in scram/saslprep.c."""
    blocks, out, at, last, since = [], [], 0, 0, 0

    def value(v):
        nonlocal last
        d = v - last
        last = v
        return number(d << 1 if d >= 0 else (-d << 1) - 1)

    i = 0
    while i < len(entries):
        c, by, composes = entries[i]
        run = 1
        while (len(by) == 1 and i + run < len(entries)
               and entries[i + run][:2] == (c + run, [by[0] + run])):
            run += 1
        kind = 0 if composes else 3 if len(by) > 1 else 2 if run > 2 else 1
        if since >= 64 or not blocks:
            blocks.append((c, len(out)))
            at, last, since = c - 1, 0, 0
        step = c - at - 1
        out += [kind | min(step, 63) << 2] + (number(step - 63) if step >= 63 else [])
        if kind == 0:
            out += value(by[0]) + [marks.index(by[1])]
        elif kind == 1:
            out += value(by[0])
        elif kind == 2:
            out += [*number(run), *value(by[0])]
            last += run - 1
        else:
            out += number(len(by))
            for v in by:
                out += value(v)
        n = run if kind == 2 else 1
        at, i, since = c + n - 1, i + n, since + 1
    return blocks, out


def classes():
    """Characters that combine, in ranges of one class: as ranges(), then the class."""
    out, at, c = [], 0, 0
    while c < 0x110000:
        k = unicodedata.combining(chr(c))
        end = c + 1
        while k and end < 0x110000 and unicodedata.combining(chr(end)) == k:
            end += 1
        if k and not all(refused(x) for x in range(c, end)):
            out += number(c - at) + number(end - c) + [k]
            at = end
        c = end
    return out


def table(type_, name, values, width=92):
    print(f"static const {type_} {name}[] = {{")
    line = "\t"
    for v in values:
        piece = f"{v},"
        if len(line) + 7 + len(piece) > width:
            print(line)
            line = "\t"
        line += piece
    print(line + "\n};\n")


def main():
    entries = list(changes())
    marks = sorted({by[1] for _, by, composes in entries if composes})
    blocks, stream = encode(entries, marks)
    tables = [("prep_prohibited", ranges(lambda c: refused(c))),
              ("prep_right_to_left", ranges(lambda c: stringprep.in_table_d1(chr(c)))),
              ("prep_left_to_right", ranges(lambda c: stringprep.in_table_d2(chr(c)))),
              ("prep_classes", classes()), ("prep_changes", stream)]
    size = sum(len(t) for _, t in tables) + 4 * len(marks) + 6 * len(blocks)
    print("/* scram/unicode.h - what SASLprep has to know of Unicode"
          f" {unicodedata.unidata_version}: {size} bytes.\n"
          " * Written by test/make_unicode.py; scram/saslprep.c knows how to read it. */")
    print("#ifndef SCRAM_UNICODE_H\n#define SCRAM_UNICODE_H\n\n#include <stdint.h>\n")
    for name, values in tables:
        table("uint8_t", name, values)
    table("uint32_t", "prep_marks", marks)
    table("uint32_t", "prep_block_first", [c for c, _ in blocks])
    table("uint16_t", "prep_block_at", [at for _, at in blocks] + [len(stream)])
    print("#endif")
    print(size, len(entries), len(marks), len(blocks), [(n, len(t)) for n, t in tables],
          file=sys.stderr)


main()
