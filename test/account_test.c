/* account_test.c - accounts and profiles: sharing, counting, welcomes, and the way between two. */
#include "server/account.c"
#include "base64.c"
#include "scram.c"
#include "scram/saslprep.c"
#include "wire.c"
#include "wire/memory.c"

#include <stdio.h>

#include "t.h"

/* Pairs as they stand in a startup packet: the text's own zero is the last value's. */
#define GET(a, pairs) profile_get(a, pairs, sizeof (pairs))

static bool is(void *ctx, const struct account *a) { return a == ctx; }

static void test_accounts(void)
{
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop"), *b = account_get(all, "ann", "shop");
	struct account *c = account_get(all, "anns", "hop"), *d = account_get(all, "shop", "ann");

	say(a == b && a->refs == 2, "equal accounts are one object");
	say(a != c && a != d && c != d, "others are others");
	say(!strcmp(a->user, "ann") && !strcmp(a->database, "shop"), "who and where");
	say(!account_knows(a, "", 7) && !account_knows(a, "pw", 7), "no password is known at first");
	account_set_password(a, "pw", 7);
	say(account_knows(a, "pw", 7) && account_knows(b, "pw", 7), "the right password");
	say(!account_knows(a, "pW", 7) && !account_knows(a, "p", 7) && !account_knows(a, "pwd", 7)
	    && !account_knows(a, "", 7), "wrong ones");
	say(account_knows(a, "pw", 6 + ACCOUNT_PROOF) && !account_knows(a, "pw", 7 + ACCOUNT_PROOF),
	    "a proof counts for a while");
	account_set_password(a, "other", 7);
	say(account_knows(a, "other", 7) && !account_knows(a, "pw", 7), "a new one");
	accounts_doubt(all);
	say(!account_knows(a, "other", 7) && !strcmp(a->password, "other"), "doubt leaves it, unproved");
	account_set_password(a, "pw", 0);
	say(!account_knows(a, "pw", 7), "what only fits an entry is no proof");
	a->have_keys = true;
	a->demanded.demand = DEMAND_SCRAM;
	account_set_password(c, "c", 7);
	accounts_forget_secrets(all, is, a);
	say(a->password && a->have_keys && a->demanded.demand == DEMAND_UNKNOWN
	    && !c->password, "all but what is kept is forgotten");
	accounts_forget_secrets(all, is, NULL);
	say(!a->password && !a->have_keys, "all is");
	account_set_password(a, "pw", 7);
	account_set_password(a, NULL, 0);
	say(!account_knows(a, "pw", 7), "as is one");
	account_set_password(a, "pw", 7);
	account_set_password(c, "pw", 7);
	accounts_forget_user(all, "ann");
	say(!a->password && c->password, "or those of a user");
	account_drop(a);
	say(account_get(all, "ann", "shop") == a && a->refs == 2, "one of two drops leaves it");
	for (int i = 0; i < 3; i++)
		account_drop(i ? a : d);
	say(account_get(all, "shop", "ann")->refs == 1, "the last one does not");
	for (int i = 0; i < 1000; i++) {
		char name[32];
		snprintf(name, sizeof name, "user%d", i);
		account_get(all, name, name);
	}
	say(account_get(all, "user77", "user77")->refs == 2, "found among a thousand");
	struct account *own = account_get_own(all, "ann", "shop", PASSWD_CLEAR, "s3cret");
	say(own != account_get(all, "ann", "shop") && own->given->kind == PASSWD_CLEAR
	    && !strcmp(own->given->text, "s3cret"), "one with a password of the proxy's is another");
	say(own == account_get_own(all, "ann", "shop", PASSWD_CLEAR, "s3cret"), "and is found again");
	say(own != account_get_own(all, "ann", "shop", PASSWD_CLEAR, "S3cret")
	    && own != account_get_own(all, "ann", "shop", PASSWD_MD5, "s3cret"), "as what it is");
	accounts_free(all);
}

