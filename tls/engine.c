#include "tls/engine.h"

#include "tls/chain.h"
#include "wire.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct tls_engine {
	br_ec_impl shares;                      /* the curves that clients may
	                                         * choose for a key share */
	br_ssl_server_context server;
	br_ssl_client_context client;
};

static const char *const protocol = "postgresql";

/* --- templates ----------------------------------------------------------- */

/* Every curve, whatever the engine may use for key shares. */
static uint32_t verify(const br_ec_impl *some, const void *hash, size_t len,
	const br_ec_public_key *key, const void *signature, size_t signature_len)
{
	(void)some;
	return br_ecdsa_vrfy_asn1_get_default()(br_ec_get_default(), hash, len, key, signature,
		signature_len);
}

static void set_up(br_ssl_engine_context *e, const struct tls_context *x, const br_ec_impl *curves)
{
	br_ssl_engine_set_versions(e, BR_TLS12, BR_TLS12);
	br_ssl_engine_set_suites(e, x->suite, x->suites);
	br_ssl_engine_set_hash(e, br_sha256_ID, &br_sha256_vtable);
	br_ssl_engine_set_hash(e, br_sha384_ID, &br_sha384_vtable);
	br_ssl_engine_set_hash(e, br_sha512_ID, &br_sha512_vtable);
	br_ssl_engine_set_prf_sha256(e, br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(e, br_tls12_sha384_prf);
	br_ssl_engine_set_default_aes_gcm(e);
	br_ssl_engine_set_default_chapol(e);
	br_ssl_engine_set_default_rsavrfy(e);
	br_ssl_engine_set_ec(e, curves);
	br_ssl_engine_set_ecdsa(e, verify);
	br_ssl_engine_set_protocol_names(e, (const char **)(uintptr_t)&protocol, 1);
	br_ssl_engine_add_flags(e, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);
}

/* From now on copies of it need not ask the processor for random numbers, but are given them. */
static void seed_engine(br_ssl_engine_context *e, uint8_t in[TLS_IN], uint8_t out[TLS_OUT])
{
	br_ssl_engine_set_buffers_bidi(e, in, TLS_IN, out, TLS_OUT);
}

static void set_up_server(struct tls_engine *g, const struct tls_context *x)
{
	br_ssl_server_context *s = &g->server;

	br_ssl_server_zero(s);
	set_up(&s->eng, x, &g->shares);
	if (x->prefer_server_ciphers)
		br_ssl_engine_add_flags(&s->eng, BR_OPT_ENFORCE_SERVER_PREFERENCES);
	if (x->anchors) {
		br_ssl_server_set_trust_anchor_names_alt(s, x->anchor, x->anchors);
		br_ssl_engine_add_flags(&s->eng, BR_OPT_TOLERATE_NO_CLIENT_AUTH);
	}
}

static bool warm_up(struct tls_engine *g)
{
	uint8_t in[TLS_IN], out[TLS_OUT];

	seed_engine(&g->server.eng, in, out);
	seed_engine(&g->client.eng, in, out);
	return br_ssl_server_reset(&g->server) && br_ssl_client_reset(&g->client, NULL, 0);
}

/* Key shares cost the server time, and the client chooses the curve: only cheap ones.  A node may
 * choose any. */
struct tls_engine *tls_engine_new(const struct tls_context *x)
{
	struct tls_engine *g = malloc(sizeof *g);

	if (!g)
		return NULL;
	g->shares = *br_ec_get_default();
	g->shares.supported_curves &= x->curves & (1u << BR_EC_curve25519 | 1u << BR_EC_secp256r1);
	set_up_server(g, x);
	br_ssl_client_zero(&g->client);
	set_up(&g->client.eng, x, br_ec_get_default());
	if (warm_up(g))
		return g;
	tls_engine_free(g);
	return NULL;
}

void tls_engine_free(struct tls_engine *g)
{
	memory_wipe(g, sizeof *g);
}

/* --- one handshake ------------------------------------------------------- */

/* A copied template without these would repeat the random numbers of all others. */
static bool seed(br_ssl_engine_context *e)
{
	uint8_t random[32];

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return false;
	br_ssl_engine_inject_entropy(e, random, sizeof random);
	explicit_bzero(random, sizeof random);
	return true;
}

static bool begin(struct tls_shake *s)
{
	seed_engine(&s->engine, s->in, s->out);
	/* Small buffers are our own affair: we do not ask for a maximum fragment length. */
	s->engine.log_max_frag_len = 14;
	if (s->peer)
		br_ssl_engine_set_x509(&s->engine, tls_peer_class(s->peer));
	return seed(&s->engine);
}

static struct tls_shake *unless(bool failed, struct tls_shake *s)
{
	if (!failed)
		return s;
	tls_shake_free(s);
	return NULL;
}

/* The engine's own policy, which has a pointer into itself, is set in each copy. */
struct tls_shake *tls_shake_server(const struct tls_context *x)
{
	struct tls_shake *s = malloc(sizeof *s);

	if (!s)
		return NULL;
	memset(s, 0, offsetof(struct tls_shake, in));
	s->server = x->engine->server;
	if (x->key_type == BR_KEYTYPE_RSA)
		br_ssl_server_set_single_rsa(&s->server, x->chain, x->chain_len, &x->key.rsa,
			BR_KEYTYPE_SIGN, br_rsa_private_get_default(),
			br_rsa_pkcs1_sign_get_default());
	else
		br_ssl_server_set_single_ec(&s->server, x->chain, x->chain_len, &x->key.ec,
			BR_KEYTYPE_SIGN, (unsigned)x->issuer_key_type, br_ec_get_default(),
			br_ecdsa_sign_asn1_get_default());
	s->peer = x->anchors ? tls_peer_client(x) : NULL;
	return unless((x->anchors && !s->peer) || !begin(s) || !br_ssl_server_reset(&s->server), s);
}

static bool is_address(const char *host)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static void set_certificate(br_ssl_client_context *c, const struct tls_context *x)
{
	if (!x->chain_len || x->self_made)
		return;
	if (x->key_type == BR_KEYTYPE_RSA)
		br_ssl_client_set_single_rsa(c, x->chain, x->chain_len, &x->key.rsa,
			br_rsa_pkcs1_sign_get_default());
	else
		br_ssl_client_set_single_ec(c, x->chain, x->chain_len, &x->key.ec, BR_KEYTYPE_SIGN,
			(unsigned)x->issuer_key_type, br_ec_get_default(),
			br_ecdsa_sign_asn1_get_default());
}

struct tls_shake *tls_shake_client(const struct tls_context *x, enum tls_check check,
	const char *host)
{
	struct tls_shake *s = malloc(sizeof *s);

	if (!s)
		return NULL;
	memset(s, 0, offsetof(struct tls_shake, in));
	s->client = x->engine->client;
	snprintf(s->host, sizeof s->host, "%s", host);
	set_certificate(&s->client, x);
	s->peer = tls_peer_node(x, check, s->host);
	const char *name = is_address(s->host) ? NULL : s->host;
	return unless(!s->peer || !begin(s) || !br_ssl_client_reset(&s->client, name, 0), s);
}

void tls_shake_free(struct tls_shake *s)
{
	if (!s)
		return;
	tls_peer_free(s->peer);
	free(s->answer);
	memory_wipe(s, sizeof *s);
}

/* --- what went wrong ----------------------------------------------------- */

const char *tls_alert_name(unsigned alert)
{
	static const struct { uint8_t alert; const char *name; } names[] = {
		{ 10, "unexpected message" }, { 20, "bad record mac" }, { 22, "record overflow" },
		{ 40, "handshake failure" }, { 42, "bad certificate" },
		{ 43, "unsupported certificate" }, { 44, "certificate revoked" },
		{ 45, "certificate expired" }, { 46, "certificate unknown" },
		{ 47, "illegal parameter" }, { 48, "unknown ca" }, { 49, "access denied" },
		{ 50, "decode error" }, { 51, "decrypt error" }, { 70, "protocol version" },
		{ 71, "insufficient security" }, { 80, "internal error" }, { 90, "user canceled" },
		{ 100, "no renegotiation" }, { 112, "unrecognized name" },
		{ 116, "certificate required" }, { 120, "no application protocol" },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].alert == alert)
			return names[i].name;
	return NULL;
}

