/* web/page.h - what a person sees at the HTTP port: plain HTML, without scripts or other hosts.
 *
 * The tables of SHOW POOL_NODES and SHOW POOL_BACKEND_STATS, sessions by user and database, errors
 * by the class of their SQLSTATE.  No texts of statements, no addresses of clients.
 */
#ifndef WEB_PAGE_H
#define WEB_PAGE_H

#include "admin.h"
#include "web/text.h"

void page_write(struct text *t, const struct admin *a);

#endif
