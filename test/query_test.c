/* query_test.c - how a client's input is cut, and that no cut of the network shows.
 *
 * Behind the session are two little PostgreSQLs.  They know nothing of SQL but what fails, begins, ends
 * and copies, and all of the protocol's states: what they answer when asked directly is what a client must
 * see through the proxy. */
#include "client/query.c"

#include "session.h"
#include "t.h"

/* --- PostgreSQL --- */

enum { NAMES = 8, TEXT = 64 };

struct postgres {
	char status;
	bool ignores, copies, simple;           /* up to a Sync; COPY FROM STDIN; of a Query */
	const char *column;                     /* what a "columns" has */
	struct { char name[TEXT], text[TEXT]; bool set; } statement[NAMES], portal[NAMES];
	size_t seen;                            /* of what was sent to it */
	struct put out;
	uint8_t block[1 << 16];
};

/* All errors are one: which it is may depend on the node. */
static void say_error(struct postgres *pg)
{
	put_report(&pg->out, 'E', &(struct report){ "ERROR", "22012", "no", NULL, NULL });
	pg->status = pg->status == 'T' ? 'E' : pg->status;
}

static void say_done(struct postgres *pg, const char *tag)
{
	put_message(&pg->out, 'C', tag, strlen(tag) + 1);
}

#define FIND(list, wanted, into) do { \
	(into) = NULL; \
	for (size_t i_ = 0; i_ < NAMES && !(into); i_++) \
		if ((list)[i_].set && !strcmp((list)[i_].name, wanted)) \
			(into) = (list)[i_].text; \
} while (0)

static void deallocate(struct postgres *pg, const char *name)
{
	for (size_t i = 0; i < NAMES; i++)
		if (*pg->statement[i].name && (!name || !strcmp(pg->statement[i].name, name)))
			pg->statement[i].set = false;
}

static bool rolls_back_to(const char *text)
{
	return !strncmp(text, "ROLLBACK TO", 11);
}

static bool ends(const char *text)
{
	return !strncmp(text, "COMMIT", 6) || !strncmp(text, "ROLLBACK", 8);
}

static bool set_name(struct postgres *pg, bool portal, const char *name, const char *text)
{
	for (size_t i = *name != 0; i < (*name ? NAMES : 1); i++) {
		bool *set = portal ? &pg->portal[i].set : &pg->statement[i].set;
		if (*set && *name)
			continue;
		*set = true;
		snprintf(portal ? pg->portal[i].name : pg->statement[i].name, TEXT, "%s", name);
		snprintf(portal ? pg->portal[i].text : pg->statement[i].text, TEXT, "%s", text);
		return true;
	}
	return false;
}

/* false: it failed, or waits for data. */
static bool run_text(struct postgres *pg, const char *text, size_t len)
{
	char s[TEXT];

	snprintf(s, sizeof s, "%.*s", (int)len, text);
	if (!*s) {
		put_message(&pg->out, 'I', NULL, 0);
	} else if (strstr(s, "fail") || (pg->status == 'E' && !ends(s))) {
		say_error(pg);
		return false;
	} else if (rolls_back_to(s)) {
		say_done(pg, "ROLLBACK");
		pg->status = 'T';
	} else if (ends(s)) {
		say_done(pg, pg->status == 'E' || *s == 'R' ? "ROLLBACK" : "COMMIT");
		pg->status = 'I';
	} else if (!strncmp(s, "COPY", 4)) {
		put_message(&pg->out, 'G', "\0\0", 3);
		pg->copies = true;
		return false;
	} else if (!strncmp(s, "DISCARD ALL", 11) && pg->status == 'T') {
		say_error(pg);
		return false;
	} else {
		if (!strncmp(s, "DEALLOCATE \"", 12))
			s[strlen(s) - 1] = 0;
		if (!strncmp(s, "DEALLOCATE", 10) || !strncmp(s, "DISCARD", 7))
			deallocate(pg, strstr(s, " ALL") ? NULL : s + 11 + (s[11] == '"'));
		if (!strncmp(s, "BEGIN", 5))
			pg->status = 'T';
		char *as = strncmp(s, "PREPARE ", 8) ? NULL : strstr(s, " AS ");
		if (as) {
			*as = 0;
			set_name(pg, false, s + 8, as + 4);
		}
		s[strcspn(s, " ")] = 0;
		say_done(pg, s);
	}
	return true;
}

static void run_query(struct postgres *pg, const char *text)
{
	pg->simple = true;
	pg->statement[0].set = pg->portal[0].set = false;
	for (const char *end; ; text = end + 2) {
		end = strstr(text, "; ");
		if (!run_text(pg, text, end ? (size_t)(end - text) : strlen(text)) || !end)
			break;
	}
	if (!pg->copies)
		put_ready(&pg->out, pg->status);
}

static void fail_extended(struct postgres *pg)
{
	say_error(pg);
	pg->ignores = true;
}

