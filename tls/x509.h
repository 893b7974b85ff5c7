/* tls/x509.h - a certificate, as it lies in its DER.
 *
 * x509_read() reads it once; chain.c judges chains of them.  The only verification here is
 * x509_is_signed().  All ranges point into the caller's bytes.
 */
#ifndef TLS_X509_H
#define TLS_X509_H

#include "tls/der.h"

#include <bearssl_x509.h>

/* How something was signed; zero is unknown or unsupported. */
struct x509_signing {
	int key_type;                   /* BR_KEYTYPE_ */
	int hash;                       /* br_sha256_ID, ...; md5 and SHA-1 as well */
};

/* Roles in a handshake, as bits. */
enum { X509_CLIENT = 1, X509_SERVER = 2 };

struct x509 {
	struct bytes whole;
	struct bytes text, signature;   /* what is signed */
	struct bytes serial;            /* without leading zeros */
	struct bytes issuer, subject;   /* names with tag and length */
	int64_t begins, ends;           /* seconds since 1970 */
	br_x509_pkey key;               /* key_type 0: one that bearssl cannot use */
	const char *key_name;           /* "RSA", "P-256", "Ed25519", ... */
	unsigned key_bits;              /* of RSA and curves */
	struct x509_signing signing;

	/* What its extensions say. */
	bool is_odd;                    /* one of those known here is malformed, or occurs twice */
	bool is_strange;                /* a critical one is not known here */
	bool is_ca;                     /* as OpenSSL sees it; without basicConstraints ... */
	bool is_old_ca;                 /* ... it is one at the end of a chain only */
	bool may_sign_lists;            /* of what it has revoked */
	int path_limit;                 /* CAs between it and the leaf; negative: any number */
	unsigned uses;                  /* roles that it, and all below it, may have */
	unsigned own_uses;              /* roles that it may have as a leaf */
	struct bytes permitted, excluded;       /* name constraints: GeneralSubtrees */
	bool has_alt_names;
	struct bytes alt_names;         /* the GeneralNames themselves */
	struct bytes key_id;                    /* of its own key, and what it says of ... */
	struct bytes issuer_key_id, issuer_serial, issuer_issuer;       /* ... its issuer */
};

/* NULL, or why it cannot be read. */
const char *x509_read(struct x509 *c, struct bytes der);

bool x509_is_self_issued(const struct x509 *c);

/* As far as names, numbers and identifiers of keys tell. */
bool x509_may_have_issued(const struct x509 *issuer, const struct x509 *c);

/* In the same sense, signed by itself: the end of chains. */
bool x509_is_self_signed(const struct x509 *c);

/* Does the key of one fit the signature of the other? */
bool x509_has_signed(const struct x509 *issuer, const struct x509 *c);

/* An AlgorithmIdentifier of signatures. */
struct x509_signing x509_signing(struct der *d);

/* Does this key's signature belong to the text?  False for hashes below SHA-256. */
bool x509_is_signed(struct bytes text, struct x509_signing how, struct bytes signature,
	const br_x509_pkey *key);

/* An AlgorithmIdentifier of keys, and its name: key_type 0 if bearssl cannot use it.  curve is a
 * BR_EC_ number. */
struct x509_algorithm {
	int key_type, curve;
	const char *name;
	unsigned bits;                  /* of a curve */
};
struct x509_algorithm x509_algorithm(struct der *d);

/* The parameters of an elliptic curve, which must be its name. */
struct x509_algorithm x509_curve(struct der *d);

/* The hash of a signature with this number; if 0, its length is 0. */
size_t x509_hash(int id, struct bytes text, uint8_t out[static 64]);

/* tls-server-end-point (RFC 5929), or 0 when its signature has no hash of its own. */
size_t x509_end_point(const struct x509 *c, uint8_t out[static 64]);

/* The first common name, as a string of at most size - 1 bytes; false: there is none, it has a NUL
 * in it or is too long. */
bool x509_common_name(const struct x509 *c, char *out, size_t size);

/* Is the certificate's name this host?  One of its dNSNames, whose first label may be "*", else,
 * without any, the common name. */
bool x509_has_host(const struct x509 *c, const char *host);

/* Is the certificate's name this address?  As libpq sees it: one of iPAddress, else, without any,
 * a dNSName with this very text, else, without alternative names, the common name. */
bool x509_has_address(const struct x509 *c, const char *address);

#endif
