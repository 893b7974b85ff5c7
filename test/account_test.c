/* account_test.c - accounts and profiles: sharing, counting, welcomes, and the way between two. */
#include "server/account.c"
#include "wire/base64.c"
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
	say(GET(a, "datestyle\0ISO\0APPLICATION_NAME\0till") == p && p->refs == 2, "in any case");
	say(GET(a, "application_name\0till\0DateStyle\0ISO") != p, "in this order");
	say(GET(a, "datestyle\0iso\0application_name\0till") != p, "but for values");
	struct profile *twice = GET(a, "datestyle\0ISO\0a\0x\0datestyle\0MDY\0A\0y");
	say(!strcmp(profile_value(twice, "a"), "y") && memmem(twice->params, twice->len, "ISO", 4),
	    "the last one counts, but not alone");
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
	say(profile_hold(p) == p && p->refs == 3, "held");
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

/* --- the name of the application --- */

#define APP "application_name\0"

static void test_fits(void)
{
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop");
	static const struct { const char *one, *other; size_t len, other_len; bool fit; } ways[] = {
#define WAY(one, other, fit) { one, other, sizeof (one), sizeof (other), fit }
		WAY(APP "x", APP "y", true),
		WAY("", APP "y", true),
		WAY("a\0x\0" APP "x\0z\0x", "a\0x\0z\0x\0" APP "y", true),
		WAY("options\0-c b=1", APP "y\0options\0-c b=1\0" APP "z", true),
		WAY("b\0x", "b\0x\0" APP "", true),
		/* What a RESET brings back is to be the session's own. */
		WAY("", "b\0x", false),
		WAY("b\0x", "b\0y", false),
		WAY("b\0x", "c\0x", false),
		WAY("b\0x", "b\0x\0b\0x", false),
		WAY("b\0x\0c\0x", "c\0x\0b\0x", false),
		WAY("b\0x\0c\0x", "b\0x", false),
		WAY(APP "x\0b\0x", APP "x", false),
		WAY(APP "x", APP "x\0options\0-c b=1", false),
		WAY("", "USER\0postgres", false),
		WAY("replication\0true", APP "y\0replication\0true", false),
		WAY("", "replication\0true", false),
#undef WAY
	};

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct profile *p = profile_get(a, ways[i].one, ways[i].len);
		struct profile *q = profile_get(a, ways[i].other, ways[i].other_len);
		say(profile_fits(p, q) == ways[i].fit && profile_fits(q, p) == ways[i].fit,
		    "%s and %s: %d", ways[i].one, ways[i].other, ways[i].fit);
	}
	accounts_free(all);
}

static void test_name(void)
{
	static char longest[sizeof APP + APPLICATION_NAME_SIZE] = APP;
	struct accounts *all = accounts_new();
	struct account *a = account_get(all, "ann", "shop");
	struct profile *none = profile_get(a, NULL, 0), *x = GET(a, APP "x\0" APP "it's \\");

	say(!strcmp(profile_name(x), "it's \\"), "the last one");
	say(!*profile_name(GET(a, APP "")), "an empty one");
	say(!profile_name(GET(a, APP "caf\xc3\xa9")) && !profile_name(GET(a, APP "a\nb"))
	    && !profile_name(GET(a, APP "a\x7f")), "PostgreSQL would take another one");

	memset(longest + sizeof APP - 1, 'x', APPLICATION_NAME_SIZE - 1);
	say(profile_name(profile_get(a, longest, sizeof APP - 1 + APPLICATION_NAME_SIZE)) != NULL,
	    "the longest");
	longest[sizeof APP - 1 + APPLICATION_NAME_SIZE - 1] = 'x';
	say(!profile_name(profile_get(a, longest, sizeof longest)), "it would cut a longer one");

	say(!profile_name(none), "nobody has told what it is without");
	profile_report(none, "application_name", "the role's");
	say(!profile_name(none), "not all of its reports are there yet");
	none->welcomed = true;
	say(!strcmp(profile_name(none), "the role's"), "told");
	accounts_free(all);
}

int main(void)
{
	test_accounts();
	test_profiles();
	test_words();
	test_spare();
	test_welcome();
	test_a_flood_of_reports();
	test_fits();
	test_name();
	return done();
}
