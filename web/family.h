/* web/family.h - writing families of metrics, one after the other. */
#ifndef WEB_FAMILY_H
#define WEB_FAMILY_H

#include "admin.h"
#include "web/text.h"

struct writer {
	struct text *t;
	const struct admin *admin;
	bool open;                              /* OpenMetrics */
};

enum family_type { GAUGE, COUNTER, HISTOGRAM };

/* theirs: of the exporter, whose counters are named against OpenMetrics' rules; there they are
 * `unknown`. */
void family_head(struct writer *w, const char *name, enum family_type type, const char *help,
                 bool theirs);

/* before: what stands in front of the label, "{" or ",". */
void family_label(struct writer *w, const char *before, const char *name, const char *value);

/* A family of one value, without labels. */
void family_value(struct writer *w, const char *name, enum family_type type, const char *help,
                  double value, bool theirs);

/* The name of a series, and the node's labels; further ones and } follow. */
void family_node(struct writer *w, const char *series, const struct node *n);

#endif
