/* tls_fuzz.c - what a peer may send: the first byte says to whom and how, the second how it is cut.
 *
 *     0   a server that has just been connected to: ClientHello and on
 *     1   a node's answer to our ClientHello
 *     2   an open connection, as it comes from the network
 *     3   an open connection, properly encrypted: type and length (one byte each) and text */
#include "tls/engine.c"
#include "tls.c"

#include <assert.h>

static struct tls_context *context;
static uint8_t block[TLS_HELD + (1 << 17) + TLS_HELD], wire[1 << 17];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void tell(void *ctx, enum level severity, const char *text)
{
	(void)ctx, (void)severity, (void)text;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct tls_files files = { "", "", "", "", "", "", "DEFAULT", "prime256v1:X25519",
		false, "localhost", NULL };

	(void)argc, (void)argv;
	context = tls_context_load(&files, tell, NULL);
	assert(context);
	return 0;
}

static long feed(struct tls *t, const uint8_t *p, size_t n)
{
	memcpy(block + TLS_HELD, p, n);
	long got = tls_input(t, block + TLS_HELD, n, block);
	assert(got >= -1 && got <= (long)n + TLS_HELD);
	assert(got != -1 || tls_state(t) > TLS_OPEN);
	assert(!tls_error(t) == (tls_state(t) != TLS_FAILED));
	return got;
}

static size_t output(struct tls *t)
{
	size_t n = 0;

	for (size_t k; (k = tls_output(t, wire + n, sizeof wire - n)); )
		n += k;
	return n;
}

static void open_both(struct tls *a, struct tls *b)
{
	for (int i = 0; i < 3 && tls_state(a) == TLS_SHAKING; i++) {
		feed(b, wire, output(a));
		feed(a, wire, output(b));
	}
	assert(tls_state(a) == TLS_OPEN && tls_state(b) == TLS_OPEN);
}

static void send_raw(struct tls *t, const uint8_t *p, size_t n, size_t piece)
{
	for (size_t i = 0; i < n; i += piece) {
		feed(t, p + i, piece < n - i ? piece : n - i);
		output(t);
	}
}

static void send_records(struct tls *from, struct tls *to, const uint8_t *p, size_t n, size_t piece)
{
	while (n >= 2) {
		size_t room = sizeof wire, len = p[1] < n - 2 ? p[1] : n - 2;
		uint8_t *text = text_of(from, wire, &room);
		memcpy(text, p + 2, len);
		size_t made = make_record(from, p[0], text, len);
		uint8_t *copy = malloc(made);
		assert(copy);
		memcpy(copy, wire, made);
		send_raw(to, copy, made, piece);
		free(copy);
		p += 2 + len;
		n -= 2 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 2 || n > 1 << 16)
		return 0;
	int how = p[0] & 3;
	size_t piece = p[1] ? p[1] : n;
	struct tls *client = tls_connect(context, TLS_CHECK_NOTHING, "localhost");
	struct tls *server = tls_accept(context);

	if (how >= 2)
		open_both(client, server);
	if (how == 3)
		send_records(client, server, p + 2, n - 2, piece);
	else
		send_raw(how == 1 ? client : server, p + 2, n - 2, piece);
	tls_bye(client, wire, sizeof wire);
	tls_bye(server, wire, sizeof wire);
	tls_free(client);
	tls_free(server);
	return 0;
}