static void test_profiles(void)
{
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop"), *b = account_get(all, "bob", "shop");
	struct profile *p = GET(a, "DateStyle\0ISO\0application_name\0till");

	say(p && p->refs == 1 && a->refs == 2, "a profile holds its account");
	say(GET(a, "application_name\0till\0DateStyle\0ISO") == p, "in any order");
	say(GET(a, "datestyle\0ISO\0APPLICATION_NAME\0till") == p && p->refs == 3, "in any case");
	say(GET(a, "datestyle\0iso\0application_name\0till") != p, "but for values");
	say(GET(a, "application_name\0x\0datestyle\0ISO\0application_name\0till") == p,
	    "the last one counts");
	say(GET(b, "DateStyle\0ISO\0application_name\0till") != p, "of this account");
	say(!strcmp(profile_value(p, "datestyle"), "ISO") && !profile_value(p, "till")
	    && !profile_value(p, "ISO"), "values by name");
	say(!strcmp(p->application_name, "till") && !p->replication, "the application");
	struct profile *none = profile_get(a, "", 0);
	say(none && !none->len && !*none->application_name && profile_get(a, NULL, 0) == none,
	    "nothing set");
	say(profile_get(a, "x\0y", 2) == none && GET(a, "") == none, "half a pair is none");
	struct profile *walsender = GET(a, "replication\0database"), *blank = GET(a, "options\0");
	say(walsender->replication && !strcmp(profile_value(blank, "options"), ""),
	    "replication; no value");
	say(profile_hold(p) == p && p->refs == 5, "held");
	p = GET(a, "USER\0postgres\0_PQ_.x\0001\0Options\0-c a=b\0TimeZone\0UTC");
	say(!profile_value(p, "user") && !strcmp(profile_value(p, "USER"), "postgres")
	    && !profile_value(p, "_pq_.x") && profile_value(p, "_PQ_.x") && !profile_value(p, "options")
	    && profile_value(p, "timezone"), "the protocol's own words are not made of others");
	p = GET(a, "options\0-c a=b\0OPTIONS\0-c a=c");
	say(!strcmp(profile_value(p, "options"), "-c a=b") && profile_value(p, "OPTIONS"),
	    "nor overruled by them");
	say(!GET(a, "Replication\0true")->replication, "this is no walsender");
	accounts_free(all);
}

static bool keep_all(void *ctx, const struct account *a)
{
	(void)ctx, (void)a;
	return true;
}

static void test_words(void)
{
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop");
	struct profile *p = GET(a, ""), *walsender = GET(a, "replication\0true");

	profile_demanded(p)->demand = DEMAND_SCRAM;
	say(profile_demanded(GET(a, "application_name\0x"))->demand == DEMAND_SCRAM
	    && profile_demanded(walsender)->demand == DEMAND_UNKNOWN, "sessions are asked alike, not walsenders");
	profile_demanded(walsender)->demand = DEMAND_NOTHING;
	say(profile_demanded(GET(a, "replication\0database"))->demand == DEMAND_UNKNOWN
	    && profile_demanded(p)->demand == DEMAND_SCRAM, "nor do these speak for each other");
	accounts_forget_secrets(all, keep_all, NULL);
	say(profile_demanded(p)->demand == DEMAND_UNKNOWN && profile_demanded(walsender)->demand == DEMAND_UNKNOWN,
	    "they are asked anew after a reload");
	accounts_free(all);
}

static void test_too_many(void)
{
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop");
	char pairs[PAIRS_MAX * 8 + 16], *end = pairs;

	for (int i = 0; i < PAIRS_MAX; i++)
		end += snprintf(end, 8, "p%03d", i) + 1, *end++ = 'v', *end++ = 0;
	struct profile *p = profile_get(a, pairs, (size_t)(end - pairs));
	say(p && profile_value(p, "p000") && profile_value(p, "p127"), "%d pairs", PAIRS_MAX);
	memcpy(end, "q\0v", 4);
	say(!profile_get(a, pairs, (size_t)(end - pairs) + 4), "one more");
	accounts_free(all);
}

