#include "scram.h"

#include "wire.h"

#include <bearssl_hash.h>
#include <bearssl_hmac.h>
#include <stdio.h>
#include <string.h>

/* Some characters of a message. */
struct slice {
	const char *at;
	size_t len;
};

/* Errors of channel binding: do not trust the client, or somebody is in between. */
static const char downgraded[] = "SCRAM channel binding negotiation error: the client supports"
	" channel binding but thinks that the server does not";
static const char unbound[] = "SCRAM channel binding check failed";

static int fail(const char **why, const char *text)
{
	*why = text;
	return text == downgraded || text == unbound ? -3 : -1;
}

bool scram_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= x[i] ^ y[i];
	return diff == 0;
}

/* ---- hashes ---- */

static void sha256(uint8_t out[static SCRAM_KEY], const void *data, size_t len)
{
	br_sha256_context c;

	br_sha256_init(&c);
	br_sha256_update(&c, data, len);
	br_sha256_out(&c, out);
	explicit_bzero(&c, sizeof c);
}

static void hmac(uint8_t out[static SCRAM_KEY], const uint8_t key[static SCRAM_KEY],
	const void *data, size_t len)
{
	br_hmac_key_context kc;
	br_hmac_context c;

	br_hmac_key_init(&kc, &br_sha256_vtable, key, SCRAM_KEY);
	br_hmac_init(&c, &kc, 0);
	br_hmac_update(&c, data, len);
	br_hmac_out(&c, out);
	explicit_bzero(&kc, sizeof kc);
	explicit_bzero(&c, sizeof c);
}

/* PBKDF2 with one block of output.  The password is hashed into the HMAC key once; each turn
 * starts from a copy of that state, which halves the work. */
static void salt_password(uint8_t out[static SCRAM_KEY], const char *password, size_t len,
	const uint8_t *salt, size_t salt_len, uint32_t iterations)
{
	static const uint8_t block_one[4] = { 0, 0, 0, 1 };
	uint8_t u[SCRAM_KEY];
	br_hmac_key_context kc;
	br_hmac_context c;

	br_hmac_key_init(&kc, &br_sha256_vtable, password, len);
	br_hmac_init(&c, &kc, 0);
	br_hmac_update(&c, salt, salt_len);
	br_hmac_update(&c, block_one, sizeof block_one);
	br_hmac_out(&c, u);
	memcpy(out, u, sizeof u);

	for (uint32_t n = 1; n < iterations; n++) {
		br_hmac_init(&c, &kc, 0);
		br_hmac_update(&c, u, sizeof u);
		br_hmac_out(&c, u);
		for (int i = 0; i < SCRAM_KEY; i++)
			out[i] ^= u[i];
	}
	explicit_bzero(u, sizeof u);
	explicit_bzero(&kc, sizeof kc);
	explicit_bzero(&c, sizeof c);
}

/* ---- pieces of text ---- */

static int decode(uint8_t *out, size_t size, struct slice in)
{
	return base64_decode(out, size, in.at, in.len);
}

static void skip(struct slice *m, size_t n)
{
	m->at += n;
	m->len -= n;
}

/* Takes "x=value" and the comma behind it off the message.  Returns x, or 0 if there is no such
 * thing or nothing behind the comma. */
static char attribute(struct slice *m, struct slice *value)
{
	if (m->len < 2 || m->at[1] != '=')
		return '\0';

	char letter = m->at[0];
	skip(m, 2);
	const char *comma = memchr(m->at, ',', m->len);
	*value = (struct slice){ m->at, comma ? (size_t)(comma - m->at) : m->len };
	skip(m, value->len);
	if (comma) {
		skip(m, 1);
		if (!m->len)
			return '\0';
	}
	return letter;
}

/* Takes the text up to this character, and the character, off the head of m. */
static bool field(struct slice *m, char until, struct slice *value)
{
	const char *end = memchr(m->at, until, m->len);

	if (!end)
		return false;
	*value = (struct slice){ m->at, (size_t)(end - m->at) };
	skip(m, value->len + 1);
	return true;
}

static bool iteration_count(struct slice s, uint32_t max, uint32_t *n)
{
	*n = 0;
	if (s.len > 8)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		*n = *n * 10 + (uint32_t)(s.at[i] - '0');
	}
	return *n >= 1 && *n <= max;
}

