/* route/tree.h - calls of set_config() in the trees that PostgreSQL keeps of views, rules, defaults
 * and the like.
 *
 * The numbers of PostgreSQL's own functions never change: 2078 is set_config().  A parameter's name
 * is a constant there: its bytes, behind the four of its length.  The patterns have no backslashes,
 * whose meaning depends on standard_conforming_strings.
 */
#ifndef ROUTE_TREE_H
#define ROUTE_TREE_H

/* From FROM: a row m(m) for each call in the tree. */
#define TREE_CALLS(tree) "regexp_matches(" tree ", ':funcid 2078 [^{]*[{]" \
	"(?:CONST [^}]*:constvalue [0-9]+ [[](?: -?[0-9]+){4}((?: [0-9]+)+) []])?', 'g') m(m)"

/* The name that such a call sets, as far as it is ASCII; NULL: it is computed, or odd. */
#define TREE_NAME "(SELECT string_agg(chr(b::int), '' ORDER BY n) FROM" \
	" unnest(string_to_array(ltrim(m.m[1]), ' ')) WITH ORDINALITY b(b, n))"

#endif
