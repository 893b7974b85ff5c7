#!/bin/sh
# The rooms of ARCHITECTURE.md, checked: what is written there is what the includes and the calls say.
#
#     sh test/rooms.sh [SOURCES [OBJECTS]]
#
# Each row of the table "Rooms" names a face; a room calls and includes those of rows below its own,
# never one above.  Public functions have a name of their room in front.  OBJECTS has what was
# compiled; without it functions are not looked at.
# Lines end at column 100.
cd "${1:-.}" || exit 1
found=$(mktemp) || exit 1
trap 'rm -f "$found" "$found.objects"' EXIT

rooms=$(sed -n 's/^| [^|]* | `\([a-z0-9]*\)\.c`.*/\1/p' ARCHITECTURE.md)
sources=$(find . -name '*.[ch]' ! -path './test/*' ! -path './build/*' | sed 's|^\./||' | sort)

# A file's room is its folder, or at the top its own name; a table "rank" orders them.
awk_rooms='
function room(file) { return file ~ "/" ? substr(file, 1, index(file, "/") - 1) \
                                        : substr(file, 1, index(file, ".") - 1) }
BEGIN { n = split(rooms, r, /[ \n]+/); for (i = 1; i <= n; i++) rank[r[i]] = n - i + 1; rank["program"] = rank["pgpool"] }
'

{
	[ "$(echo "$rooms" | wc -l)" -le 20 ] || echo "there are more than 20 rooms"

	for room in $rooms; do
		[ -f "$room.c" ] || echo "$room.c: not there, but in ARCHITECTURE.md"
		[ -f "$room.h" ] || [ "$room" = pgpool ] || echo "$room.c: has no header"
	done

	echo "$sources" | sed 's|.*/||' | sort | uniq -d | sed 's/$/: the name of two files/'

	# shellcheck disable=SC2086
	awk -v rooms="$rooms" "$awk_rooms"'
	function columns(line,    piece, n, i, at) {
		n = split(line, piece, "\t")
		for (i = 1; i < n; i++)
			at += length(piece[i]) + 8 - length(piece[i]) % 8
		return at + length(piece[n])
	}
	columns($0) > 100 {
		print FILENAME ":" FNR ": is longer than 100 columns"
	}
	FNR == 1 { first = 1; own = FILENAME; sub(/\.c$/, ".h", own)
	           if (!(room(FILENAME) in rank)) print FILENAME ": is in no room of ARCHITECTURE.md" }
	/^#include/ {
		if (first && FILENAME ~ /\.c$/ && system("test -f " own) == 0 && $2 != "\"" own "\"")
			print FILENAME ":" FNR ": its own header does not come first"
		first = 0
	}
	/^#include "/ {
		to = substr($2, 2, length($2) - 2); from = room(FILENAME); of = room(to)
		if (of == from || (from == "pgpool" && of == "program") || (from == "program" && of == "pgpool"))
			next
		if (to ~ "/")
			print FILENAME ":" FNR ": includes " to ", which is private to " of
		else if (rank[of] >= rank[from])
			print FILENAME ":" FNR ": includes " to ", which is above it"
	}' $sources

	nouns=$(grep -E '^(struct|enum) [a-z0-9_]+' $(echo "$sources" | grep 'h$') |
		sed -E 's|^([^:]*):[a-z]+ ([a-z0-9_]+).*|\1 \2|; s|^([a-z0-9]+)[./][^ ]* |\1 |' | sort -u)
	# Those of files that are there: the folder may have older ones.
	for o in ${2:+$(echo "$sources" | sed -n "s|c\$|o|p")}; do
		[ ! -f "$2/$o" ] || echo "$2/$o"
	done >"$found.objects"
	xargs -r gcc-nm -A <"$found.objects" |
	awk -v rooms="$rooms" -v nouns="$nouns" -v objects="$2/" "$awk_rooms"'
	# A public function is named after its file, its room, or a struct of its room; libc has a few.
	function is_named(name, noun) { sub(/s$/, "", noun); sub(/y$/, "(y|ie)", noun); return name ~ "^" noun "s?(_|$)" }
	function is_known(name, file,   base, i, n, noun) {
		base = file; sub(/.*\//, "", base); sub(/\.o$/, "", base)
		if (name == "main" || file == "conf/wide.o" || is_named(name, base) || is_named(name, room(file)))
			return 1
		n = split(nouns, noun, "\n")
		for (i = 1; i <= n; i++) {
			split(noun[i], part, " ")
			if (part[1] == room(file) && is_named(name, part[2])) return 1
		}
		return 0
	}
	{ file = $1; sub(/:.*/, "", file); sub(objects, "", file); name = $NF; kind = $(NF - 1) }
	kind ~ /^[TDBRC]$/ { home[name] = room(file) }
	kind == "T" && !is_known(name, file) { print file ": " name "() is named after nothing of its room" }
	kind == "U" { calls[file " " name] = 1 }
	END {
		for (c in calls) {
			split(c, part, " "); from = room(part[1]); of = home[part[2]]
			if (of && rank[of] > rank[from])
				print part[1] ": calls " part[2] "(), which is above it in " of
		}
	}'

	# A face and its parts call each other; among the parts there are no circles.
	grep "^$2/.*/" "$found.objects" | xargs -r gcc-nm -A |
	awk -v objects="$2/" '
	{ file = $1; sub(/:.*/, "", file); sub(objects, "", file); name = $NF; kind = $(NF - 1) }
	kind ~ /^[TDBRC]$/ { home[name] = file }
	kind == "U" { calls[file " " name] = 1 }
	END {
		for (c in calls) {
			split(c, part, " ")
			if (home[part[2]]) print part[1], home[part[2]]
		}
	}' | LC_ALL=C tsort 2>&1 >/dev/null | sed -n 's/^tsort: \(.*\.o\)$/\1: calls in a circle/p'
} >"$found"

[ ! -s "$found" ] || { sort "$found" >&2; exit 1; }