/* One column, by the name that it has on this node. */
static void put_columns(struct postgres *pg)
{
	static const uint8_t place[6] = { 0, 0, 1 }, type[12] = { 0, 0, 0, 23, 0, 4 };

	put_begin(&pg->out, 'T');
	put_u16(&pg->out, 1);
	put_text(&pg->out, pg->column);
	put_bytes(&pg->out, place, sizeof place);
	put_bytes(&pg->out, type, sizeof type);
	put_end(&pg->out);
}

static void run_extended(struct postgres *pg, struct msg *m)
{
	char what = strchr("DC", m->type) ? (char)*m->at++ : m->type;
	const char *first = msg_text(m), *second = strchr("PB", m->type) ? msg_text(m) : "";
	const char *text = NULL, *known = NULL;
	char copy[TEXT];

	pg->simple = false;
	if (m->type == 'P' || what == 'S')
		FIND(pg->statement, first, known);
	if (m->type == 'P' && pg->status == 'E' && !ends(second)) {
		fail_extended(pg);
	} else if (m->type == 'P' && (strstr(second, "bad") || (*first && known))) {
		fail_extended(pg);
	} else if (m->type == 'P') {
		set_name(pg, false, first, second);
		put_message(&pg->out, '1', NULL, 0);
	} else if (m->type == 'B') {
		FIND(pg->statement, second, text);
		if (!text || (pg->status == 'E' && !ends(text))) {
			fail_extended(pg);
			return;
		}
		set_name(pg, true, first, text);
		put_message(&pg->out, '2', NULL, 0);
	} else if (m->type == 'D') {
		if ((what == 'S' && !known) || (pg->status == 'E' && !(known && ends(known)))) {
			fail_extended(pg);
			return;
		}
		if (what == 'S')
			put_message(&pg->out, 't', "\0\0", 2);
		if (known && strstr(known, "columns"))
			put_columns(pg);
		else
			put_message(&pg->out, 'n', NULL, 0);
	} else if (m->type == 'C') {
		if (what == 'S' && *first)
			deallocate(pg, first);
		for (size_t i = 1; what == 'P' && i < NAMES; i++)
			pg->portal[i].set &= strcmp(pg->portal[i].name, first) != 0;
		put_message(&pg->out, '3', NULL, 0);
	} else {
		FIND(pg->portal, first, text);
		if (!text) {
			fail_extended(pg);
			return;
		}
		snprintf(copy, sizeof copy, "%s", text);
		pg->ignores = !run_text(pg, copy, strlen(copy)) && !pg->copies;
	}
}

static void end_portals(struct postgres *pg)
{
	for (size_t i = 0; i < NAMES && pg->status == 'I'; i++)
		pg->portal[i].set = false;
}

static void take_copy(struct postgres *pg, char type)
{
	if (strchr("dSH", type))
		return;
	pg->copies = false;
	if (type == 'c')
		say_done(pg, "COPY 1");
	else
		say_error(pg);
	pg->ignores = type != 'c' && !pg->simple;
	if (pg->simple)
		put_ready(&pg->out, pg->status);
}

static void take_message(struct postgres *pg, struct msg *m)
{
	if (pg->copies) {
		take_copy(pg, m->type);
	} else if (m->type == 'S') {
		pg->ignores = false;
		end_portals(pg);
		put_ready(&pg->out, pg->status);
	} else if (pg->ignores || strchr("Hdcf", m->type)) {
		return;
	} else if (m->type == 'Q') {
		run_query(pg, (const char *)m->at);
		end_portals(pg);
	} else if (m->type == 'F') {
		put_message(&pg->out, 'V', "\377\377\377\377", 4);
		put_ready(&pg->out, pg->status);
	} else {
		run_extended(pg, m);
	}
}

/* Reads what is there; its answers are in `out`. */
static void take_bytes(struct postgres *pg, const uint8_t *p, size_t n)
{
	struct msg m;

	pg->out = (struct put){ .base = pg->block, .cap = sizeof pg->block };
	for (long len; (len = wire_next(&m, p + pg->seen, n - pg->seen, MESSAGE_MAX)) > 0; ) {
		pg->seen += (size_t)len;
		take_message(pg, &m);
	}
}

static struct postgres postgres[3];             /* of the nodes, and one that is asked directly */

static void postgres_begin(void)
{
	for (size_t i = 0; i < 3; i++) {
		memset(&postgres[i], 0, offsetof(struct postgres, block));
		postgres[i].status = 'I';
		postgres[i].column = "a";
	}
}

/* --- the network --- */

static void input(uint8_t *p, size_t n)
{
	if (client->phase == AT_READY)
		query_input(client, p, n);
}

/* Some bytes come, behind what was kept. */
static void receive(const uint8_t *p, size_t n)
{
	uint8_t *kept;
	long have = conn_refill(NULL, &client->conn, &kept);
	uint8_t *all = malloc((size_t)have + n + 1);

	memcpy(all, kept, (size_t)have);
	memcpy(all + have, p, n);
	input(all, (size_t)have + n);
	free(all);
}