/* Those that are used are kept; of those that nobody uses, a number with welcomes. */
static void test_spare(void)
{
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop");
	struct profile *p = GET(a, "a\0001");

	profile_drop(NULL);
	profile_drop(p);
	say(!a->profiles && a->refs == 1, "dropped without a welcome");
	for (int i = 0; i < SPARE_PROFILES + 5; i++) {
		char pair[16] = "n";
		snprintf(pair + 2, sizeof pair - 2, "%d", i);
		p = profile_get(a, pair, 2 + strlen(pair + 2) + 1);
		profile_report(p, "n", pair + 2);
		p->welcomed = true;
		profile_drop(p);
	}
	say(all->spare == SPARE_PROFILES && a->refs == SPARE_PROFILES + 1, "so many are kept");
	p = GET(a, "n\0007");
	say(p->welcome && p->refs == 1 && all->spare == SPARE_PROFILES - 1, "and used again");
	profile_drop(profile_hold(p));
	say(p->refs == 1, "counted anew");
	profile_drop(p);
	account_drop(a);
	say(all->spare == SPARE_PROFILES && account_get(all, "ann", "shop") == a,
	    "they hold the account");
	accounts_free(all);
}

static bool welcome_is(const struct profile *p, const char *want, size_t n)
{
	return p->welcome_len == n && !memcmp(p->welcome, want, n);
}

static void test_welcome(void)
{
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop");
	struct profile *p = GET(a, "a\0001"), *q = GET(a, "a\0002");
	static const char one[] = "S\0\0\0\x9TZ\0u\0",
	    two[] = "S\0\0\0\x9TZ\0u\0S\0\0\0\x8" "b\0x\0";
	static const char last[] = "S\0\0\0\x0c" "tz\0Rome\0S\0\0\0\x8" "b\0x\0";

	say(profile_copy_welcome(q, p) == -1 && !q->welcome, "no welcome to copy");
	say(profile_report(p, "TZ", "u") == 0 && welcome_is(p, one, sizeof one - 1),
	    "a first report");
	profile_report(p, "b", "x");
	say(welcome_is(p, two, sizeof two - 1), "goes before the second");
	profile_report(p, "tz", "Rome");
	say(welcome_is(p, last, sizeof last - 1), "is replaced in its place");
	profile_report(p, "b", "");
	profile_report(p, "b", "x");
	say(welcome_is(p, last, sizeof last - 1), "at the end, too");
	profile_report(q, "c", "old");
	say(profile_copy_welcome(q, p) == 0 && welcome_is(q, last, sizeof last - 1)
	    && q->welcome != p->welcome, "copied over another");
	accounts_free(all);
}

/* What a node reports without end. */
static void test_a_flood_of_reports(void)
{
	struct accounts *all = accounts_new();
	struct profile *p = GET(account_get(all, "ann", "shop"), "a\0001");
	static char name[16], large[WELCOME_MAX];

	profile_report(p, "TimeZone", "Rome");
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "n%d", i);
		profile_report(p, name, "value");
	}
	say(p->welcome_len <= WELCOME_MAX, "%zu bytes", (size_t)p->welcome_len);
	say(profile_report(p, "timezone", "Oslo") == 1 && memmem(p->welcome, p->welcome_len, "Oslo", 4),
		"what there is still changes");
	memset(large, 'x', sizeof large - 1);
	say(profile_report(p, "timezone", large) == 1 && p->welcome_len <= WELCOME_MAX
	    && !memmem(p->welcome, p->welcome_len, "Oslo", 4), "but tells no old value");
	accounts_free(all);
}

/* --- differences --- */