static bool printable(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] <= ' ' || s.at[i] > '~')
			return false;
	return s.len > 0;
}

static bool text_add(struct scram_text *t, const char *at, size_t len)
{
	if (len > sizeof t->at - t->len)
		return false;
	memcpy(t->at + t->len, at, len);
	t->len += (uint16_t)len;
	return true;
}

/* What is wrong with a message arriving now, or NULL.  Takes the step away.  A function that gets
 * to its end gives it back, so any failure before that is final. */
static const char *arrival(enum scram_step *step, enum scram_step due, const char *in, size_t len)
{
	enum scram_step was = *step;

	*step = SCRAM_DONE;
	if (was != due)
		return "SCRAM message out of order";
	if (len > SCRAM_MESSAGE_MAX)
		return "SCRAM message is too long";
	if (!len || memchr(in, '\0', len))
		return "malformed SCRAM message";
	return NULL;
}

/* The text of c=: the gs2 header and, if it says so, the channel's data. */
static void bind_channel(char *out, char flag, const uint8_t *cb, size_t cb_len)
{
	static const char used[] = "p=tls-server-end-point,,";
	uint8_t raw[sizeof used - 1 + SCRAM_BINDING_MAX] = { (uint8_t)flag, ',', ',' };
	size_t len = 3;

	if (flag == 'p') {
		len = sizeof used - 1;
		memcpy(raw, used, len);
		memcpy(raw + len, cb, cb_len);
		len += cb_len;
	}
	base64_encode(out, raw, len);
}

/* ---- keys and verifiers ---- */

static _Atomic uint64_t derivations;

uint64_t scram_derived(void)
{
	return derivations;
}

void scram_derive(struct scram_keys *k, const char *password, size_t len,
	const uint8_t *salt, size_t salt_len, uint32_t iterations)
{
	char raw[SCRAM_PREP_MAX + 1], prepared[SCRAM_PREPARED_MAX + 1];
	uint8_t salted[SCRAM_KEY];
	int n = -1;

	derivations++;
	if (len <= SCRAM_PREP_MAX) {
		memcpy(raw, password, len);
		raw[len] = '\0';
		if (strlen(raw) == len)
			n = scram_saslprep(prepared, sizeof prepared, raw);
	}
	if (n >= 0)
		salt_password(salted, prepared, (size_t)n, salt, salt_len, iterations);
	else
		salt_password(salted, password, len, salt, salt_len, iterations);

	hmac(k->client_key, salted, "Client Key", 10);
	hmac(k->server_key, salted, "Server Key", 10);
	explicit_bzero(raw, sizeof raw);
	explicit_bzero(prepared, sizeof prepared);
	explicit_bzero(salted, sizeof salted);
}

void scram_verifier_make(struct scram_verifier *v, const struct scram_keys *k,
	const uint8_t *salt, size_t salt_len, uint32_t iterations)
{
	*v = (struct scram_verifier){ .salt_len = (uint8_t)salt_len, .iterations = iterations };
	sha256(v->stored_key, k->client_key, SCRAM_KEY);
	memcpy(v->server_key, k->server_key, SCRAM_KEY);
	memcpy(v->salt, salt, salt_len);
}

static bool parse_verifier(struct scram_verifier *v, const char *text)
{
	struct slice m = { text, strlen(text) }, name, iterations, salt, stored;

	if (!field(&m, '$', &name) || name.len != 13 || memcmp(name.at, "SCRAM-SHA-256", 13))
		return false;
	if (!field(&m, ':', &iterations)
	    || !iteration_count(iterations, SCRAM_ITERATIONS_MAX, &v->iterations))
		return false;
	if (!field(&m, '$', &salt) || !field(&m, ':', &stored))
		return false;

	int salt_len = decode(v->salt, sizeof v->salt, salt);
	v->salt_len = (uint8_t)(salt_len > 0 ? salt_len : 0);
	return salt_len > 0 && decode(v->stored_key, SCRAM_KEY, stored) == SCRAM_KEY &&
		decode(v->server_key, SCRAM_KEY, m) == SCRAM_KEY;
}

int scram_verifier_parse(struct scram_verifier *v, const char *text)
{
	*v = (struct scram_verifier){ 0 };
	if (parse_verifier(v, text))
		return 0;
	explicit_bzero(v, sizeof *v);
	return -1;
}