/* Until nothing moves any more. */
static void settle(void)
{
	for (bool moved = true; moved; ) {
		moved = resumed;
		if (resumed) {
			resumed = false;
			receive((const uint8_t *)"", 0);
		}
		for (int i = 0; i < 2; i++) {
			struct postgres *pg = &postgres[i];
			take_bytes(pg, to_server[i].bytes, to_server[i].n);
			moved |= pg->out.len != 0;
			if (pg->out.len && on[i].phase != GONE)
				server_replies(&on[i], pg->block, pg->out.len);
		}
	}
}

static void begin(void)
{
	session_begin();
	postgres_begin();
	client->conn.watch.events = 1;
}

/* Bytes that the client sends, cut at these places; what comes while it is not read comes later. */
static void run_cut(const uint8_t *p, size_t n, size_t first, size_t step)
{
	size_t at = 0, socket = 0;

	begin();
	while (at < n || socket < n) {
		socket = socket ? socket + step : first;
		socket = socket < n ? socket : n;
		bool reads = client->conn.watch.events;
		if (reads) {
			receive(p + at, socket - at);
			at = socket;
		}
		settle();
		if (!reads && socket == n && !client->conn.watch.events)
			break;
	}
}

/* --- what an input state makes of a message --- */

static const char *const states[] = { "request", "open", "ignored", "copy", "skipped" };

static void give(const char *list)
{
	const uint8_t *p;
	size_t n = messages(list, &p);

	receive(p, n);
}

/* What one message does: n begins a request, s is sent within one, h is answered here, k is kept, d is
 * dropped; o: its client is thrown out, e and E: d and s, and it has ended. */
static char does(const char *message)
{
	size_t sent = to_server[0].n, told = to_client.n;
	unsigned inflight = client->inflight;

	give(message);
	if (client->ended)
		return to_server[0].n > sent ? 'E' : 'e';
	if (client->phase == AT_GONE)
		return 'o';
	if (to_client.n > told)
		return 'h';
	if (to_server[0].n > sent)
		return client->inflight > inflight ? 'n' : 's';
	return conn_kept(&client->conn) ? 'k' : 'd';
}

static void state_rest(void) { }
static void state_busy(void) { give("Q DELETE FROM t"); }
static void state_barrier(void) { give("Q COPY t FROM STDIN"); }
static void state_open(void) { give("P =DELETE FROM t | H"); }
static void state_ignored(void) { give("P =bad | H"); answer(0, "E 42601"); }
static void state_copy(void) { give("Q COPY t FROM STDIN"); answer(0, "G abc"); }
static void state_copy_extended(void)
{
	give("P =COPY t FROM STDIN | B = | E | H");
	answer(0, "1 | 2 | G abc");
}
static void state_skipped(void)
{
	none_free = true;
	give("P =DELETE FROM t | H");
	query_refused(client, &(struct refusal){ .kind = REFUSED_FULL,
		.report = { "ERROR", "53300", "full", NULL, NULL } });
	none_free = false;
}

static const char kinds[] = "QFPBDECSHdcfX?";

/* What each of these kinds of messages does, and the state that it leads to, by its first letter. */
static const struct {
	void (*enter)(void);
	const char *name;
	enum input in;
	const char *does, *to;
} inputs[] = {
	{ state_rest, "at rest", INPUT_REQUEST, "nnkkkkkhddddeo", "rrrrrrrrrrrrrr" },
	{ state_busy, "busy", INPUT_REQUEST, "nnkkkkkndssseo", "rrrrrrrrrrrrrr" },
	{ state_barrier, "behind a barrier", INPUT_REQUEST, "kkkkkkkkdsssEo", "rrrrrrrrrrrrrr" },
	{ state_open, "open", INPUT_OPEN, "sssssssssssses", "rroooooroooooo" },
	{ state_ignored, "ignored", INPUT_IGNORED, "sssssssssssses", "iiiiiiiriiiiii" },
	{ state_copy, "COPY", INPUT_COPY, "sssssssddsssEs", "rrrrrrrcccrrcr" },
	{ state_copy_extended, "COPY, extended", INPUT_COPY, "sssssssddsssEs", "iiiiiiicccooci" },
	{ state_skipped, "skipped", INPUT_SKIPPED, "dddddddhdddded", "sssssssrssssss" },
};

static void test_inputs(void)
{
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
		for (size_t k = 0; kinds[k]; k++) {
			const char message[] = { kinds[k], strchr("SHcX", kinds[k]) ? 0 : ' ', 'S', 'x', 0 };

			begin();
			inputs[i].enter();
			say(client->input == inputs[i].in, "%s is %s", inputs[i].name, states[inputs[i].in]);
			char did = does(message);
			say(did == inputs[i].does[k], "%s: %c does %c, not %c", inputs[i].name, kinds[k],
				inputs[i].does[k], did);
			say(*states[client->input] == inputs[i].to[k], "and leads to %c, not %s",
				inputs[i].to[k], states[client->input]);
			session_end();
		}
}

