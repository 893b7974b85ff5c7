/* passwd_fuzz.c - any bytes as pool_passwd and as variables of the environment. */
#include "md5.c"
#include "scram.c"
#include "scram/saslprep.c"
#include "auth.c"
#include "auth/passwd_key.c"
#include "auth/passwd.c"

#include "reader_fuzz.h"

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
	passwd_free(passwd_load_pcp(NULL, environment, r));
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

static void fuzz_text(char *text, size_t len, struct auth_report *r)
{
	if (*text == '=')
		fuzz_environment(text, len, r);
	else
		fuzz_passwd(text, len, r);
}
