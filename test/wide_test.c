/* wide_test.c - the classes of wide characters are those of <ctype.h> in the C locale. */
#include "conf/wide.c"

#include <ctype.h>
#include <stdbool.h>

#include "t.h"

int main(void)
{
	bool alpha = true, punct = true, lower = true, upper = true;

	for (int c = 0; c < 128; c++) {
		alpha &= !iswalpha((wint_t)c) == !isalpha(c);
		punct &= !iswpunct((wint_t)c) == !ispunct(c);
		lower &= towlower((wint_t)c) == (wint_t)tolower(c);
		upper &= towupper((wint_t)c) == (wint_t)toupper(c);
	}
	say(alpha, "letters");
	say(punct, "punctuation");
	say(lower && upper, "the case of letters");
	for (wint_t c = 128; c < 0xe000; c++)
		alpha &= !iswalpha(c) && !iswpunct(c) && towlower(c) == c && towupper(c) == c;
	say(alpha, "nothing else has a class or a case");
	return done();
}