/* What stands behind a Flush or Sync is not lost sight of. */
static void test_bodies(void)
{
	begin();
	say(does("H Q") == 'o' && !strcmp(refused, "08P01 invalid message format"), "a Flush with a body");
	session_end();
	begin();
	state_copy();
	say(does("S Q") == 'o', "a Sync with a body in COPY");
	session_end();
}

/* The beginning of a message is with a server that its client leaves. */
static void test_left(void)
{
	static const struct { const char *answers; size_t rest; enum server_phase phase; } cases[] = {
		{ "", 3, GONE }, { "E 22012 | Z I", 3, GONE }, { "E 22012 | Z I", 0, IDLE }, { "", 0, GONE },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint8_t *p;

		begin();
		state_copy();
		size_t n = messages("d some data", &p);
		receive(p, n - 3);
		answer(0, cases[i].answers);
		say(client->left == 3 && client->left_to == &on[0], "some of it was sent");
		messages("d some data", &p);
		receive(p + n - 3, 3 - cases[i].rest);
		say(client->left == cases[i].rest && strstr(on_tape(&to_server[0]), "...") == NULL
		    == !cases[i].rest, "%zu bytes are left", cases[i].rest);
		query_free(client);
		say(on[0].phase == cases[i].phase, "the server %s", cases[i].phase == GONE ? "goes" : "stays");
		session_end();
	}
	begin();
	state_copy();
	const uint8_t *p;
	size_t n = messages("d some data", &p);
	receive(p, n - 3);
	size_t sent = to_server[0].n;
	client_detach(client, &on[0]);
	client->inflight = 0;
	receive((const uint8_t *)"abc", 3);
	say(client->left == 0 && to_server[0].n == sent, "of a server that has gone nobody gets the rest");
	client->inflight = 1;
	client_attach(client, &on[0]);
	session_end();
}

/* --- where requests go --- */

