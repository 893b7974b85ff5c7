/* t.h - the whole test framework: say() what should be true, done() at the end.
 * Output is TAP; the exit status is 1 when anything was not ok. */
#ifndef T_H
#define T_H

#include <stdio.h>

static int t_n, t_bad;

#define say(cond, ...) do { int ok_ = !!(cond); t_bad += !ok_; \
	printf("%sok %d - ", ok_ ? "" : "not ", ++t_n); printf(__VA_ARGS__); \
	if (ok_) printf("\n"); else printf("   # %s:%d\n", __FILE__, __LINE__); } while (0)

#define done() (printf("1..%d\n", t_n), t_bad != 0)

#endif
