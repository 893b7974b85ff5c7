/* The first byte says what the rest is: pool_passwd, pool_hba.conf, pcp.conf or an environment. */
#include "../md5.c"
#include "../base64.c"
#include "../scram.c"
#include "../auth.c"
#include "../passwd_key.c"
#include "../passwd.c"
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

static void fuzz_environment(char *text, size_t len, struct auth_report *r)
{
	char *environment[32], *end = text + len, *line;
	int n = 0;

	while (text < end && n < 31) {
		*auth_line(&text, end, &line) = '\0';
		environment[n++] = line;
	}
	environment[n] = NULL;
	passwd_free(passwd_load(NULL, NULL, environment, r));
	passwd_free(pcp_load(NULL, environment, r));
}

static void check_user(const struct passwd *p)
{
	const struct passwd_entry *e = passwd_find(p, "u");

	if (e && (!e->kind || e->len != strlen(e->text) || !e->len))
		abort();
	if (e && e->kind != PASSWD_SCRAM)
		passwd_check_clear(e, "x", 1);
	if (e)
		passwd_check_md5(e, (const uint8_t[4]){ 0 }, "md5");
}

static void fuzz_passwd(char *text, size_t len, struct auth_report *r)
{
	struct passwd *p = calloc(1, sizeof *p);
	struct passwd_key key = { 0 };

	struct origin o = { .file = "pool_passwd", .key = &key, .r = r };
	passwd_key_derive(&key, "testkey", 7);
	read_text(p, text, len, &pool_passwd, o);
	check_user(p);
	passwd_free(p);
}

static void fuzz_pcp(char *text, size_t len, struct auth_report *r)
{
	struct passwd *p = calloc(1, sizeof *p);

	read_text(p, text, len, &pcp_conf, (struct origin){ .file = "pcp.conf", .r = r });
	check_user(p);
	passwd_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(char *, size_t, struct auth_report *) = {
		fuzz_passwd, fuzz_hba, fuzz_pcp, fuzz_environment
	};
	size_t seen = 0;
	struct auth_report r = { .warn = take_warning, .ctx = &seen };

	if (!size)
		return 0;
	char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	parts[*data % 4](text, size - 1, &r);
	free(text);
	return 0;
}