/* Requests one after the other, and the node that each goes to; "catch up" is the replica's. */
static void test_causal(void)
{
	static const struct { const char *scope, *requests[8], *nodes; } cases[] = {
		{ "session", { "Q SELECT 1", "Q DELETE FROM t", "Q SELECT 1", "catch up", "Q SELECT 1" }, "100-1" },
		{ "session", { "Q BEGIN", "Q DELETE FROM t", "Q ROLLBACK", "Q SELECT 1" }, "-001" },
		{ "session", { "Q BEGIN", "Q DELETE FROM t", "Q ROLLBACK TO a", "Q COMMIT", "Q SELECT 1" }, "-0000" },
		{ "session", { "P =DELETE FROM t | B = | E | S", "P =SELECT 1 | B = | E | S", "catch up",
		    "P =SELECT 1 | B = | E | S" }, "00-1" },
		{ "session", { "Q DELETE FROM t", "Q BEGIN", "Q SELECT 1", "catch up", "Q SELECT 1", "Q COMMIT",
		    "Q SELECT 1" }, "0-0-001" },
		{ "session", { "Q BEGIN", "Q SELECT 1", "Q SELECT 1 FROM pg_class", "Q SELECT 1",
		    "Q SELECT 1 FROM pg_class, t", "Q SELECT 1" }, "-10100" },
		{ "session", { "Q SELECT f()", "Q SELECT 1" }, "00" }, { "session", { "F", "Q SELECT 1" }, "00" },
		{ "session", { "Q SELECT set_config('work_mem', '1', false)", "Q SELECT 1" }, "01" },
		{ "session", { "Q SELECT 1 FROM pg_class", "Q SELECT 1" }, "01" },
		{ "monotonic", { "Q SELECT 1 FROM pg_class, t", "Q SELECT 1", "catch up", "Q SELECT 1" }, "00-1" },
		{ "session", { "Q SET pgpool.min_lsn = '0/9'", "Q SELECT 1", "Q RESET pgpool.min_lsn", "Q SELECT 1" },
		  "0001" },
		{ "off", { "Q DELETE FROM t", "Q SELECT 1" }, "01" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char line[64];
		snprintf(line, sizeof line, "load_balance_consistency = '%s'\n", cases[i].scope);
		configure(line);
		begin();
		for (size_t k = 0; cases[i].nodes[k]; k++) {
			size_t primary = to_server[0].n, replica = to_server[1].n;
			struct node *n = &servers.nodes->node[1];

			if (!strcmp(cases[i].requests[k], "catch up")) {
				n->caught_up = servers.nodes->wanted;
				n->measured++;
				continue;
			}
			give(cases[i].requests[k]);
			settle();
			bool first = to_server[0].n > primary, second = to_server[1].n > replica;
			char went = first && second ? 'b' : first ? '0' : second ? '1' : '-';
			say(went == cases[i].nodes[k], "%s %zu: %s: %c, not %c", cases[i].scope, i,
				cases[i].requests[k], cases[i].nodes[k], went);
		}
		session_end();
		unconfigure();
	}
}

/* Requests one after the other, and the node that each goes to; "-" is neither. */
static void test_nodes(void)
{
	static const struct { const char *requests[6], *nodes; } cases[] = {
		{ { "Q SELECT 1", "Q DELETE FROM t", "Q SELECT 1; SELECT 2" }, "100" },
		{ { "Q BEGIN", "Q SELECT 1", "Q COMMIT", "Q SELECT 1" }, "-111" },
		{ { "Q BEGIN", "Q COMMIT", "S" }, "---" },
		{ { "Q BEGIN", "Q BEGIN", "Q COMMIT" }, "-00" },
		{ { "Q BEGIN", "Q DELETE FROM t", "Q COMMIT" }, "-00" },
		{ { "P a=SELECT 1 | S", "B =a | E | S", "C Sa | S" }, "110" },
		{ { "P =SELECT 1 | S", "B = | E | S" }, "11" },
		{ { "P =DELETE FROM t | S", "B = | E | S" }, "00" },
		{ { "P =SELECT 1 | B = | S", "E | S", "E | P =DELETE FROM t | S" }, "100" },
		{ { "P =SELECT 1 | H" }, "0" },
		{ { "P =SELECT 1 | Q SELECT 1" }, "0" },
		{ { "P a=SELECT 1 | P a=SELECT 1 | S", "Q SELECT 1" }, "b1" },
		{ { "Q BEGIN", "Q SELECT 1", "Q DELETE FROM t", "Q SELECT 1", "Q COMMIT" }, "-1b00" },
		{ { "Q BEGIN", "Q SET a = 1", "Q SELECT 1", "Q COMMIT", "Q SELECT 1" }, "-01b1" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ", "Q SELECT 1", "Q COMMIT", "Q SELECT 1" },
		  "-001" },
		{ { "Q BEGIN WORK ISOLATION LEVEL REPEATABLE READ, READ ONLY", "Q SELECT 1", "Q SAVEPOINT a",
		    "Q DELETE FROM t", "Q COMMIT" }, "-1111" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "Q SELECT 1", "Q LISTEN a" }, "-1-" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "Q SELECT 1",
		    "Q SELECT pg_try_advisory_xact_lock(1)" }, "-1-" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "Q SELECT 1", "Q SELECT setseed(1)" },
		  "-1-" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "Q SELECT 1", "Q SELECT f()" }, "-11" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "Q SELECT 1", "Q SELEC 1" }, "-11" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "Q SELECT 1",
		    "P a=SELECT pg_advisory_lock(1) | S", "B =a | E | S" }, "-11-" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "Q SELECT 1",
		    "P =SELECT pg_advisory_lock(1) | B p= | S" }, "-1-" },
		{ { "Q BEGIN READ ONLY, READ WRITE", "Q SELECT 1", "Q COMMIT" }, "01b" },
		{ { "Q BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "Q SELECT 1" }, "00" },
		{ { "Q LISTEN a", "Q SELECT 1", "Q UNLISTEN *", "Q SELECT 1" }, "0001" },
		{ { "P =SELECT 1 | B p= | E p | S", "Q BEGIN", "P =SELECT 1 | B p= | E p | S" }, "1-0" },
		{ { "Q BEGIN", "P =SELECT 1 | B = | S", "E | S", "Q COMMIT" }, "-000" },
		{ { "P a=SELECT 1 | S", "Q BEGIN", "Q DELETE FROM t", "B =a | E | S", "Q COMMIT",
		    "B =a | E | S" }, "1-0001" },
		{ { "Q PREPARE a AS SELECT 1", "Q EXECUTE a", "Q DEALLOCATE a", "Q EXECUTE a" },
		  "0100" },
		{ { "Q BEGIN", "Q fail", "Q SELECT 1", "Q ROLLBACK TO a", "Q ROLLBACK", "Q SELECT 1" }, "-00001" },
	};

	configure("");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin();
		for (size_t k = 0; cases[i].nodes[k]; k++) {
			size_t primary = to_server[0].n, replica = to_server[1].n;

			give(cases[i].requests[k]);
			settle();
			bool first = to_server[0].n > primary, second = to_server[1].n > replica;
			char went = first && second ? 'b' : first ? '0' : second ? '1' : '-';
			say(went == cases[i].nodes[k], "%s: %c, not %c", cases[i].requests[k],
				cases[i].nodes[k], went);
		}
		session_end();
	}
	unconfigure();
}

/* The snapshot is on a replica: the catalog is waited for, and what it says ends the transaction or
 * does not. */