void scram_verifier_mock(struct scram_verifier *v, const uint8_t secret[static 32],
	const char *user)
{
	uint8_t derived[SCRAM_KEY];

	*v = (struct scram_verifier){
		.mock = true, .salt_len = SCRAM_SALT_OWN, .iterations = SCRAM_ITERATIONS
	};
	hmac(derived, secret, user, strlen(user));
	memcpy(v->salt, derived, SCRAM_SALT_OWN);
	explicit_bzero(derived, sizeof derived);
}

bool scram_keys_fit(const struct scram_keys *k, const struct scram_verifier *v)
{
	uint8_t stored[SCRAM_KEY];

	sha256(stored, k->client_key, SCRAM_KEY);
	bool client = scram_equal(stored, v->stored_key, SCRAM_KEY);
	bool server = scram_equal(k->server_key, v->server_key, SCRAM_KEY);
	explicit_bzero(stored, sizeof stored);
	return client && server && !v->mock;
}

/* ---- server role ---- */

/* Takes the gs2 header off client-first-message.  Returns what is wrong, or NULL. */
static const char *read_gs2(struct slice *m, char *flag, bool offered, bool plus)
{
	static const char type[] = "p=tls-server-end-point";
	size_t len = *m->at == 'p' ? sizeof type - 1 : 1;

	*flag = *m->at;
	if (*flag != 'n' && *flag != 'y' && *flag != 'p')
		return "malformed SCRAM message: no channel binding flag";
	if (*flag == 'p' && !plus)
		return "malformed SCRAM message: SCRAM-SHA-256 with channel binding data";
	if (*flag != 'p' && plus)
		return "malformed SCRAM message: SCRAM-SHA-256-PLUS without channel binding data";
	if (*flag == 'y' && offered)
		return downgraded;
	if (*flag == 'p' && (m->len < len || memcmp(m->at, type, len)))
		return "unsupported SCRAM channel-binding type";
	skip(m, len);

	if (m->len > 1 && m->at[0] == ',' && m->at[1] == 'a')
		return "an authorization identity is not supported";
	if (m->len < 2 || m->at[0] != ',' || m->at[1] != ',')
		return "malformed SCRAM message: no comma after the channel binding flag";
	skip(m, 2);
	return NULL;
}

/* Finds the client's nonce in client-first-message-bare. */
static const char *read_first_bare(struct slice m, struct slice *nonce)
{
	struct slice value;

	if (m.len && *m.at == 'm')
		return "mandatory SCRAM extensions are not supported";
	if (attribute(&m, &value) != 'n')
		return "malformed SCRAM message: no user name";
	if (attribute(&m, nonce) != 'r')
		return "malformed SCRAM message: no nonce";
	if (!printable(*nonce))
		return "malformed SCRAM message: bad nonce";
	while (m.len)
		if (!attribute(&m, &value))
			return "malformed SCRAM message: bad extension";
	return NULL;
}

int scram_server_first(struct scram_server *s, char *out, size_t size, const char *in, size_t len,
	const struct scram_verifier *v, const uint8_t nonce[static SCRAM_NONCE],
	const uint8_t *cb, size_t cb_len, bool plus, const char **why)
{
	struct slice m = { in, len }, theirs;
	char flag, ours[SCRAM_NONCE / 3 * 4 + 1], salt[(SCRAM_SALT_MAX + 2) / 3 * 4 + 1];
	const char *fault = arrival(&s->step, SCRAM_NEW, in, len);

	if (!fault && (cb_len > SCRAM_BINDING_MAX || (plus && !cb)))
		fault = "channel binding is not available";
	if (fault || (fault = read_gs2(&m, &flag, cb != NULL, plus))
	    || (fault = read_first_bare(m, &theirs)))
		return fail(why, fault);

	base64_encode(ours, nonce, SCRAM_NONCE);
	base64_encode(salt, v->salt, v->salt_len);
	int n = snprintf(out, size, "r=%.*s%s,s=%s,i=%u", (int)theirs.len, theirs.at, ours, salt,
		(unsigned)v->iterations);
	if (n < 0 || (size_t)n >= size)
		return fail(why, "SCRAM message does not fit");

	if (!text_add(&s->auth, m.at, m.len) || !text_add(&s->auth, ",", 1))
		return fail(why, "SCRAM message is too long");
	s->nonce_at = (uint16_t)(s->auth.len + 2);
	s->nonce_len = (uint16_t)(theirs.len + strlen(ours));
	if (!text_add(&s->auth, out, (size_t)n))
		return fail(why, "SCRAM message is too long");
	bind_channel(s->binding, flag, cb, cb_len);
	s->step = SCRAM_FIRST;
	return n;
}

