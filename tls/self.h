/* tls/self.h - the certificate that is made when there is none: P-256, signed by itself.
 *
 * Clients that only want encryption (sslmode=require) need no more.
 */
#ifndef TLS_SELF_H
#define TLS_SELF_H

#include <stddef.h>
#include <stdint.h>

enum { TLS_SELF_KEY = 32, TLS_SELF_MAX = 1200, TLS_SELF_DAYS = 1825 };

/* For the host, from now on.  Returns the certificate's length; 0: no random numbers. */
size_t tls_self_make(const char *host, uint8_t key[static TLS_SELF_KEY],
	uint8_t certificate[static TLS_SELF_MAX]);

#endif