static void test_away(void)
{
	static const struct { uint32_t says; unsigned bodies; bool goes; } cases[] = {
		{ 0, 0, true },
		{ SQL_FUNCTION, 0, true },
		{ SQL_FUNCTION | SQL_ADVISORY, 0, false },
		{ SQL_FUNCTION | SQL_SETS, 0, false },
		{ SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS, 0, true },
		{ SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS, CODE_HOOKED, true },
		{ SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS, CODE_TEMPORARY, false },
		{ SQL_UNKNOWN, 0, true },
		{ SQL_UNKNOWN, CODE_LOCK, false },
		{ SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS, CODE_ANYTHING | CODE_UNKNOWN, false },
	};

	configure("");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin();
		give("Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
		settle();
		give("Q SELECT 1");
		settle();
		size_t sent = to_server[1].n;
		bool code = cases[i].says & SQL_FOREIGN;
		*(code ? &bodies_owed : &catalog_owed) = true;
		catalog_adds = code ? cases[i].says : SQL_UNKNOWN;
		give("Q SELECT a FROM v");
		settle();
		say(to_server[1].n == sent && client->awaits && clients.awaited, "it waits");
		client->awaits = clients.awaited = catalog_owed = bodies_owed = false;
		catalog_adds = cases[i].says;
		bodies_say = cases[i].bodies;
		resumed = true;
		settle();
		say((to_server[1].n > sent) == cases[i].goes && to_server[0].n == 0, "case %zu", i);
		say((client->status == 'E') != cases[i].goes, "case %zu: %c", i, client->status);
		session_end();
	}
	unconfigure();
}

/* Requests, the nodes that they go to, and which node is the primary then. */
static void test_home(void)
{
	static const struct { const char *requests[6], *nodes, *primary; } cases[] = {
		{ { "Q DELETE FROM t", "Q DELETE FROM t" }, "01", "01" },
		{ { "Q BEGIN", "Q DELETE FROM t", "Q DELETE FROM t", "Q SELECT 1", "Q COMMIT",
		    "Q DELETE FROM t" }, "-00001", "001111" },
		{ { "Q BEGIN", "Q SELECT 1", "Q DELETE FROM t", "Q COMMIT" }, "-111", "0011" },
		{ { "Q LISTEN a", "Q DELETE FROM t", "Q SELECT 1", "Q UNLISTEN *", "Q DELETE FROM t" },
		  "00001", "01111" },
		{ { "Q BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "Q SELECT 1", "Q SELECT 1",
		    "Q DELETE FROM t", "Q COMMIT" }, "-1111", "00111" },
	};

	configure("");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin();
		for (size_t k = 0; cases[i].nodes[k]; k++) {
			size_t primary = to_server[0].n;

			servers.nodes->primary = cases[i].primary[k] - '0';
			give(cases[i].requests[k]);
			say((cases[i].nodes[k] != '0') == (to_server[0].n == primary), "%s: %c",
				cases[i].requests[k], cases[i].nodes[k]);
			settle();
		}
		session_end();
	}
	servers.nodes->primary = 0;
	unconfigure();
}

/* --- statements that are made again --- */

/* What the client is told, and what the primary reads from here on, if its columns are these. */
static void test_made_again(void)
{
	static const struct { const char *first, *column, *use, *told, *sent; } cases[] = {
		{ "P a=SELECT columns | S", "a", "B =a | E | S", "2 | C SELECT | Z",
		  "P a=SELECT columns | D Sa | S | B =a | E | S" },
		{ "P a=SELECT columns | D Sa | S", "b", "B =a | E | S", "E SERROR | Z",
		  "P a=SELECT columns | D Sa | S | P a=pgpool: cached plan must not change result type"
		  " | B =a | E | S" },
		{ "P a=SELECT columns | S", "b", "P =SELECT 2 | B = | E | B =a | E | S",
		  "1 | 2 | C SELECT | E SERROR | Z",
		  "P a=SELECT columns | D Sa | S | P =SELECT 2 | B = | E |"
		  " P a=pgpool: cached plan must not change result type | B =a | E | S" },
		{ "P a=SELECT columns | S", "b", "D Sa | S", "t | E SERROR | Z",
		  "P a=SELECT columns | D Sa | S | P a=pgpool: cached plan must not change result type"
		  " | D Sa | S" },
		{ "P a=SELECT columns | S", "a", "Q DELETE FROM u; EXECUTE a", "C DELETE | C EXECUTE | Z",
		  "P a=SELECT columns | D Sa | S | Q DELETE FROM u; EXECUTE a" },
		{ "P a=SELECT columns | S", "b", "P a=DELETE FROM u | S", "E SERROR | Z",
		  "P a= | S | P a=DELETE FROM u | D Sa | S" },
		{ "P a=SELECT 1 | S", "b", "Q DEALLOCATE a", "C DEALLOCATE | Z",
		  "P a= | S | Q DEALLOCATE a" },
		{ "P a=SELECT 1 | S", "b", "C Sa | P a=DELETE FROM u | B =a | E | S",
		  "3 | 1 | 2 | C DELETE | Z", "C Sa | P a=DELETE FROM u | D Sa | B =a | E | S" },
	};

	configure("");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin();
		postgres[0].column = cases[i].column;
		give(cases[i].first);
		settle();
		client->session.node = &servers.nodes->node[0];
		to_client.n = to_server[0].n = postgres[0].seen = 0;
		give(cases[i].use);
		settle();
		say(!strcmp(on_tape(&to_client), cases[i].told), "%s: %s, not %s", cases[i].use,
			cases[i].told, on_tape(&to_client));
		say(!strcmp(on_tape(&to_server[0]), cases[i].sent), "sent: %s, not %s",
			cases[i].sent, on_tape(&to_server[0]));
		session_end();
	}
	unconfigure();
}

