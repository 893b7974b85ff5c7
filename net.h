/* net.h - a non-blocking socket, and the memory that bytes pass through.
 *
 * All connections of a loop share one struct net: a scratch block that bytes are received into, a
 * block to build short messages in, and the list of what is to be sent.  A handler receives with
 * conn_fill(), and names outgoing bytes with conn_put() - ranges of the scratch block, not copied.
 * It calls net_flush() before it returns to the loop, which sends each connection's ranges with one
 * system call.  Only bytes that the kernel does not take are copied and kept.
 *
 * So a connection at rest owns no memory beyond its struct.  Bytes that cannot
 * be used yet (half a message) are handed back with conn_keep() and stand in
 * front of the next conn_fill().  Everything conn_fill() returned is gone after
 * the next conn_fill() of any connection: only functions that the loop calls
 * directly may use it.
 *
 * With conn_start_tls() a connection becomes encrypted, and all of the above stays true: received
 * bytes are decrypted into the scratch block, and net_flush() encrypts outgoing ones.  All received
 * bytes are always decrypted, so that nothing is hidden from a loop that waits for the descriptor.
 * Bytes that the kernel does not take are kept encrypted.  Handshakes are expensive: only a few of
 * their steps are made in a turn of the loop; the descriptors of the others stay ready.
 *
 * The zero value is a closed connection.
 */
#ifndef NET_H
#define NET_H

#include "loop.h"
#include "net/crowd.h"
#include "net/listen.h"
#include "tls.h"
#include "wire.h"

#include <stddef.h>

enum {
	NET_RECV = 64 * 1024,                   /* received at once */
	NET_KEEP = 208 * 1024,                  /* the most that conn_keep() takes */
	NET_BUILD = 64 * 1024,
	NET_SEALED = 8 * TLS_ROOM,              /* encrypted and sent at once */
	NET_STEPS = 4,                          /* of handshakes in one turn of the loop */
};

struct net;

/* Whose connection it is, for who counts. */
enum net_side { NET_CLIENT, NET_NODE, NET_OTHER, NET_SIDES };

struct net_count {
	uint64_t received, sent;                /* bytes, as they are on the wire */
	uint64_t shaken, unshaken;              /* TLS handshakes: done, failed */
};

struct net *net_new(struct loop *l);
const struct net_count *net_counted(const struct net *n, enum net_side side);
void net_free(struct net *n);

/* Sends all that was put since the last flush. */
void net_flush(struct net *n);

/* Room to build messages of up to `want` bytes in (at most NET_BUILD); the
 * result is good for conn_put() until the next net_flush(). */
struct put net_build(struct net *n, size_t want);

struct kept;

struct conn {
	struct watch watch;
	struct kept *in;                        /* received, not used yet */
	struct kept *out;                       /* to be sent, not taken by the kernel yet */
	struct tls *tls;                        /* or NULL: plain text */
	bool broken;                            /* a send failed: later output is dropped */
	uint8_t side;                           /* enum net_side */
};

/* Takes over fd and watches it.  -1 without memory; fd is closed then. */
int conn_open(struct net *n, struct conn *c, int fd, short events,
              void (*ready)(struct watch *, short), enum net_side side);

/* Ends our half, after all that was put: the peer sees an orderly end.  conn_close() does it for
 * encrypted connections, too. */
void conn_shut(struct net *n, struct conn *c);
void conn_close(struct net *n, struct conn *c);
static inline bool conn_is_open(const struct conn *c) { return c->watch.on; }

/* Encrypts from now on, in the role of t; takes it over.  Earlier output goes out in plain text.
 * tls_state() says when the handshake is over; output before that is lost. */
void conn_start_tls(struct net *n, struct conn *c, struct tls *t);

/* Receives once, behind what was kept; *p points at all of it.  Returns its length; 0 if nothing is
 * there now, or the handshake goes on; -1 if the peer has closed or the connection failed (errno; 0
 * for an orderly end).  Kept bytes are not lost by 0 or -1. */
long conn_fill(struct net *n, struct conn *c, uint8_t **p);

/* Why conn_fill() has just returned -1, as a sentence without its end; NULL: an orderly end. */
const char *conn_error(const struct conn *c);

/* The kept bytes, without receiving. */
long conn_refill(struct net *n, struct conn *c, uint8_t **p);

/* Keeps these bytes for the next fill.  -1: too many, or no memory. */
int conn_keep(struct conn *c, const uint8_t *p, size_t len);

/* Puts bytes back, behind the first `at` of those that are kept.  -1: too many, or no memory. */
int conn_unread(struct conn *c, size_t at, const uint8_t *p, size_t len);
size_t conn_kept(const struct conn *c);

/* Sends these bytes at the next flush, after all that was put before.  The
 * bytes must stay where they are until then. */
void conn_put(struct net *n, struct conn *c, const void *p, size_t len);

/* Whether the peer's bytes are wanted.  While not, only its end is noticed. */
void conn_reading(struct net *n, struct conn *c, bool on);

/* Instead of reading: only POLLRDHUP tells that the peer sends no more. */
void conn_hearing_end(struct net *n, struct conn *c);

/* Has the peer sent something, or closed, that we have not noticed yet? */
bool conn_stirs(const struct conn *c);

/* The first byte not received yet; -1: there is none. */
int conn_peek(const struct conn *c);

/* Sends a message of any length: the body is copied.  -1 without memory. */
int conn_put_message(struct net *n, struct conn *c, char type, const void *body, size_t len);

/* Bytes that the peer has not taken.  The producer stops while there are any; conn_drain() is
 * called when the socket is writable, and returns the number still left. */
size_t conn_pending(const struct conn *c);
size_t conn_drain(struct net *n, struct conn *c);

#endif
