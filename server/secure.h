/* server/secure.h - makes a new connection to a node as secure as backend_sslmode asks.
 *
 *      secure_connect()  a socket that has begun to connect
 *      secure_begin()    it has connected: asks the node (SSLRequest), or begins TLS
 *      secure_go_on()    it is readable: the node's answer of one byte, then the handshake
 *
 * The last two say how far it is.  It is never weaker than the mode says; the node's word in plain
 * text is believed only where plain text would do.
 */
#ifndef SERVER_SECURE_H
#define SERVER_SECURE_H

#include "conf.h"
#include "net.h"
#include "log.h"
#include "tls.h"

#include <sys/socket.h>

enum secured {
	SECURE_MORE,            /* secure_go_on() when it is readable */
	SECURE_DONE,            /* with or without TLS, as the mode allows: conn->tls tells */
	SECURE_NOT,             /* no TLS on this connection; on a new one plain text would do */
	SECURE_BROKEN,          /* the connection or the node is in trouble */
	SECURE_UNSAFE,          /* the node's TLS, or its certificate, is not as the mode asks */
};

struct secure {
	enum sslmode mode;                      /* SSLMODE_DISABLE: plain text */
	bool direct;                            /* without asking first */
	char host[256];                         /* the certificate must have this name */
	struct tls_context *const *context;     /* the program's own: a reload exchanges it */
	struct log *log;
	bool shaking;
	char why[160];                          /* behind SECURE_NOT, _BROKEN, _UNSAFE: a clause */
};

/* For a connection to this node. */
void secure_prepare(struct secure *x, const struct base *base, const struct conf_node *n,
                    enum sslmode mode);

/* A socket that has begun to connect there, and does not outlive a node that has vanished for
 * longer than conf says.  -1 and errno. */
int secure_connect(const struct conf *conf, const struct sockaddr_storage *at, socklen_t len);

enum secured secure_begin(struct secure *x, struct net *net, struct conn *c);
enum secured secure_go_on(struct secure *x, struct net *net, struct conn *c);

#endif
