#include "t.h"

/* Memory that runs out at the n-th request, when fuse is n. */
#include <errno.h>
#include <stdlib.h>
static int fuse;
static void *melt(void *memory)
{
	if (!fuse || --fuse)
		return memory;
	free(memory);
	errno = ENOMEM;
	return NULL;
}
#define malloc(n) melt(malloc(n))
#define calloc(n, size) melt(calloc(n, size))
#define realloc(p, n) (fuse == 1 ? (fuse = 0, errno = ENOMEM, NULL) : (fuse -= fuse > 0, realloc(p, n)))

#include "wire.c"
#include "md5.c"
#include "scram.c"
#include "scram/saslprep.c"
#include "auth.c"
#include "auth/passwd_key.c"
#include "auth/passwd.c"
#include "auth/hba.c"

#include <sys/un.h>

/* What was warned about, one line each. */
static char warned[8192];
static int warned_line;

static void note(void *ctx, const char *file, int line, const char *text)
{
	size_t n = strlen(warned);

	(void)ctx;
	(void)file;
	warned_line = line;
	snprintf(warned + n, sizeof warned - n, "%d: %s\n", line, text);
}

static struct auth_report report = { .warn = note };

/* ---- pool_passwd ---- */

#define VERIFIER "SCRAM-SHA-256$4096:VmIldpEokWP51TGbf/LrXw==$d7nE6a+N2xf34jj8gAlCz9Mgc4lCaivYQ6rc6YGkq34=:Hmy0uHhvZdzCleTyJuxCRbed4rYkPlcLfunJYKAGgdY="
#define MD5_A "md57474753e4b2f9e23953d5977773aabb0"     /* "pencil" of m1 */

static const struct passwd_key *key;            /* that passwd_of uses */

static struct passwd *passwd_of(const char *text, size_t len)
{
	struct passwd *p = calloc(1, sizeof *p);
	char *copy = malloc(len + 1);

	*warned = '\0';
	memcpy(copy, text, len);
	struct origin o = { .file = "pool_passwd", .key = key, .r = &report };
	if (!read_text(p, copy, len, &pool_passwd, o))
		abort();
	free(copy);
	return p;
}