/* --- any cut of any sequence --- */

/* What the client is told if it asks PostgreSQL directly. */
static struct tape direct;

static void ask_directly(const uint8_t *p, size_t n)
{
	struct postgres *pg = &postgres[2];

	take_bytes(pg, p, n);
	memcpy(direct.bytes, pg->block, pg->out.len);
	direct.n = pg->out.len;
}

static bool same(const struct tape *a, const struct tape *b)
{
	return a->n == b->n && !memcmp(a->bytes, b->bytes, a->n);
}

/* true: the client sees what PostgreSQL itself would tell it, and the primary reads what it did
 * without a cut (if that is kept in `sent`). */
static bool transparent(const uint8_t *p, size_t n, size_t first, size_t step, struct tape *sent)
{
	run_cut(p, n, first, step);
	ask_directly(p, n);
	bool ok = same(&to_client, &direct) && client->phase == AT_READY && !conn_kept(&client->conn)
	          && !client->left;
	if (sent && first == n)
		*sent = to_server[0];
	else if (sent)
		ok &= same(&to_server[0], sent);
	if (!ok)
		printf("# %zu/%zu: %s\n# directly: %s\n# sent: %s\n", first, n, on_tape(&to_client),
			on_tape(&direct), on_tape(&to_server[0]));
	session_end();
	return ok;
}

/* What is answered here, or dropped, or not, depending on what is in flight - a Sync on its own, the end of a
 * COPY that has ended - is "loose": then the bytes that the primary reads may differ. */
static const struct { const char *list; bool loose; } sequences[] = {
	{ "Q SELECT 1 | Q DELETE FROM t | Q fail | S | F | S", true },
	{ "Q BEGIN | Q SELECT 1 | Q fail | Q SELECT 2 | Q COMMIT | Q SELECT 3", false },
	{ "P =SELECT 1 | B = | D P | E | S | P =fail | B = | E | E | S | Q SELECT 1", false },
	{ "P a=SELECT 1 | D Sa | H | B =a | E | S | B =a | E | H | S | C Sa | H | S", false },
	{ "P a=SELECT 1 | P a=SELECT 2 | B =a | S | B =a | E | S | C Sa | B =a | S | P a=SELECT 3 | S", false },
	{ "P =bad | H | Q SELECT 1 | F | d x | c | S | Q SELECT 2", false },
	{ "P =SELECT 1 | Q SELECT 2 | S | Q SELECT 3", false },
	{ "P =bad | Q SELECT 2 | Q SELECT 3 | S | Q SELECT 4", false },
	{ "P =bad | F | P =SELECT 1 | S | Q SELECT 4", false },
	{ "Q COPY t FROM STDIN | d one | S | H | d two | c | Q SELECT 1", false },
	{ "Q COPY t FROM STDIN | d one | f no | Q SELECT 1", false },
	{ "Q COPY t FROM STDIN | d one | Q SELECT 1 | c | f late | Q SELECT 2", true },
	{ "Q SELECT 1; COPY t FROM STDIN | d one | c | S | Q SELECT 2", false },
	{ "P =COPY t FROM STDIN | B = | E | d one | c | S | Q SELECT 1", false },
	{ "P =COPY t FROM STDIN | B = | E | H | d one | d two | c | E | S | Q SELECT 1", true },
	{ "P =COPY t FROM STDIN | B = | E | S | d one | c | S | Q SELECT 1", false },
	{ "P =COPY t FROM STDIN | B = | E | d one | f no | P =SELECT 1 | S | Q SELECT 1", false },
	{ "P =COPY t FROM STDIN | B = | E | H | Q SELECT 1 | c | S | Q SELECT 1", false },
	{ "P =COPY t FROM STDIN | B = | E | H | d one | c | P =COPY u FROM STDIN | B = | E | d x | c | S", true },
	{ "P =fail | B = | E | d one | c | S | Q SELECT 1", false },
	{ "Q BEGIN | P a=SELECT 1 | S | Q DISCARD ALL | Q ROLLBACK | B =a | E | S", false },
	{ "P a=SELECT 1 | S | Q DEALLOCATE a | B =a | E | S | P a=SELECT 2 | S | Q DISCARD ALL | D Sa | S", false },
	{ "P a=SELECT 1 | S | Q SELECT 1; fail; DEALLOCATE a | B =a | E | S", false },
	{ "P a=SELECT 1 | P a=SELECT 1 | S | f no | Q SELECT 9", true },
	{ "P a=SELECT 1 | S | P =DELETE FROM t | H | B =a | E | P =bad | S | Q SELECT 1", false },
	{ "P a=SELECT 1 | S | P =DELETE FROM t | H | B =a | E | Q SELECT 1 | Q SELECT 2", false },
	{ "E p | P a=DELETE FROM t | S | Q SELECT 1; fail; DEALLOCATE a | B =a | S", false },
	{ "P a=bad | S | P a=DELETE FROM t | S | B =a | E | S", false },
	{ "P =COPY t FROM STDIN | B = | E | S | c | f no | Q COPY t FROM STDIN | Q SELECT 1 | S", true },
	{ "Q BEGIN | P a=SELECT 1 | B p=a | S | E p | H | E p | S | Q COMMIT | E p | S", false },
};

