/* check/sample.h - which replicas have what has been written: load_balance_consistency.
 *
 * While somebody has written what a replica is not known to have, the primary is asked for its
 * position (see check/position.h), and the replicas that lack it for theirs: at once after a write,
 * then every few milliseconds while reads have to go to the primary for want of it, less often
 * while none do, and not at all when all have it.  A replica that stays behind is asked less often.
 * The results are in struct node.
 *
 * It is asked as sr_check_user, as health_check_user, or as somebody who has a connection to the
 * primary: any role may ask.  Nobody can: what has written reads on the primary, and the log says
 * so.
 *
 * A replica counts when it is known to be on the primary's timeline.  What it has been promoted
 * away from, or follows still, has other contents at the same positions.  A standby may be asked by
 * anybody which timeline it had at its last restartpoint, and by a member of pg_read_all_stats
 * which one it receives; timeline 1 needs no proof.
 */
#ifndef CHECK_SAMPLE_H
#define CHECK_SAMPLE_H

#include "server.h"

struct samples;

struct samples *samples_new(struct servers *all);       /* NULL without memory */
void samples_free(struct samples *s);                   /* NULL is fine */

/* Begins, or continues with a new configuration. */
void samples_start(struct samples *s);

/* The program is ending: no more questions. */
void samples_stop(struct samples *s);

#endif
