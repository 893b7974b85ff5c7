/* place_test.c - numbers of connections, what sessions leave on them, and their last statements. */
#include "server/place.c"
#include "server/residue.c"
#include "client/last.c"
#include "t.h"

#include <string.h>

static struct last last[LAST_STATEMENTS];
static struct clients clients = { .last = last };

static void test_places(void)
{
	struct places p = { .of = NULL };
	struct server s[40];
	bool fine = true;

	for (unsigned i = 0; i < 40; i++)
		fine &= place_take(&p, &s[i]) == 0 && s[i].place == i && p.of[i] == &s[i];
	say(fine && p.n == 40, "places are taken in order");
	place_leave(&p, &s[7]);
	place_leave(&p, &s[3]);
	place_leave(&p, &s[39]);
	say(!p.of[3] && !p.of[39] && p.n == 40, "who leaves leaves a hole");
	place_take(&p, &s[39]);
	place_take(&p, &s[3]);
	say(s[39].place == 3 && s[3].place == 7, "the lowest is taken first");
	place_take(&p, &s[7]);
	say(s[7].place == 39 && p.n == 40, "before there are more");
	places_free(&p);
	say(place_take(&p, &s[0]) == 0 && s[0].place == 0, "anew");
	places_free(&p);
}

static void test_last(void)
{
	struct client a = { .all = &clients, .pid = SESSION_PID + 5 };
	struct client b = { .all = &clients, .pid = SESSION_PID + 5 + LAST_STATEMENTS };
	char text[2 * LAST_TEXT];

	say(!strcmp(last_text(&a), ""), "nothing yet");
	last_note(&a, "SELECT 1; SELECT 2", 8);
	say(!strcmp(last_text(&a), "SELECT 1"), "as much as it is told");
	last_note(&a, NULL, 0);
	say(!strcmp(last_text(&a), "SELECT 1"), "goes on with it");
	say(!strcmp(last_text(&b), ""), "another one has not said it");
	last_forget(&b);
	say(!strcmp(last_text(&a), "SELECT 1"), "and cannot forget it");
	last_note(&b, "x", 1);
	say(!strcmp(last_text(&a), ""), "but takes the slot");
	last_forget(&b);
	say(!strcmp(last_text(&b), ""), "until it goes");
	for (size_t i = 0; i + 1 < sizeof text; i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	last_note(&a, text, sizeof text);
	say(strlen(last_text(&a)) == LAST_TEXT - 2, "a long one is cut between characters");
	last_note(&a, "caf\xe9 \xc3\xa9\xc3", 8);
	say(!strcmp(last_text(&a), "caf? \xc3\xa9?"), "what is no UTF-8 is masked");
}

static void test_residues(void)
{
	struct residues all = { .n = 0 };
	uint64_t tenant = residue_of(&all, "app.tenant");

	say(tenant && residue_of(&all, "App.Tenant") == tenant, "a name of somebody's");
	say(residue_of(&all, "app.other") != tenant, "another one");
	say(!residue_of(&all, "pgpool.min_lsn") && all.n == 2, "the proxy's own are nobody's");
	residues_free(&all);
}

int main(void)
{
	test_places();
	test_last();
	test_residues();
	return done();
}
