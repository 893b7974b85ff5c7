/* pcp_conf_fuzz.c - any bytes as pcp.conf. */
#include "md5.c"
#include "scram.c"
#include "scram/saslprep.c"
#include "auth.c"
#include "auth/passwd_key.c"
#include "auth/passwd.c"

#include "reader_fuzz.h"

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

static void fuzz_text(char *text, size_t len, struct auth_report *r)
{
	struct passwd *p = calloc(1, sizeof *p);

	read_text(p, text, len, &pcp_conf, (struct origin){ .file = "pcp.conf", .r = r });
	check_user(p);
	passwd_free(p);
}