/* Reads client-final-message: proof, and the length of what lies before it. */
static const char *read_final(const struct scram_server *s, struct slice m,
	uint8_t proof[static SCRAM_KEY], size_t *before)
{
	struct slice value;
	const char *start = m.at;
	char letter;

	if (attribute(&m, &value) != 'c')
		return "malformed SCRAM message: no channel binding";
	if (value.len != strlen(s->binding) || memcmp(value.at, s->binding, value.len))
		return s->binding[4] ? unbound  /* more than the header alone */
			: "unexpected SCRAM channel-binding attribute in client-final-message";
	if (attribute(&m, &value) != 'r')
		return "malformed SCRAM message: no nonce";
	if (value.len != s->nonce_len || memcmp(value.at, s->auth.at + s->nonce_at, value.len))
		return "SCRAM nonce does not match";

	do {
		*before = (size_t)(m.at - start) - 1;
		letter = attribute(&m, &value);
	} while (letter && letter != 'p');
	if (!letter || m.len || decode(proof, SCRAM_KEY, value) != SCRAM_KEY)
		return "malformed SCRAM message: no proof at its end";
	return NULL;
}

/* ClientKey = proof XOR HMAC(StoredKey, AuthMessage); it is right if it hashes to StoredKey. */
static bool prove(const struct scram_server *s, const struct scram_verifier *v,
	const uint8_t proof[static SCRAM_KEY], uint8_t client_key[static SCRAM_KEY])
{
	uint8_t stored[SCRAM_KEY];

	hmac(client_key, v->stored_key, s->auth.at, s->auth.len);
	for (int i = 0; i < SCRAM_KEY; i++)
		client_key[i] ^= proof[i];
	sha256(stored, client_key, SCRAM_KEY);
	bool right = scram_equal(stored, v->stored_key, SCRAM_KEY) && !v->mock;
	if (!right)
		explicit_bzero(client_key, SCRAM_KEY);
	return right;
}

int scram_server_final(struct scram_server *s, char *out, size_t size, const char *in, size_t len,
	const struct scram_verifier *v, uint8_t client_key[static SCRAM_KEY], const char **why)
{
	uint8_t proof[SCRAM_KEY], signature[SCRAM_KEY];
	const char *fault = arrival(&s->step, SCRAM_FIRST, in, len);
	size_t before;

	memset(client_key, 0, SCRAM_KEY);
	if (!fault && size < 2 + base64_len(SCRAM_KEY) + 1)
		fault = "SCRAM message does not fit";
	if (fault || (fault = read_final(s, (struct slice){ in, len }, proof, &before)))
		return fail(why, fault);
	if (!text_add(&s->auth, ",", 1) || !text_add(&s->auth, in, before))
		return fail(why, "SCRAM message is too long");
	if (!prove(s, v, proof, client_key)) {
		*why = "wrong password";
		return -2;
	}

	hmac(signature, v->server_key, s->auth.at, s->auth.len);
	memcpy(out, "v=", 2);
	base64_encode(out + 2, signature, SCRAM_KEY);
	return (int)(2 + base64_len(SCRAM_KEY));
}

/* ---- client role ---- */

int scram_client_first(struct scram_client *c, char *out, size_t size,
	const uint8_t nonce[static SCRAM_NONCE], const uint8_t *cb, size_t cb_len, bool plus)
{
	char ours[SCRAM_NONCE / 3 * 4 + 1], flag = plus ? 'p' : cb ? 'y' : 'n';
	enum scram_step was = c->step;

	c->step = SCRAM_DONE;
	if (was != SCRAM_NEW || cb_len > SCRAM_BINDING_MAX || (plus && !cb))
		return -1;

	base64_encode(ours, nonce, SCRAM_NONCE);
	int n = snprintf(out, size, "%c%s,,n=,r=%s", flag, plus ? "=tls-server-end-point" : "",
		ours);
	if (n < 0 || (size_t)n >= size)
		return -1;
	c->nonce_len = (uint16_t)strlen(ours);
	c->nonce_at = 5;
	if (!text_add(&c->auth, out + n - c->nonce_len - 5, c->nonce_len + 5u))
		return -1;
	bind_channel(c->binding, flag, cb, cb_len);
	c->step = SCRAM_FIRST;
	return n;
}

