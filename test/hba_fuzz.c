/* hba_fuzz.c - any bytes as pool_hba.conf: rules that can be asked, or an error. */
#include "../auth.c"
#include "../hba.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_warning(void *ctx, const char *file, int line, const char *text)
{
	*(size_t *)ctx += strlen(file) + strlen(text) + (size_t)line;
}

static void fuzz_hba(char *text, size_t len, struct auth_report *r)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t seen = 0;
	struct auth_report r = { .warn = take_warning, .ctx = &seen };
	char *text = malloc(size + 1);

	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	fuzz_hba(text, size, &r);
	free(text);
	return 0;
}