static void test_passwd_lines(void)
{
	static const struct {
		const char *line, *user;
		enum passwd_kind kind;          /* NONE: no entry */
		const char *text;
		const char *warning;
	} table[] = {
		{ "u:secret", "u", PASSWD_CLEAR, "secret", "" },
		{ "u:secret\n", "u", PASSWD_CLEAR, "secret", "" },
		{ "u:secret\r\n", "u", PASSWD_CLEAR, "secret", "" },
		{ "u:secret\r", "u", PASSWD_CLEAR, "secret", "" },
		{ "u: sec ret ", "u", PASSWD_CLEAR, " sec ret ", "" },
		{ "u:TEXTsecret", "u", PASSWD_CLEAR, "secret", "" },
		{ "u:TEXTmd5x", "u", PASSWD_CLEAR, "md5x", "" },
		{ "u:TEXT", "u", PASSWD_NONE, NULL, "password for u user is not defined." },
		{ "u:", "u", PASSWD_NONE, NULL, "password for u user is not defined." },
		{ "u::x:y", "u", PASSWD_NONE, NULL, "not defined" },
		{ "u:secret:backend:word", "u", PASSWD_CLEAR, "secret", "" },
		{ "u:a\\:b\\\\c\\d", "u", PASSWD_CLEAR, "a:b\\cd", "" },
		{ "u:a\\", "u", PASSWD_CLEAR, "a\\", "" },
		{ "my\\:u\\\\:secret", "my:u\\", PASSWD_CLEAR, "secret", "" },
		{ "u:" MD5_A, "u", PASSWD_MD5, MD5_A, "" },
		{ "u:md57474753E4B2F9E23953D5977773AABB0", "u", PASSWD_MD5, MD5_A, "" },
		{ "u:" MD5_A "0", "u", PASSWD_CLEAR, MD5_A "0", "" },
		{ "u:md5z474753e4b2f9e23953d5977773aabb0", "u", PASSWD_CLEAR,
			"md5z474753e4b2f9e23953d5977773aabb0", "" },
		{ "u:md5", "u", PASSWD_CLEAR, "md5", "" },
		{ "u:AESLYROATKETwgvY557eVg7dQ==", "u", PASSWD_AES, "AESLYROATKETwgvY557eVg7dQ==",
			"AES encrypted" },
		{ "u:" VERIFIER, "u", PASSWD_SCRAM, VERIFIER, "" },
		{ "u:SCRAM-SHA-256$4096:x", "u", PASSWD_NONE, NULL, "malformed SCRAM verifier" },
		{ "u:SCRAM", "u", PASSWD_CLEAR, "SCRAM", "" },
		{ "nocolon", "nocolon", PASSWD_NONE, NULL, "not a line of the form" },
		{ ":secret", "", PASSWD_NONE, NULL, "not a line of the form" },
		{ "# u:x", "# u", PASSWD_CLEAR, "x", "" },
		{ "", "", PASSWD_NONE, NULL, "" },
		{ "\n\r\n\n", "", PASSWD_NONE, NULL, "" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct passwd *p = passwd_of(table[i].line, strlen(table[i].line));
		const struct passwd_entry *e = passwd_find(p, table[i].user);

		say(table[i].kind ? e && e->kind == table[i].kind && !strcmp(e->text, table[i].text) &&
			e->len == strlen(e->text) && !strcmp(e->user, table[i].user) : !e,
			"pool_passwd line %zu", i);
		say(*table[i].warning ? strstr(warned, table[i].warning) != NULL : !*warned,
			"its warning: %s", *warned ? strtok(warned, "\n") : "none");
		passwd_free(p);
	}
}

static void test_passwd_file(void)
{
	static const char text[] = "a:1\n\nbad\nb:2\na:3\na:1\nlast:9";
	struct passwd *p = passwd_of(text, sizeof text - 1);

	say(passwd_count(p) == 3, "three users");
	say(!strcmp(passwd_find(p, "a")->text, "1"), "the first line wins");
	say(!strcmp(passwd_find(p, "last")->text, "9"), "no newline at the end");
	say(!passwd_find(p, "c") && !passwd_find(p, "") && !passwd_find(NULL, "a"), "no such user");
	say(strstr(warned, "3: not a line") && strstr(warned, "5: user \"a\" already"), "warnings");
	say(!strstr(warned, "6:"), "not for the same again");
	passwd_free(p);

	p = passwd_of("a\0b:1\nc:2\0\nd:3\n", 16);
	say(passwd_count(p) == 1 && passwd_find(p, "d"), "lines with zero bytes");
	passwd_free(p);

	char big[2 * LONGEST_LINE];
	for (int extra = 0; extra < 2; extra++) {
		memset(big, 'x', sizeof big);
		memcpy(big, "u:", 2);
		memcpy(big + LONGEST_LINE - 1 + extra, "\nv:1", 4);
		p = passwd_of(big, (size_t)(LONGEST_LINE + 3 + extra));
		say(!!passwd_find(p, "u") == !extra && passwd_find(p, "v"), "a line of %d bytes",
			LONGEST_LINE - 1 + extra);
		passwd_free(p);
	}

	p = calloc(1, sizeof *p);
	char user[16];
	struct origin o = { .file = "x", .line = 1, .r = &report };
	for (int i = 0; i < 5000; i++) {
		snprintf(user, sizeof user, "user%d", i);
		add_user(p, user, user + 4, PASSWD_CLEAR, o);
	}
	bool all = true;
	for (int i = 0; i < 5000; i++) {
		snprintf(user, sizeof user, "user%d", i);
		const struct passwd_entry *e = passwd_find(p, user);
		all &= e && e->id == (uint32_t)i && atoi(e->text) == i;
	}
	say(all, "5000 users");
	passwd_free(p);
	passwd_free(NULL);
}

/* ---- the key ---- */

static struct passwd_key testkey(void)
{
	struct passwd_key k = { 0 };

	passwd_key_derive(&k, "testkey", 7);
	return k;
}

static void hex(char *out, const uint8_t *in, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", in[i]);
}

/* What Pgpool-II's pg_enc makes of these. */
static void test_key(void)
{
	static const char *const vectors[][2] = {
		{ "secret", "YLROATKETwgvY557eVg7dQ==" },
		{ "postgres", "MLQb96VM31h/Ntiu98RhBg==" },
		{ "a:b", "+L25yPH7YUA6OcmobLx3WQ==" },
		{ "exactly16bytes!!", "AaEdA/dmZT1es07ilKcfFP7yndSVHJVC2ItjzB6yfhw=" },
		{ "", "O+7Sp2pCqGKSvVdFF43hwA==" },
	};
	struct passwd_key k = testkey();
	char text[1600], back[1600], word[1000];

	hex(text, k.key, sizeof k.key);
	say(!strcmp(text, "913a73b565c8e2c8ed94497580f619397709b8b6f93a639512c132b6a841b204"), "key");
	hex(text, k.iv, sizeof k.iv);
	say(!strcmp(text, "fedf05e8aa6009fdc60a8919c8b0a2dd"), "initial vector");
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		const char *plain = vectors[i][0];

		passwd_encrypt(text, &k, plain, strlen(plain));
		say(!strcmp(text, vectors[i][1]) && strlen(text) == passwd_encrypted_len(strlen(plain)),
			"\"%s\" is %s", plain, text);
		say(passwd_decrypt(text, strlen(text), &k) == (int)strlen(plain) &&
			!strcmp(text, plain), "and back");
	}

	bool all = true;
	for (size_t n = 0; n < sizeof word; n++) {
		memset(word, 'x', n);
		word[n] = '\0';
		passwd_encrypt(text, &k, word, n);
		all &= strlen(text) == passwd_encrypted_len(n);
		strcpy(back, text);
		all &= passwd_decrypt(back, strlen(back), &k) == (int)n && !strcmp(back, word);
	}
	say(all, "passwords of 0 to %zu bytes", sizeof word - 1);

	static const char *const bad[] = { "", "=", "x", "YLRO", "YLROATKETwgvY557eVg7dQ",
		"YLROATKETwgvY557eVg7dA==", "YLROATKETwgvY557eVg7dQ==AAAA",
		"AAAAAAAAAAAAAAAAAAAAAA==" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		strcpy(text, bad[i]);
		say(passwd_decrypt(text, strlen(text), &k) < 0, "\"%s\" is nothing", bad[i]);
	}
	passwd_encrypt(text, &k, "a\0b", 3);
	say(passwd_decrypt(text, strlen(text), &k) < 0, "nor is a zero byte");

	struct passwd_key longer = { 0 }, cut = { 0 };
	memset(word, 'k', sizeof word);
	passwd_key_derive(&longer, word, 300);
	passwd_key_derive(&cut, word, 255);
	say(!memcmp(&longer, &cut, sizeof cut), "a key has 255 bytes at most");
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

static void test_key_file(const char *folder)
{
	char path[PATH_MAX], wanted[256];
	char home[300], *environment[] = { home, (char[]){ "PGPOOLKEYFILE=/k" }, NULL };
	struct passwd_key k, t = testkey();

	snprintf(home, sizeof home, "HOME=%s", folder);
	snprintf(wanted, sizeof wanted, "%s/.pgpoolkey", folder);
	passwd_key_file(path, "opt", environment);
	say(!strcmp(path, "opt"), "-k first");
	passwd_key_file(path, NULL, environment);
	say(!strcmp(path, "/k"), "then PGPOOLKEYFILE");
	environment[1] = NULL;
	passwd_key_file(path, NULL, environment);
	say(!strcmp(path, wanted), "then %s", wanted);
	passwd_key_file(path, NULL, environment + 1);
	say(!*path, "or nothing");

	passwd_key_load(&k, "");
	say(!k.usable && k.error == ENOENT, "no file");
	passwd_key_load(&k, wanted);
	say(!k.usable && k.error == ENOENT && !strcmp(k.file, wanted), "a file that is not there");
	passwd_key_load(&k, folder);
	say(!k.usable && k.error == EISDIR, "a folder");
	static const char *const texts[] = { "testkey", "testkey\n", "testkey\nmore\n" };
	for (int i = 0; i < 3; i++) {
		put(wanted, texts[i]);
		chmod(wanted, i ? 0600 : 0640);
		passwd_key_load(&k, wanted);
		say(k.usable && !k.error && k.exposed == !i && !memcmp(k.key, t.key, sizeof k.key),
			"key file %d", i);
	}
	put(wanted, "\ntestkey");
	passwd_key_load(&k, wanted);
	say(!k.usable && k.error == ENODATA, "an empty first line");

	static char lines[] = "u:AESYLROATKETwgvY557eVg7dQ==";
	char text[sizeof lines];
	strcpy(text, lines + 2);
	char why[PASSWD_WHY];
	say(passwd_decode(text, &k, why) == PASSWD_AES && strstr(why, "it is empty") &&
		strstr(why, wanted) && !strcmp(text, lines + 2), "%s", why);

	snprintf(path, sizeof path, "%s/pool_passwd", folder);
	put(path, lines);
	*warned = '\0';
	passwd_key_load(&k, "/nonexistent/key");
	struct passwd *p = passwd_load(path, &k, NULL, &report);
	say(passwd_find(p, "u")->kind == PASSWD_AES, "%s", warned);
	say(!strcmp(warned, "1: password of user \"u\": AES encrypted, and key file \"/nonexistent/key\" "
		"cannot be used: No such file or directory\n"), "the warning");
	passwd_free(p);
	*warned = '\0';
	put(wanted, "testkey");
	chmod(wanted, 0604);
	passwd_key_load(&k, wanted);
	p = passwd_load(path, &k, NULL, &report);
	say(passwd_find(p, "u")->kind == PASSWD_CLEAR && strstr(warned, "0: the key file has group or"),
		"an exposed key file is used: %s", warned);
	passwd_free(p);
	unlink(path);
}

/* Entries that a key opens. */
static void test_aes_lines(void)
{
	struct passwd_key k = testkey();
	char line[1600] = "u:AES", word[901];
	static const char text[] = "a:AESYLROATKETwgvY557eVg7dQ==\nb:AES+L25yPH7YUA6OcmobLx3WQ==\r\n"
		"c:AESO+7Sp2pCqGKSvVdFF43hwA==\nd:AESx\na:secret\ne:AESAAAAAAAAAAAAAAAAAAAAAA==\n";

	key = &k;
	struct passwd *p = passwd_of(text, sizeof text - 1);
	const struct passwd_entry *e = passwd_find(p, "a");
	say(e->kind == PASSWD_CLEAR && e->len == 6 && !strcmp(e->text, "secret"), "secret");
	say(!strcmp(passwd_find(p, "b")->text, "a:b"), "a:b");
	say(!passwd_find(p, "c") && strstr(warned, "3: password for c user is not defined."), "empty");
	say(passwd_find(p, "d")->kind == PASSWD_AES &&
		strstr(warned, "4: password of user \"d\": AES encrypted, but not with the key"), "bad");
	say(passwd_find(p, "e")->kind == PASSWD_AES, "bad too");
	say(!strstr(warned, "5:"), "the same in clear text");
	passwd_free(p);

	memset(word, 'w', 900);
	word[900] = '\0';
	passwd_encrypt(line + 5, &k, word, 900);
	p = passwd_of(line, strlen(line));
	say(!strcmp(passwd_find(p, "u")->text, word), "an entry of %zu characters", strlen(line));
	passwd_free(p);

	char *environment[] = { (char[]){ "A_USERNAME=a" },
		(char[]){ "A_PASSWORD=AESYLROATKETwgvY557eVg7dQ==" },
		(char[]){ "PGPOOL_SKIP_PASSWORD_ENCRYPTION=true" }, NULL };
	p = passwd_load(NULL, &k, environment, &report);
	say(!strcmp(passwd_find(p, "a")->text, "secret"), "in the environment");
	passwd_free(p);
	environment[2] = NULL;
	p = passwd_load(NULL, &k, environment, &report);
	say(!strncmp(passwd_find(p, "a")->text, "AES", 3), "as it is");
	passwd_free(p);
	key = NULL;
}

static void test_passwd_load(const char *folder)
{
	char path[256];

	snprintf(path, sizeof path, "%s/pool_passwd", folder);
	*warned = '\0';
	struct passwd *p = passwd_load(path, NULL, NULL, &report);
	say(p && !passwd_count(p) && !*warned, "a file that is not there is empty");
	passwd_free(p);

	put(path, "");
	p = passwd_load(path, NULL, NULL, &report);
	say(p && !passwd_count(p) && !*warned, "an empty file");
	passwd_free(p);

	put(path, "app:file\nother:TEXTmd5");
	char *environment[] = { (char[]){ "APP_USERNAME=app" }, (char[]){ "APP_PASSWORD=env" },
		(char[]){ "X_USERNAME=x" }, (char[]){ "X_PASSWORD=y" }, NULL };
	p = passwd_load(path, NULL, environment, &report);
	say(passwd_count(p) == 3 && !strcmp(passwd_find(p, "app")->text, "file"), "file first");
	say(strstr(warned, "user \"app\" already has a password") != NULL, "and a warning");
	passwd_free(p);

	*warned = '\0';
	p = passwd_load(folder, NULL, NULL, &report);
	say(p && !passwd_count(p) && strstr(warned, "could not be read"), "a folder: %s",
		strtok(warned, "\n"));
	passwd_free(p);
}

static void test_environment(void)
{
	static const struct {
		const char *set[6], *user;
		enum passwd_kind kind;
		const char *text, *warning;
	} table[] = {
		{ { "POSTGRES_USERNAME=postgres", "POSTGRES_PASSWORD=pw" }, "postgres", PASSWD_CLEAR, "pw", "" },
		{ { "POSTGRES_PASSWORD=pw", "POSTGRES_USERNAME=postgres" }, "postgres", PASSWD_CLEAR, "pw", "" },
		{ { "MY_APP_USERNAME=a", "MY_APP_PASSWORD=b", "MY_PASSWORD=c" }, "a", PASSWD_CLEAR, "b", "" },
		{ { "A_USERNAME=a=b", "A_PASSWORD=c=d $x `y` 'z' \\:\n" }, "a=b", PASSWD_CLEAR,
			"c=d $x `y` 'z' \\:\n", "" },
		{ { "A_USERNAME=a" }, "a", PASSWD_NONE, NULL, "password for a user is not defined." },
		{ { "A_USERNAME=a", "A_PASSWORD=" }, "a", PASSWD_NONE, NULL,
			"password for a user is not defined." },
		{ { "A_USERNAME=", "A_PASSWORD=b" }, "", PASSWD_NONE, NULL, "" },
		{ { "_USERNAME=a", "_PASSWORD=b" }, "a", PASSWD_NONE, NULL, "" },
		{ { "USERNAME=a", "PASSWORD=b" }, "a", PASSWD_NONE, NULL, "" },
		{ { "A_USERNAMES=a", "A_PASSWORD=b" }, "a", PASSWD_NONE, NULL, "" },
		{ { "X=Y_USERNAME=a", "X=Y_PASSWORD=b" }, "a", PASSWD_NONE, NULL, "" },
		{ { "A_USERNAME", "novalue", "" }, "a", PASSWD_NONE, NULL, "" },
		{ { "A_USERNAME=a", "A_PASSWORD=TEXTb" }, "a", PASSWD_CLEAR, "TEXTb", "" },
		{ { "A_USERNAME=m1", "A_PASSWORD=" MD5_A }, "m1", PASSWD_CLEAR, MD5_A, "" },
		{ { "A_USERNAME=a", "A_PASSWORD=TEXTb", "PGPOOL_SKIP_PASSWORD_ENCRYPTION=true" }, "a",
			PASSWD_CLEAR, "b", "" },
		{ { "A_USERNAME=m1", "A_PASSWORD=" MD5_A, "PGPOOL_SKIP_PASSWORD_ENCRYPTION=yes" }, "m1",
			PASSWD_MD5, MD5_A, "" },
		{ { "A_USERNAME=m1", "A_PASSWORD=" MD5_A, "PGPOOL_SKIP_PASSWORD_ENCRYPTION=false" }, "m1",
			PASSWD_CLEAR, MD5_A, "" },
		{ { "A_USERNAME=a", "A_PASSWORD=" VERIFIER, "PGPOOL_SKIP_PASSWORD_ENCRYPTION=1" }, "a",
			PASSWD_SCRAM, VERIFIER, "" },
		{ { "A_USERNAME=a", "A_PASSWORD=x\\:y:z", "PGPOOL_SKIP_PASSWORD_ENCRYPTION=on" }, "a",
			PASSWD_CLEAR, "x\\:y:z", "" },
		{ { "A_USERNAME=a", "A_PASSWORD=b", "PGPOOL_ENABLE_POOL_PASSWD=true" }, "a", PASSWD_CLEAR, "b", "" },
		{ { "A_USERNAME=a", "A_PASSWORD=b", "PGPOOL_ENABLE_POOL_PASSWD=" }, "a", PASSWD_CLEAR, "b", "" },
		{ { "A_USERNAME=a", "A_PASSWORD=b", "PGPOOL_ENABLE_POOL_PASSWD=false" }, "a", PASSWD_NONE, NULL, "" },
		{ { "A_USERNAME=a", "A_PASSWORD=b", "PGPOOL_ENABLE_POOL_PASSWD=no" }, "a", PASSWD_NONE, NULL, "" },
		{ { "A_USERNAME=a", "A_PASSWORD=b", "B_USERNAME=a", "B_PASSWORD=c" }, "a", PASSWD_CLEAR, "b",
			"already has a password" },
		{ { "A_USERNAME=a", "A_PASSWORD=b", "B_USERNAME=a", "B_PASSWORD=b" }, "a", PASSWD_CLEAR, "b", "" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char *set[7] = { NULL };

		for (int j = 0; j < 6 && table[i].set[j]; j++)
			set[j] = strdup(table[i].set[j]);
		*warned = '\0';
		struct passwd *p = passwd_load(NULL, NULL, set, &report);
		for (int j = 0; j < 6; j++)
			free(set[j]);
		const struct passwd_entry *e = passwd_find(p, table[i].user);
		say(table[i].kind ? e && e->kind == table[i].kind && !strcmp(e->text, table[i].text) : !e,
			"environment %zu: %s", i, table[i].set[0]);
		say(*table[i].warning ? strstr(warned, table[i].warning) != NULL : !*warned,
			"its warning: %s", *warned ? strtok(warned, "\n") : "none");
		passwd_free(p);
	}
}

static void test_checks(void)
{
	static const char text[] = "clear:pencil\nm1:" MD5_A "\nscram:" VERIFIER "\naes:AESx\n";
	struct passwd *p = passwd_of(text, sizeof text - 1);
	static const char *const users[] = { "clear", "m1", "scram", "aes" };
	const uint8_t salt[4] = { 1, 2, 0, 255 };

	for (size_t i = 0; i < 4; i++) {
		const struct passwd_entry *e = passwd_find(p, users[i]);
		char stored[36], answer[36];

		say(passwd_check_clear(e, "pencil", 6) == (i < 2), "%s: right password", users[i]);
		say(!passwd_check_clear(e, "pencils", 7), "%s: longer", users[i]);
		say(!passwd_check_clear(e, "penci", 5), "%s: shorter", users[i]);
		say(!passwd_check_clear(e, "", 0), "%s: none", users[i]);

		md5_password(stored, "pencil", 6, users[i]);
		md5_answer(answer, stored, salt);
		say(passwd_check_md5(e, salt, answer) == (i < 2), "%s: md5 answer", users[i]);
		say(!passwd_check_md5(e, (const uint8_t[4]){ 1, 2, 0, 254 }, answer), "other salt");
		answer[34] ^= 1;
		say(!passwd_check_md5(e, salt, answer) && !passwd_check_md5(e, salt, ""), "wrong ones");
	}
	passwd_free(p);
}

/* ---- pcp.conf ---- */

#define HASH "5ebe2294ecd0e0f08eab7690d2a6ee69"         /* of "secret" */

static void test_pcp(const char *folder)
{
	static const char text[] =
		"# USERID:MD5PASSWD\n"
		"\n \t\r\n"
		"a:" HASH "\r\n"
		"b:5EBE2294ECD0E0F08EAB7690D2A6EE69 \t\n"
		"nothing\n"
		":" HASH "\n"
		"c:secret\n"
		"dave:md5" HASH "\n"
		"e\\:" HASH "\n"
		"a:00000000000000000000000000000000\n"
		"x:" HASH "x\n"
		"f:" HASH;
	char path[256], names[400];

	snprintf(path, sizeof path, "%s/pcp.conf", folder);
	*warned = '\0';
	struct passwd *p = passwd_load_pcp(path, NULL, &report);
	say(p && !passwd_count(p) && !*warned, "no pcp.conf");
	passwd_free(p);
	put(path, text);
	p = passwd_load_pcp(path, NULL, &report);
	for (const char *const *u = (const char *const[]){ "a", "b", "e\\", "f", NULL }; *u; u++) {
		const struct passwd_entry *e = passwd_find(p, *u);
		say(e && e->kind == PASSWD_PCP && !strcmp(e->text, HASH), "pcp user %s", *u);
		say(e && !passwd_check_clear(e, HASH, 32), "who has no password here");
	}
	say(passwd_count(p) == 4, "no others");
	say(strstr(warned, "6: column 8: not a line of the form user:md5hash") &&
		strstr(warned, "7: column 1: not a line of the form user:md5hash") &&
		strstr(warned, "8: column 3: the password of user \"c\" is not 32") &&
		strstr(warned, "9: column 6: the password of user \"dave\" is not 32") &&
		strstr(warned, "11: user \"a\" already") && strstr(warned, "12: column 3: the"),
		"warnings: %s", warned);
	say(!strstr(warned, "secret") && !strstr(warned, HASH), "without passwords");
	passwd_free(p);

	for (int extra = 0; extra < 2; extra++) {
		memset(names, 'n', 128 + (size_t)extra);
		strcpy(names + 128 + extra, ":" HASH "\n");
		put(path, names);
		p = passwd_load_pcp(path, NULL, &report);
		say(passwd_count(p) == !extra, "a name of %d bytes", 128 + extra);
		passwd_free(p);
	}
	unlink(path);

	static const struct {
		const char *set[3];
		const char *hash;
	} table[] = {
		{ { "PGPOOL_PCP_USER=u", "PGPOOL_PCP_PASSWORD=secret" }, HASH },
		{ { "PGPOOL_PCP_USER=u", "PGPOOL_PCP_PASSWORD=" HASH }, "7022cd14c42ff272619d6beacdc9ffde" },
		{ { "PGPOOL_PCP_USER=u", "PGPOOL_PCP_PASSWORD=" HASH, "PGPOOL_SKIP_PASSWORD_ENCRYPTION=true" },
			HASH },
		{ { "PGPOOL_PCP_USER=u", "PGPOOL_PCP_PASSWORD=secret", "PGPOOL_SKIP_PASSWORD_ENCRYPTION=true" },
			NULL },
		{ { "PGPOOL_PCP_USER=u", "PGPOOL_PCP_PASSWORD=" HASH "00", "PGPOOL_SKIP_PASSWORD_ENCRYPTION=on" },
			NULL },
		{ { "PGPOOL_PCP_USER=u" }, NULL },
		{ { "PGPOOL_PCP_PASSWORD=x", "PGPOOL_PCP_USER=" }, NULL },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char *set[4] = { NULL };

		for (int j = 0; j < 3 && table[i].set[j]; j++)
			set[j] = strdup(table[i].set[j]);
		p = passwd_load_pcp(path, set, &report);
		const struct passwd_entry *e = passwd_find(p, "u");
		say(table[i].hash ? e && !strcmp(e->text, table[i].hash) : !e, "PGPOOL_PCP_ %zu: %s", i,
			e ? e->text : "none");
		passwd_free(p);
		for (int j = 0; j < 3; j++)
			free(set[j]);
	}
}

/* ---- pool_hba.conf ---- */

static struct hba *hba_of(const char *text, size_t len, const char *path)
{
	char *copy = malloc(len + 1);

	*warned = report.error[0] = '\0';
	memcpy(copy, text, len);
	struct hba *h = hba_text(copy, len, path, &report);
	free(copy);
	return h;
}

static const struct hba_rule *rule_of(const struct hba *h, const struct sockaddr *peer, bool tls,
	const char *db, const char *user)
{
	const struct hba_rule *r;

	hba_find(h, &(struct hba_query){ peer, tls, db, user, "" }, &r);
	return r;
}

/* "local", an address, or anything else: no address. */
static void address_of(struct sockaddr_storage *sa, const char *peer)
{
	*sa = (struct sockaddr_storage){ .ss_family = AF_UNIX };
	if (inet_pton(AF_INET, peer, &((struct sockaddr_in *)sa)->sin_addr) == 1)
		sa->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, peer, &((struct sockaddr_in6 *)sa)->sin6_addr) == 1)
		sa->ss_family = AF_INET6;
	else if (strcmp(peer, "local"))
		sa->ss_family = AF_UNSPEC;
}

