/* tls/pem.h - files of certificates, keys and revocation lists: PEM, or one object of DER.
 *
 *      pem_open(), pem_next() until false, pem_close()
 *
 * Text between the objects is skipped, lines may end in CR LF, the last in nothing.  Objects are
 * decoded where they lie and are good until pem_close(), which wipes everything.
 */
#ifndef TLS_PEM_H
#define TLS_PEM_H

#include "tls/der.h"

enum { PEM_FILE_MAX = 64 << 20, PEM_WHY = 200 };

struct pem_file {
	char *text;
	size_t n, at;
	bool is_der;
	bool exposed;                           /* more may read or change it than should */
	char why[PEM_WHY];                      /* of a failure; "": none */
};

struct pem {
	const char *label;                      /* "CERTIFICATE"; "" of DER */
	struct bytes der;
	bool is_encrypted;                      /* in OpenSSL's own way (DEK-Info) */
};

/* False with f->why if the file cannot be read.  Close it even then. */
bool pem_open(struct pem_file *f, const char *path);

/* The same of a text, which becomes the file's own. */
bool pem_take(struct pem_file *f, char *text, size_t n);

/* False at the end; with f->why before it when an object is damaged. */
bool pem_next(struct pem_file *f, struct pem *o);

bool pem_is_certificate(const struct pem *o);

void pem_close(struct pem_file *f);

#endif
