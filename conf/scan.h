/* conf/scan.h - the tokens of a configuration file, as Pgpool-II's scanner sees them.
 *
 *      KEY       a letter or _, then letters, digits, _; bytes above 127 are letters
 *      WORD      a KEY that also has - . : /
 *      NUMBER    digits, 0xdigits or a decimal fraction, with a sign before it; behind digits
 *                or 0xdigits letters may follow (a unit)
 *      STRING    '...' within one line; a backslash keeps the next character from ending it;
 *                nothing is unescaped, and '' is no escape
 *      UNCLOSED  a string that lacks its end
 *      NEWLINE, EQUALS, STAR
 *      OTHER     any other byte
 *      END       there is no more
 *
 * Blanks, and comments from # to the end of the line, are skipped.  Where several tokens are
 * possible the longest is taken.  Nothing is copied: a token points into the caller's text, which
 * may hold any bytes and needs no final zero.
 */
#ifndef CONF_SCAN_H
#define CONF_SCAN_H

#include <stddef.h>

enum token { END, NEWLINE, KEY, WORD, NUMBER, STRING, UNCLOSED, EQUALS, STAR, OTHER };

struct scan {
	const char *p, *end;            /* what is left; set both to begin */
	enum token token;
	const char *at;                 /* the token's text, a STRING's without its quotes */
	size_t n;
	const char *from;               /* where it begins, with its quote */
};

/* Moves on to the next token. */
void scan_next(struct scan *s);

#endif