static void test_cuts(bool alone)
{
	static struct tape sent;

	configure(alone ? "load_balance_mode = off" : "");
	for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
		const uint8_t *p;
		size_t n = messages(sequences[i].list, &p), at = 1;
		struct tape *kept = alone && !sequences[i].loose ? &sent : NULL;

		say(transparent(p, n, n, n, kept), "%s", sequences[i].list);
		while (at < n && transparent(p, n, at, n, kept))
			at++;
		say(at == n, "cut anywhere, not at %zu", at);
		say(transparent(p, n, 1, 1, kept), "byte by byte");
		say(transparent(p, n, 7, 5, kept), "some at a time");
	}
	unconfigure();
}

/* --- any sequence --- */

static uint64_t seed = 88172645463325252;

static unsigned draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

static const char *const pieces[] = {
	"Q SELECT 1", "Q DELETE FROM t", "Q fail", "Q BEGIN", "Q COMMIT", "Q ROLLBACK", "Q BEGIN; fail",
	"Q SELECT 1; fail; DEALLOCATE a", "Q DISCARD ALL", "Q DEALLOCATE a", "Q DEALLOCATE ALL",
	"Q COPY t FROM STDIN", "F", "S", "S", "S", "H", "d x", "c", "f no",
	"P =SELECT 1", "P =DELETE FROM t", "P =bad", "P =fail", "P =COPY t FROM STDIN",
	"P a=SELECT 1", "P a=DELETE FROM t", "P b=SELECT 2", "P a=bad", "C Sa", "C Sb", "D Sa",
	"B =", "B =a", "B =b", "B p=a", "D P", "E", "E p",
	"P =SELECT 1 | B = | E | S", "P =DELETE FROM t | B = | E | S", "B =a | E | S", "B =b | E | S",
	"P =COPY t FROM STDIN | B = | E | S", "P =COPY t FROM STDIN | B = | E | d x | c | S",
};

/* Some of these in any order, and what ends whatever is open then. */
static void compose(char *list, size_t size, bool (*fits)(const char *piece))
{
	size_t at = 0;

	for (unsigned n = 1 + draw(9); n; ) {
		const char *piece = pieces[draw(sizeof pieces / sizeof *pieces)];
		if (!fits(piece))
			continue;
		at += (size_t)snprintf(list + at, size - at, "%s | ", piece);
		n--;
	}
	snprintf(list + at, size - at, "c | S | Q SELECT 9");
}

static bool any(const char *piece)
{
	(void)piece;
	return true;
}

/* With two nodes a request that uses the unnamed statement or a portal of an earlier one goes to where that is,
 * and cannot go on elsewhere: no mixtures with those. */
static bool whole(const char *piece)
{
	return (*piece != 'E' && strncmp(piece, "P =", 3) && strncmp(piece, "B ", 2)
	        && strncmp(piece, "D P", 3)) || strstr(piece, "| S");
}

static void test_random(const char *lines, const char *what, bool (*fits)(const char *piece))
{
	enum { ROUNDS = 4000 };
	unsigned bad = 0;

	configure(lines);
	for (unsigned i = 0; i < ROUNDS && bad < 5; i++) {
		char list[1024];
		const uint8_t *p;

		compose(list, sizeof list, fits);
		size_t n = messages(list, &p);
		if (transparent(p, n, n, n, NULL) && transparent(p, n, 1 + draw((unsigned)n), n, NULL)
		    && transparent(p, n, 1 + draw(20), 1 + draw(20), NULL))
			continue;
		printf("# %s\n", list);
		bad++;
	}
	unconfigure();
	say(!bad, "%s", what);
}

int main(void)
{
	configure("load_balance_mode = off");
	test_inputs();
	test_bodies();
	test_left();
	unconfigure();
	test_nodes();
	test_causal();
	test_away();
	test_home();
	test_made_again();
	test_cuts(true);
	test_cuts(false);
	test_random("load_balance_mode = off", "any sequence, one node", any);
	test_random("", "any sequence, two nodes", whole);
	return done();
}