static const char *difference(const struct profile *from, const struct profile *to)
{
	static char sql[512];

	return profile_difference(from, to, sql, sizeof sql) ? sql : "impossible";
}

#define NAMED(name) "SET \"application_name\" = E'" name "'"
#define APP "application_name\0"
#define WAY(from, to, want) do { const char *d_ = difference(from, to); \
	say(!strcmp(d_, want), "%s", d_); } while (0)

static void test_difference(void)
{
	static const char own[] = "impossible";
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop");
	struct profile *none = profile_get(a, NULL, 0), *x = GET(a, APP "x"), *y = GET(a, APP "y");
	struct profile *more = GET(a, APP "x\0b\0it's"), *other = GET(a, APP "y\0b\0it's");
	struct profile *options = GET(a, APP "x\0options\0-c b=1");

	WAY(x, x, "");
	WAY(none, x, NAMED("x"));
	WAY(x, y, NAMED("y"));
	WAY(more, other, NAMED("y"));
	WAY(x, GET(a, APP "it's \\\xe4"), NAMED("it''s \\\\\\xe4"));
	WAY(GET(a, "a\0x\0" APP "x\0z\0x"), GET(a, "a\0x\0" APP "y\0z\0x"), NAMED("y"));
	WAY(GET(a, "options\0-c b=1\0" APP "y"), options, NAMED("x"));

	/* What a RESET brings back is to be the session's own. */
	WAY(none, GET(a, "b\0x"), own);
	WAY(GET(a, "b\0x"), none, own);
	WAY(GET(a, "b\0x"), GET(a, "b\0y"), own);
	WAY(GET(a, "b\0x"), GET(a, "c\0x"), own);
	WAY(GET(a, "b\0x\0c\0x"), GET(a, "b\0x"), own);
	WAY(x, more, own);
	WAY(more, x, own);
	WAY(more, y, own);
	WAY(x, options, own);
	WAY(options, x, own);
	WAY(none, GET(a, "USER\0postgres"), own);
	WAY(x, GET(a, APP "x\0replication\0true"), own);
	WAY(GET(a, APP "x\0replication\0true"), GET(a, APP "y\0replication\0true"), own);

	WAY(x, none, own);                      /* nobody has told what it is without */
	profile_report(none, "application_name", "the role's");
	WAY(x, none, own);                      /* not all of its reports are there yet */
	none->welcomed = true;
	WAY(x, none, NAMED("the role''s"));
	WAY(GET(a, APP "the role's"), none, "");
	WAY(options, GET(a, "options\0-c b=1"), own);
	accounts_free(all);
}

static void test_room(void)
{
	static char longest[sizeof APP + PROFILE_NAME_MAX + 1] = APP;
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop");
	struct profile *none = profile_get(a, NULL, 0), *p = GET(a, APP "it's");
	size_t need = strlen(difference(none, p)) + 1;
	char most[PROFILE_SQL_MAX];
	bool ok = true;

	for (size_t n = 0; n <= need; n++) {
		char *sql = malloc(n ? n : 1);
		ok &= profile_difference(none, p, sql, n) == (n == need);
		free(sql);
	}
	say(ok, "it takes %zu bytes, no less", need);
	memset(longest + sizeof APP - 1, '\xe4', PROFILE_NAME_MAX - 1);
	p = profile_get(a, longest, sizeof APP - 1 + PROFILE_NAME_MAX);
	say(profile_difference(none, p, most, sizeof most), "the longest name has room");
	longest[sizeof APP - 1 + PROFILE_NAME_MAX - 1] = 'x';
	p = profile_get(a, longest, sizeof APP + PROFILE_NAME_MAX);
	say(!profile_difference(none, p, most, sizeof most), "a longer one is not taken along");
	accounts_free(all);
}

int main(void)
{
	test_accounts();
	test_profiles();
	test_words();
	test_too_many();
	test_spare();
	test_welcome();
	test_a_flood_of_reports();
	test_difference();
	test_room();
	return done();
}
