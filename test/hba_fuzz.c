/* hba_fuzz.c - any bytes as pool_hba.conf: rules that can be asked, or an error. */
#include "auth.c"
#include "auth/hba.c"

#include "reader_fuzz.h"

static void fuzz_text(char *text, size_t len, struct auth_report *r)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr.s6_addr = { [15] = 1 } };
	struct hba *h = hba_text(text, len, "/nonexistent/pool_hba.conf", r);
	const struct hba_rule *rule;

	if (!h) {
		if (!r->error[0])
			abort();
		return;
	}
	struct hba_query q = { (struct sockaddr *)&v4, true, "d", "u", NULL };
	if (hba_find(h, &q, &rule) == HBA_NEEDS_HOST) {
		q.host = "db.example.com";
		if (hba_find(h, &q, &rule) == HBA_NEEDS_HOST)
			abort();
	}
	q = (struct hba_query){ (struct sockaddr *)&v6, false, "u", "u", "" };
	if ((hba_find(h, &q, &rule) == HBA_FOUND) != !!rule)
		abort();
	hba_has_hostssl(h);
	hba_free(h);
}
