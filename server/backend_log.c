/* server/backend_log.c - what the log says of servers' messages: log_backend_messages, and
 * complaints about statements under log_per_node_statement. */
#include "server/inside.h"

static struct log_who *who_of(const struct server *s)
{
	return s->borrower ? s->borrower->who : NULL;
}

static const char *label_of(char type)
{
	static const char *const labels[128] = { ['1'] = "ParseComplete", ['2'] = "BindComplete",
		['3'] = "CloseComplete", ['A'] = "NotificationResponse", ['C'] = "CommandComplete",
		['D'] = "DataRow", ['E'] = "ErrorResponse", ['G'] = "CopyInResponse",
		['H'] = "CopyOutResponse", ['I'] = "EmptyQueryResponse", ['K'] = "BackendKeyData",
		['N'] = "NoticeResponse", ['R'] = "AuthenticationRequest",
		['S'] = "ParameterStatus", ['T'] = "RowDescription",
		['V'] = "FunctionCallResponse", ['W'] = "CopyBothResponse",
		['Z'] = "ReadyForQuery", ['c'] = "CopyDone", ['d'] = "CopyData", ['n'] = "NoData",
		['s'] = "PortalSuspended", ['t'] = "ParameterDescription",
		['v'] = "NegotiateProtocolVersion" };
	const char *label = labels[type & 127];

	return label ? label : "Unknown";
}

/* Terse: messages of one type in a row are one line, and their number is another when a different
 * type comes.  ReadyForQuery is never counted, so that no number is left to tell when a reply is
 * over. */
void server_log_message(struct server *s, char type)
{
	struct log *log = s->all->base->log;
	bool terse = s->all->base->conf->log_backend_messages == BACKEND_MESSAGES_TERSE;

	if (terse && type == s->logged && type != 'Z') {
		s->repeated++;
		return;
	}
	if (s->repeated)
		log_write(log, who_of(s), LEVEL_LOG, NULL, NULL,
			"last %s message from backend %d repeated %u times", label_of(s->logged),
			s->node->id, s->repeated);
	s->repeated = 0;
	s->logged = type;
	log_write(log, who_of(s), LEVEL_LOG, NULL, NULL, "%s message from backend %d",
		label_of(type), s->node->id);
}

void server_log_messages(struct server *s, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;

	p += s->scanner.left < n ? s->scanner.left : n;
	while (end - p >= WIRE_HEADER) {
		size_t size = (size_t)wire_u32(p + 1) + 1, there = (size_t)(end - p);
		bool streams = scanner_streams((char)*p);
		if (size < WIRE_HEADER || (!streams && there < size && there < SCANNER_WHOLE))
			return;
		server_log_message(s, (char)*p);
		p += there < size ? there : size;
	}
}

void server_log_complaint(const struct server *s, const struct request *r, const uint8_t *body,
                          size_t len)
{
	const char *text = r->text ? wire_field(body, len, 'M') : NULL;

	if (!text)
		return;
	log_write(s->all->base->log, who_of(s), LEVEL_LOG, NULL, NULL,
		"pool_send_and_wait: Error or notice message from backend: DB node id: %d"
		" backend pid: %u statement: \"%s\" message: \"%s\"", s->node->id, s->pid,
		r->text, text);
}