const char *tls_shake_error(struct tls_shake *s)
{
	static const struct { int error; const char *text; } texts[] = {
		{ BR_ERR_OK, "the peer closed the connection during the handshake" },
		{ BR_ERR_UNSUPPORTED_VERSION, "the data received is not TLS 1.2" },
		{ BR_ERR_BAD_VERSION, "the data received is not TLS 1.2" },
		{ BR_ERR_BAD_MAC, "a record was damaged on its way" },
		{ BR_ERR_NO_RANDOM, "no random numbers" },
		{ BR_ERR_BAD_SIGNATURE, "the peer could not prove that it has its certificate's"
			" key" },
		{ BR_ERR_BAD_FINISHED, "the handshake was tampered with" },
		{ BR_ERR_SEND_FATAL_ALERT + 40, "no cipher suite in common: TLS 1.2 with ECDHE and"
			" AES-GCM or ChaCha20-Poly1305 is needed" },
		{ BR_ERR_SEND_FATAL_ALERT + 70, "TLS 1.2 is needed, and the peer does not allow"
			" it" },
		{ BR_ERR_SEND_FATAL_ALERT + 120, "the peer asked for another application protocol"
			" than \"postgresql\"" },
	};
	int error = br_ssl_engine_last_error(&s->engine);

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].error == error)
			return texts[i].text;
	const char *name = tls_alert_name((unsigned)error & 0xff);
	if (error > BR_ERR_RECV_FATAL_ALERT && error < BR_ERR_SEND_FATAL_ALERT && name)
		snprintf(s->why, sizeof s->why, "the peer sent an alert: %s%s", name,
			error - BR_ERR_RECV_FATAL_ALERT == 70 ? " (TLS 1.2 is needed)" : "");
	else
		snprintf(s->why, sizeof s->why,
			"the handshake was not understood (BearSSL error %d)", error);
	return s->why;
}
