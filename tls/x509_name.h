/* tls/x509_name.h - names in certificates: which are equal, and which an authority may certify.
 *
 * Names are compared as OpenSSL compares them: strings of whatever encoding by their characters,
 * ASCII without case, runs of spaces as one.  Name constraints are judged as OpenSSL does.  Those
 * that cannot be judged have a separate verdict, so that they can be refused.
 */
#ifndef TLS_X509_NAME_H
#define TLS_X509_NAME_H

#include "tls/x509.h"

/* Names with tag and length, as in struct x509; a malformed one is the same as none. */
bool x509_same_name(struct bytes a, struct bytes b);

enum x509_limit {
	X509_WITHIN,
	X509_NOT_PERMITTED,             /* its kind has permitted names, but it is none of them */
	X509_EXCLUDED,
	X509_UNJUDGED,                  /* a kind, a form or a number that is not supported */
};

/* Do the name constraints of an authority allow all names of a certificate below it?  The common
 * names of a leaf without dNSName count when they look like names of hosts. */
enum x509_limit x509_limit(const struct x509 *authority, const struct x509 *c, bool is_leaf);

#endif
