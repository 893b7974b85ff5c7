/* client/hello.h - a client's first bytes: TLS or not, its startup packet, or a cancel request. */
#ifndef CLIENT_HELLO_H
#define CLIENT_HELLO_H

#include "client.h"

/* Before the first bytes are received: a client may begin with TLS. */
void hello_begin(struct client *c);

/* After each input until the startup packet: does it have to go for want of an application
 * protocol (ALPN)? */
bool hello_declined(struct client *c);

/* Why an encrypted connection came to nothing, for the log. */
void hello_tell_tls(struct client *c);

/* One packet, before the login: returns its length, 0 for more, -1. */
long hello_packet(struct client *c, uint8_t *p, size_t n);

#endif