int scram_client_challenge(struct scram_client *c, const char *in, size_t len, const char **why)
{
	struct slice m = { in, len }, nonce, salt, count;

	if ((*why = arrival(&c->step, SCRAM_FIRST, in, len)))
		return -1;
	if (*in == 'm')
		return fail(why, "mandatory SCRAM extensions are not supported");
	if (attribute(&m, &nonce) != 'r' || !printable(nonce))
		return fail(why, "malformed SCRAM message: no nonce");
	if (nonce.len <= c->nonce_len || memcmp(nonce.at, c->auth.at + c->nonce_at, c->nonce_len))
		return fail(why, "SCRAM nonce does not begin with ours");

	int salt_len = attribute(&m, &salt) != 's' ? -1 :
		decode(c->salt, sizeof c->salt, salt);
	if (salt_len <= 0)
		return fail(why, "malformed SCRAM message: bad salt");
	c->salt_len = (uint8_t)salt_len;
	if (attribute(&m, &count) != 'i'
	    || !iteration_count(count, SCRAM_ITERATIONS_SERVED, &c->iterations))
		return fail(why, "SCRAM's iteration count is malformed, or beyond a million");
	while (m.len)
		if (!attribute(&m, &count))
			return fail(why, "malformed SCRAM message: bad extension");

	c->nonce_at = (uint16_t)(c->auth.len + 3);
	c->nonce_len = (uint16_t)nonce.len;
	if (!text_add(&c->auth, ",", 1) || !text_add(&c->auth, in, len))
		return fail(why, "SCRAM message is too long");
	c->step = SCRAM_CHALLENGED;
	return 0;
}

int scram_client_final(struct scram_client *c, char *out, size_t size, const struct scram_keys *k)
{
	uint8_t stored[SCRAM_KEY], proof[SCRAM_KEY];
	enum scram_step was = c->step;

	c->step = SCRAM_DONE;
	if (was != SCRAM_CHALLENGED)
		return -1;
	int n = snprintf(out, size, "c=%s,r=%.*s", c->binding, (int)c->nonce_len,
		c->auth.at + c->nonce_at);
	if (n < 0 || (size_t)n + 3 + base64_len(SCRAM_KEY) >= size)
		return -1;
	if (!text_add(&c->auth, ",", 1) || !text_add(&c->auth, out, (size_t)n))
		return -1;

	sha256(stored, k->client_key, SCRAM_KEY);
	hmac(proof, stored, c->auth.at, c->auth.len);
	for (int i = 0; i < SCRAM_KEY; i++)
		proof[i] ^= k->client_key[i];
	memcpy(out + n, ",p=", 3);
	base64_encode(out + n + 3, proof, SCRAM_KEY);
	explicit_bzero(stored, sizeof stored);
	c->step = SCRAM_FINAL;
	return n + 3 + (int)base64_len(SCRAM_KEY);
}

int scram_client_verify(struct scram_client *c, const char *in, size_t len,
	const struct scram_keys *k, const char **why)
{
	struct slice m = { in, len }, value;
	uint8_t theirs[SCRAM_KEY], expected[SCRAM_KEY];

	if ((*why = arrival(&c->step, SCRAM_FINAL, in, len)))
		return -1;
	char letter = attribute(&m, &value);
	if (letter == 'e')
		return fail(why, "the server ended the SCRAM exchange with an error");
	if (letter != 'v' || decode(theirs, sizeof theirs, value) != SCRAM_KEY)
		return fail(why, "malformed SCRAM message: no server signature");

	hmac(expected, k->server_key, c->auth.at, c->auth.len);
	if (!scram_equal(theirs, expected, SCRAM_KEY)) {
		*why = "the server does not know the password: wrong SCRAM signature";
		return -2;
	}
	return 0;
}