/* The line that decides, 0 for none. */
static int line_for(const struct hba *h, const char *peer, bool tls, const char *db, const char *user)
{
	struct sockaddr_storage sa;

	address_of(&sa, peer);
	const struct hba_rule *r = rule_of(h, (struct sockaddr *)&sa, tls, db, user);
	return r ? r->line : 0;
}

/* One record: does it match? */
static void test_matching(void)
{
	static const struct {
		const char *record, *peer;
		bool tls;
		const char *db, *user;
		bool match;
	} table[] = {
		{ "local all all trust", "local", false, "d", "u", true },
		{ "local all all trust", "10.0.0.1", false, "d", "u", false },
		{ "host all all all trust", "local", false, "d", "u", false },
		{ "host all all all trust", "10.0.0.1", false, "d", "u", true },
		{ "host all all all trust", "10.0.0.1", true, "d", "u", true },
		{ "host all all all trust", "::1", true, "d", "u", true },
		{ "host all all all trust", "none", true, "d", "u", false },
		{ "hostssl all all all trust", "10.0.0.1", false, "d", "u", false },
		{ "hostssl all all all trust", "10.0.0.1", true, "d", "u", true },
		{ "hostnossl all all all trust", "10.0.0.1", false, "d", "u", true },
		{ "hostnossl all all all trust", "10.0.0.1", true, "d", "u", false },

		{ "host d all all trust", "10.0.0.1", false, "d", "u", true },
		{ "host d all all trust", "10.0.0.1", false, "D", "u", false },
		{ "host a,d,e all all trust", "10.0.0.1", false, "d", "u", true },
		{ "host a, d ,e all trust", "10.0.0.1", false, "d", "e", true },
		{ "host \"a\",\"d\" u all trust", "10.0.0.1", false, "d", "u", true },
		{ "host \"all\" all all trust", "10.0.0.1", false, "d", "u", false },
		{ "host \"all\" all all trust", "10.0.0.1", false, "all", "u", true },
		{ "host \"a b\" all all trust", "10.0.0.1", false, "a b", "u", true },
		{ "host \"a,b\" all all trust", "10.0.0.1", false, "a,b", "u", true },
		{ "host \"a#b\" all all trust", "10.0.0.1", false, "a#b", "u", true },
		{ "host \"a\"\"b\" all all trust", "10.0.0.1", false, "a\"b", "u", true },
		{ "host a\"l\"l all all trust", "10.0.0.1", false, "d", "u", true },
		{ "host \"\" all all trust", "10.0.0.1", false, "", "u", true },
		{ "host sameuser all all trust", "10.0.0.1", false, "u", "u", true },
		{ "host sameuser all all trust", "10.0.0.1", false, "d", "u", false },
		{ "host \"sameuser\" all all trust", "10.0.0.1", false, "u", "u", false },
		{ "host all sameuser all trust", "10.0.0.1", false, "u", "u", false },
		{ "host all sameuser all trust", "10.0.0.1", false, "d", "sameuser", true },
		{ "host replication all all trust", "10.0.0.1", false, "replication", "u", true },
		{ "host samegroup,samerole all all trust", "10.0.0.1", false, "samegroup", "u", false },
		{ "host all +staff all trust", "10.0.0.1", false, "d", "staff", false },
		{ "host all +staff,u all trust", "10.0.0.1", false, "d", "u", true },
		{ "host all \"+staff\" all trust", "10.0.0.1", false, "d", "+staff", true },
		{ "host all \"@file\" all trust", "10.0.0.1", false, "d", "@file", true },
		{ "host all @ all trust", "10.0.0.1", false, "d", "@", true },
		{ "host all a,u all trust # comment", "10.0.0.1", false, "d", "u", true },
		{ "host all u all trust#comment", "10.0.0.1", false, "d", "u", true },
		{ "\thost\tall\tu\tall\ttrust\r", "10.0.0.1", false, "d", "u", true },

		{ "host all all 10.0.0.0/8 trust", "10.255.0.1", false, "d", "u", true },
		{ "host all all 10.0.0.0/8 trust", "11.0.0.1", false, "d", "u", false },
		{ "host all all 10.9.9.9/8 trust", "10.1.1.1", false, "d", "u", true },
		{ "host all all 10.0.0.1/32 trust", "10.0.0.1", false, "d", "u", true },
		{ "host all all 10.0.0.1/32 trust", "10.0.0.2", false, "d", "u", false },
		{ "host all all 10.0.0.128/25 trust", "10.0.0.127", false, "d", "u", false },
		{ "host all all 10.0.0.128/25 trust", "10.0.0.128", false, "d", "u", true },
		{ "host all all 10.64.0.0/10 trust", "10.127.255.255", false, "d", "u", true },
		{ "host all all 10.64.0.0/10 trust", "10.128.0.0", false, "d", "u", false },
		{ "host all all 0.0.0.0/0 trust", "1.2.3.4", false, "d", "u", true },
		{ "host all all 0.0.0.0/0 trust", "::1", false, "d", "u", false },
		{ "host all all ::/0 trust", "::1", false, "d", "u", true },
		{ "host all all ::/0 trust", "1.2.3.4", false, "d", "u", false },
		{ "host all all ::/0 trust", "::ffff:1.2.3.4", false, "d", "u", false },
		{ "host all all 10.0.0.0 255.0.0.0 trust", "10.2.3.4", false, "d", "u", true },
		{ "host all all 10.0.0.0 255.0.0.0 trust", "11.2.3.4", false, "d", "u", false },
		{ "host all all 10.0.0.7 255.0.0.255 trust", "10.2.3.7", false, "d", "u", true },
		{ "host all all fd00::1/64 trust", "fd00::ffff", false, "d", "u", true },
		{ "host all all fd00::1/64 trust", "fd00:0:0:1::1", false, "d", "u", false },
		{ "host all all fd00::1/128 trust", "fd00::1", false, "d", "u", true },
		{ "host all all fd00:: ffff:: trust", "fd00:1::1", false, "d", "u", true },
		{ "host all all 10.0.0.0/8 trust", "::ffff:10.2.3.4", false, "d", "u", true },
		{ "host all all 10.0.0.0/8 trust", "::ffff:11.2.3.4", false, "d", "u", false },
		{ "host all all ::ffff:10.0.0.0/104 trust", "10.2.3.4", false, "d", "u", true },
		{ "host all all ::ffff:10.0.0.0/104 trust", "11.2.3.4", false, "d", "u", false },
		{ "host all all samehost trust", "127.0.0.1", false, "d", "u", true },
		{ "host all all samehost trust", "127.0.0.2", false, "d", "u", false },
		{ "host all all samehost trust", "203.0.113.9", false, "d", "u", false },
		{ "host all all samenet trust", "127.0.0.2", false, "d", "u", true },
		{ "host all all samenet trust", "203.0.113.9", false, "d", "u", false },
		{ "host all all db.example.com trust", "127.0.0.1", false, "d", "u", false },
		{ "host all all .example.com trust", "127.0.0.1", false, "d", "u", false },
		{ "host all all \"all\" trust", "127.0.0.1", false, "d", "u", false },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct hba *h = hba_of(table[i].record, strlen(table[i].record), "pool_hba.conf");

		say(h && !!line_for(h, table[i].peer, table[i].tls, table[i].db, table[i].user) ==
			table[i].match, "\"%s\": %s %s@%s%s", table[i].record, table[i].user, table[i].db,
			table[i].peer, table[i].tls ? " tls" : "");
		hba_free(h);
	}
}

