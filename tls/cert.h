/* tls/cert.h - the parts of a TLS context: our identity, whom we trust, what we speak.
 *
 * tls_context_load() (tls.h) makes it from files, and it never changes afterwards: a reload makes a
 * new one, and the connections of the old one keep it until they end.  It owns everything in it.
 *
 * The engine (tls.c) reads the first three parts and keeps its templates in the last; chain.c reads
 * whom we trust.
 */
#ifndef TLS_CERT_H
#define TLS_CERT_H

#include "tls.h"
#include "tls/suite.h"
#include "tls/x509.h"

#include <bearssl_ssl.h>

struct tls_crl;
struct tls_engine;

struct tls_context {
	unsigned holders;

	/* Who we are.  Without a certificate (chain_len is 0) we cannot serve, only connect.
	 * issuer_key_type is for br_ssl_server_set_single_ec. */
	bool self_made;                         /* at start; not to be shown to nodes */
	br_x509_certificate *chain;
	size_t chain_len;
	int key_type, issuer_key_type;          /* BR_KEYTYPE_RSA or _EC */
	union {
		br_rsa_private_key rsa;
		br_ec_private_key ec;
	} key;
	uint8_t *key_bytes;                     /* what key points into */
	size_t key_len;
	uint8_t end_point[64];                  /* tls-server-end-point; 0: it has none */
	size_t end_point_len;

	/* Whom we trust: in bearssl's form and, at the same index, in ours. */
	br_x509_trust_anchor *anchor;
	struct x509 *anchor_certificate;
	size_t anchors;
	struct tls_crl *crl;                    /* NULL: there is no look-up */
	size_t crls;

	/* What we speak: never empty; curves are bits 1 << BR_EC_... */
	uint16_t suite[TLS_SUITES];
	size_t suites;
	uint32_t curves;
	bool prefer_server_ciphers;

	struct tls_engine *engine;
};

/* In tls.c: called when all of the above is ready, and before it is freed.  NULL: no memory. */
struct tls_engine *tls_engine_new(const struct tls_context *x);
void tls_engine_free(struct tls_engine *e);

#endif
