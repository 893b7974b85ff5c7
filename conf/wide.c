/* conf/wide.c - character classes for regcomp() and regexec().
 *
 * This program never leaves the C locale, in which only ASCII characters have a class or a case;
 * the C library's tables of all the others would be 13 KB of the binary. */
#include <wctype.h>

static int is_letter(wint_t c)
{
	return (c | 0x20) - 'a' < 26u;
}

int iswalpha(wint_t c)
{
	return is_letter(c);
}

int iswpunct(wint_t c)
{
	return c > ' ' && c < 0x7f && !is_letter(c) && c - '0' > 9u;
}

wint_t towlower(wint_t c)
{
	return c - 'A' < 26u ? c | 0x20 : c;
}

wint_t towupper(wint_t c)
{
	return c - 'a' < 26u ? c & ~0x20u : c;
}
