/* The first byte says whether the rest is a pool_passwd, a pool_hba.conf or an environment. */
#include "../md5.c"
#include "../base64.c"
#include "../scram.c"
#include "../auth.c"
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

	if (!h) {
		if (!r->error[0])
			abort();
		return;
	}
	hba_find(h, (struct sockaddr *)&v4, true, "d", "u");
	hba_find(h, (struct sockaddr *)&v6, false, "u", "u");
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
	passwd_free(passwd_load(NULL, environment, r));
}

static void fuzz_passwd(char *text, size_t len, struct auth_report *r)
{
	struct passwd *p = calloc(1, sizeof *p);

	passwd_text(p, text, len, "pool_passwd", r);
	const struct passwd_entry *e = passwd_find(p, "u");
	if (e && e->kind != PASSWD_SCRAM)
		passwd_check_clear(e, "x", 1);
	if (e)
		passwd_check_md5(e, (const uint8_t[4]){ 0 }, "md5");
	passwd_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(char *, size_t, struct auth_report *) = {
		fuzz_passwd, fuzz_hba, fuzz_environment
	};
	size_t seen = 0;
	struct auth_report r = { .warn = take_warning, .ctx = &seen };

	if (!size)
		return 0;
	char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	parts[*data % 3](text, size - 1, &r);
	free(text);
	return 0;
}