static void test_bad_records(void)
{
	static const struct {
		const char *record;
		int column;
		const char *why;
	} table[] = {
		{ "foo all all trust", 1, "invalid connection type \"foo\"" },
		{ "Host all all all trust", 1, "invalid connection type" },
		{ "hostgssenc all all all trust", 1, "invalid connection type" },
		{ "local,host all all trust", 1, "multiple values specified for connection type" },
		{ "host", 5, "end-of-line before database specification" },
		{ "host # all", 6, "end-of-line before database specification" },
		{ "host all", 9, "end-of-line before role specification" },
		{ "host all,", 10, "end-of-line before role specification" },
		{ "host all all", 13, "end-of-line before IP address specification" },
		{ "local all all", 14, "end-of-line before authentication method" },
		{ "host all all all", 17, "end-of-line before authentication method" },
		{ "host all all 10.0.0.1,10.0.0.2 trust", 14, "multiple values specified for IP address" },
		{ "host all all 10.0.0.1", 22, "end-of-line before netmask" },
		{ "host all all 10.0.0.1 trust", 23, "invalid IP mask \"trust\"" },
		{ "host all all 10.0.0.1 ffff:: trust", 23, "IP address and mask do not match" },
		{ "host all all 10.0.0.1 255.0.0.0", 32, "end-of-line before authentication method" },
		{ "host all all 10.0.0.1/33 trust", 14, "invalid CIDR mask" },
		{ "host all all 10.0.0.1/ trust", 14, "invalid CIDR mask" },
		{ "host all all 10.0.0.1/-1 trust", 14, "invalid CIDR mask" },
		{ "host all all 10.0.0.1/8x trust", 14, "invalid CIDR mask" },
		{ "host all all 10.0.0.1/4294967296 trust", 14, "invalid CIDR mask" },
		{ "host all all fd00::/129 trust", 14, "invalid CIDR mask" },
		{ "host all all name/8 trust", 14, "invalid IP address \"name\" before a CIDR mask" },
		{ "host all all 10.0.0.256 trust", 14, "invalid IP address" },
		{ "host all all 10.0.0 255.0.0.0 trust", 14, "invalid IP address" },
		{ "host all all fd00::x trust", 14, "invalid IP address" },
		{ "host all all \"\" trust", 14, "invalid IP address" },
		{ "host all all all peer", 18, "invalid authentication method \"peer\"" },
		{ "host all all all MD5", 18, "invalid authentication method \"MD5\"" },
		{ "host all all all md5,trust", 18, "multiple values specified for authentication method" },
		{ "host all all all cert", 18, "only supported on hostssl" },
		{ "local all all cert", 15, "only supported on hostssl" },
		{ "hostssl all all all cert map=x", 26, "unrecognized authentication option" },
		{ "hostssl all all all cert clientcert=1", 26, "unrecognized authentication option" },
		{ "host all all all md5 pamservice=x", 22, "unrecognized authentication option" },
		{ "host all all all pam ldapserver=x", 22, "unrecognized authentication option" },
		{ "host all all all pam pamservice", 22, "not in name=value format" },
		{ "host all all all pam pamservice=x pam=y", 35, "unrecognized authentication option" },
		{ "host \"all all all trust", 6, "the quote is not closed" },
		{ "host all all all pam \"pamservice=x", 22, "the quote is not closed" },
		{ "host all @nofile all trust", 10, "could not read \"nofile\": No such file" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char text[512], place[64];
		snprintf(text, sizeof text, "local all all trust\n%s\nlocal all all trust\n",
			table[i].record);
		struct hba *h = hba_of(text, strlen(text), "pool_hba.conf");

		snprintf(place, sizeof place, "file \"pool_hba.conf\", line 2, column %d: ", table[i].column);
		say(!h && begins(report.error, place) && strstr(report.error, table[i].why),
			"\"%s\": %s", table[i].record, report.error);
		hba_free(h);
	}

	struct hba *h = hba_of("local all all\0 trust", 20, "pool_hba.conf");
	say(!h && strstr(report.error, "zero byte"), "%s", report.error);
	h = hba_of("host all all all ldap ldapserver=x ldapbindpasswd= hush", 55, "pool_hba.conf");
	say(!h && !strstr(report.error, "hush"), "no secret in: %s", report.error);
	h = hba_of("", 0, "pool_hba.conf");
	say(!h && strstr(report.error, "contains no entries"), "%s", report.error);
	h = hba_of("# only\n\n  # comments", 20, "pool_hba.conf");
	say(!h && strstr(report.error, "contains no entries"), "%s", report.error);
}

static void test_long_lines(void)
{
	char text[2 * LONGEST_RECORD];

	for (int extra = 0; extra < 2; extra++) {
		memset(text, 'x', sizeof text);
		memcpy(text, "host all ", 9);
		memcpy(text + 9 + LONGEST_TOKEN + extra, " all trust", 10);
		struct hba *h = hba_of(text, (size_t)(19 + LONGEST_TOKEN + extra), "f");
		say(!!h == !extra, "a token of %d bytes: %s", LONGEST_TOKEN + extra, report.error);
		hba_free(h);
	}
	for (int extra = 0; extra < 2; extra++) {
		memset(text, ' ', sizeof text);
		memcpy(text, "local all all trust", 19);
		struct hba *h = hba_of(text, (size_t)(LONGEST_RECORD - 1 + extra), "f");
		say(!!h == !extra, "a line of %d bytes: %s", LONGEST_RECORD - 1 + extra, report.error);
		hba_free(h);
	}
}

static void test_order(void)
{
	static const char text[] =
		"# TYPE DATABASE USER ADDRESS METHOD\n"
		"\n"
		"local all all trust\n"
		"hostssl app,\"my db\" alice 10.0.0.0/8 scram-sha-256\n"
		"host all bob 10.1.0.0 255.255.0.0 reject\r\n"
		"hostnossl all all 10.0.0.0/8 md5\n"
		"hostssl all all ::1/128 cert\n"
		"host all carol 0.0.0.0/0 ldap ldapserver=x ldapbindpasswd=\"a b\" ldapport=1\n"
		"host all dave 0.0.0.0/0 pam pamservice=p pam_use_hostname=1\n"
		"host all all samenet password\n";
	struct hba *h = hba_of(text, sizeof text - 1, "pool_hba.conf");
	struct sockaddr_in sa = { .sin_family = AF_INET };

	say(h && hba_has_hostssl(h), "a whole file %s", report.error);
	say(strstr(warned, "8: column 26: authentication method \"ldap\"") &&
		strstr(warned, "9: column 25: authentication method \"pam\"") && warned_line == 9, "its warnings");
	say(line_for(h, "local", false, "x", "bob") == 3, "local");
	say(line_for(h, "10.1.2.3", true, "my db", "alice") == 4, "alice, TLS");
	say(line_for(h, "10.1.2.3", true, "other", "alice") == 0, "alice, other database");
	say(line_for(h, "10.1.2.3", false, "my db", "alice") == 6, "alice, no TLS");
	say(line_for(h, "10.1.2.3", true, "app", "bob") == 5, "bob rejected");
	say(line_for(h, "::1", true, "app", "bob") == 7, "cert");
	say(line_for(h, "203.0.113.9", true, "app", "carol") == 8, "carol");
	say(line_for(h, "203.0.113.9", true, "app", "erin") == 0, "no record");
	say(line_for(h, "127.1.2.3", false, "app", "erin") == 10, "samenet");
	inet_pton(AF_INET, "10.1.2.3", &sa.sin_addr);
	const struct hba_rule *r = rule_of(h, (struct sockaddr *)&sa, true, "app", "bob");
	say(r && r->method == HBA_REJECT && !strcmp(hba_method_name(r->method), "reject"), "method");
	hba_free(h);

	for (int m = 0; m < METHODS; m++) {
		char line[64];
		snprintf(line, sizeof line, "hostssl all all all %s", methods[m]);
		h = hba_of(line, strlen(line), "f");
		r = h ? rule_of(h, (struct sockaddr *)&sa, true, "d", "u") : NULL;
		say(r && (int)r->method == m, "method %s", methods[m]);
		hba_free(h);
	}
	h = hba_of("host all all all trust", 22, "f");
	say(!hba_has_hostssl(h), "no hostssl");
	hba_free(h);
	hba_free(NULL);
}

/* Names: they are asked for only where they decide. */
static void test_host_names(void)
{
	static const char text[] =
		"local all all trust\n"
		"host db1 all all trust\n"
		"hostssl all all db.Example.com md5\n"
		"host all bob .example.org password\n"
		"hostnossl all all \"all\" reject\n"
		"host all all 10.0.0.0/8 scram-sha-256\n";
	static const struct {
		const char *peer;
		bool tls;
		const char *db, *user, *host;
		enum hba_answer answer;
		int line;
	} table[] = {
		{ "local", false, "d", "u", NULL, HBA_FOUND, 1 },
		{ "10.0.0.1", false, "db1", "u", NULL, HBA_FOUND, 2 },
		{ "10.0.0.1", true, "d", "u", NULL, HBA_NEEDS_HOST, 0 },
		{ "10.0.0.1", true, "d", "u", "db.example.com", HBA_FOUND, 3 },
		{ "10.0.0.1", true, "d", "u", "DB.EXAMPLE.COM", HBA_FOUND, 3 },
		{ "10.0.0.1", true, "d", "u", "x.db.example.com", HBA_FOUND, 6 },
		{ "10.0.0.1", true, "d", "u", "db.example.co", HBA_FOUND, 6 },
		{ "10.0.0.1", true, "d", "u", "", HBA_FOUND, 6 },
		{ "11.0.0.1", true, "d", "u", "", HBA_NONE, 0 },
		{ "10.0.0.1", true, "d", "bob", "a.b.EXAMPLE.org", HBA_FOUND, 4 },
		{ "10.0.0.1", true, "d", "bob", "example.org", HBA_FOUND, 6 },
		{ "10.0.0.1", true, "d", "bob", "myexample.org", HBA_FOUND, 6 },
		{ "::1", false, "d", "bob", NULL, HBA_NEEDS_HOST, 0 },
		{ "10.0.0.1", false, "d", "u", NULL, HBA_NEEDS_HOST, 0 },
		{ "10.0.0.1", false, "d", "u", "all", HBA_FOUND, 5 },
	};

	*warned = report.error[0] = '\0';
	struct hba *h = hba_parse(text, "generated rules", &report);
	say(h && !*warned, "host names in a text in memory %s", report.error);
	for (size_t i = 0; h && i < sizeof table / sizeof *table; i++) {
		struct sockaddr_storage sa;
		const struct hba_rule *r;

		address_of(&sa, table[i].peer);
		enum hba_answer a = hba_find(h, &(struct hba_query){ (struct sockaddr *)&sa, table[i].tls,
			table[i].db, table[i].user, table[i].host }, &r);
		say(a == table[i].answer && (r ? r->line : 0) == table[i].line, "%s@%s, host %s", table[i].user,
			table[i].db, table[i].host ? table[i].host : "not known");
	}
	hba_free(h);
	h = hba_parse("host all all all none\n", "generated rules", &report);
	say(!h && !strcmp(report.error, "file \"generated rules\", line 1, column 18: invalid "
		"authentication method \"none\""), "%s", report.error);
}

static void test_includes(const char *folder)
{
	char path[256], hba[256];

	snprintf(hba, sizeof hba, "%s/pool_hba.conf", folder);
	*warned = '\0';
	say(!hba_load(hba, &report) && strstr(report.error, "could not read"), "%s", report.error);
	say(!hba_load(folder, &report), "%s", report.error);

	snprintf(path, sizeof path, "%s/admins", folder);
	put(path, "alice, bob # two\n\n\"all\" @more\r\n");
	snprintf(path, sizeof path, "%s/more", folder);
	put(path, "dave\n+staff");
	put(hba, "host all x,@admins,y all md5\nhost all all all reject\n");
	struct hba *h = hba_load(hba, &report);
	say(h != NULL, "includes %s", report.error);
	for (const char *const *u = (const char *const[]){ "x", "alice", "bob", "all", "dave", "y", NULL };
		h && *u; u++)
		say(line_for(h, "10.0.0.1", false, "d", *u) == 1, "%s is in", *u);
	say(h && line_for(h, "10.0.0.1", false, "d", "two") == 2, "a comment is not");
	say(strstr(warned, "2: column 1: \"+staff\"") != NULL, "warning with the line of the included file");
	hba_free(h);

	put(path, "fine\n\"open\n");
	say(!hba_load(hba, &report) && strstr(report.error, "/more\", line 2, column 1: the quote"),
		"%s", report.error);
	put(path, "@more");
	say(!hba_load(hba, &report) && strstr(report.error, "more than 10 deep"), "%s", report.error);
	char text[600];
	snprintf(text, sizeof text, "local @%s all trust\nlocal all @%s/nothing trust\n", path, folder);
	put(path, "");
	put(hba, text);
	say(!hba_load(hba, &report) && strstr(report.error, "line 2, column 11: could not read"), "%s",
		report.error);
	snprintf(text, sizeof text, "local @%s all trust\n", path);
	put(hba, text);
	h = hba_load(hba, &report);
	say(h && !line_for(h, "local", false, "d", "u"), "an empty list matches nobody");
	hba_free(h);
}

/* Each request for memory fails once: the answer is NULL with a reason, and nothing leaks. */
static void test_no_memory(const char *folder)
{
	char path[256];
	char *environment[] = { (char[]){ "A_USERNAME=a" }, (char[]){ "A_PASSWORD=b" }, NULL };
	struct passwd *p = NULL;
	struct hba *h = NULL;
	int n;
	bool reasons = true;

	snprintf(path, sizeof path, "%s/pool_passwd", folder);
	for (n = 1; !p; n++) {
		fuse = n;
		p = passwd_load(path, NULL, environment, &report);
		reasons &= p || strstr(report.error, "memory");
	}
	fuse = 0;
	say(n > 4 && reasons && passwd_count(p) == 3, "pool_passwd without memory");
	passwd_free(p);

	put(path, "host a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q samenetuser samenet trust\n");
	for (n = 1; !h; n++) {
		fuse = n;
		h = hba_load(path, &report);
		reasons &= h || strstr(report.error, "emory");
	}
	fuse = 0;
	say(n > 5 && reasons, "pool_hba.conf without memory: %s", report.error);
	hba_free(h);
}

int main(void)
{
	char folder[] = "/tmp/auth_test.XXXXXX";
	char command[64];

	if (!mkdtemp(folder))
		return 1;
	test_passwd_lines();
	test_passwd_file();
	test_key();
	test_key_file(folder);
	test_aes_lines();
	test_pcp(folder);
	test_passwd_load(folder);
	test_environment();
	test_checks();
	test_matching();
	test_bad_records();
	test_long_lines();
	test_order();
	test_host_names();
	test_includes(folder);
	test_no_memory(folder);
	snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command) != 0 || done();
}
