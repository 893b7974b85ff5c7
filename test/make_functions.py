#!/usr/bin/env python3
"""Writes sql/func.h: the functions of PostgreSQL that only read.

    test/make_functions.py 'port=5413 user=postgres' 'port=5418 user=postgres' ... > sql/func.h

Asks servers of several versions for the names in pg_catalog whose every overload
is IMMUTABLE or STABLE, in all versions that have the name.  Leaves out what nobody
calls by name (input and output, operators' own functions, support of indexes and
aggregates) and what gives another answer on another node.
"""
import subprocess
import sys

BUCKETS = 512

QUERY = """
select proname from pg_proc p where pronamespace = 'pg_catalog'::regnamespace group by proname
having bool_and(provolatile in ('i', 's')) and bool_or(prokind in ('f', 'a', 'w'))
and not bool_and('internal'::regtype = any (proargtypes::oid[]) or prorettype in (
    'internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype,
    'language_handler'::regtype, 'fdw_handler'::regtype, 'index_am_handler'::regtype,
    'table_am_handler'::regtype, 'tsm_handler'::regtype))
and not bool_and(exists (select from pg_type where p.oid in (
    typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze)))
and not bool_and(obj_description(p.oid, 'pg_proc') like 'implementation of %')
and not bool_and(exists (select from pg_amproc where amproc = p.oid))
and not bool_and(exists (select from pg_aggregate where p.oid in (
    aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn,
    aggmtransfn, aggminvtransfn, aggmfinalfn)))
"""
WRITES = """
select proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace
and (provolatile = 'v' or prokind = 'p')
"""
MISTAKEN = {"timezone"}         # of timetz: VOLATILE before 15, without a reason

# Callable, but about the node or the session rather than the data, or refused on a replica.
WITHOUT = """
pg_my_temp_schema pg_is_other_temp_schema pg_listening_channels pg_cursor
pg_prepared_statement pg_get_replication_slots
pg_walfile_name pg_walfile_name_offset pg_replication_origin_oid pg_show_all_settings pg_config
pg_current_xact_id pg_current_xact_id_if_assigned txid_current txid_current_if_assigned
pg_trigger_depth pg_timezone_names pg_timezone_abbrevs pg_indexam_progress_phasename
pg_mcv_list_items pg_tablespace_databases pg_tablespace_location pg_backup_start_time
pg_numa_available system_user
"""
WITHOUT_PREFIX = ("pg_stat_get_", "pg_event_trigger_", "binary_upgrade_", "pg_timezone_abbrevs_")
WITHOUT_SUFFIX = ("_in", "_out", "_recv", "_send", "_validator", "_canonical", "_subdiff", "_transfn",
                  "_subscript_handler")

# These implement an operator, yet people call them.
WITH = """
array_cat array_larger array_smaller arraycontained arraycontains arrayoverlap booleq
hashtext hashtextextended hashint4 hashint8 hash_array hash_record hash_numeric inet_merge
inet_same_family jsonb_concat jsonb_contained jsonb_contains jsonb_delete jsonb_delete_path
jsonb_exists jsonb_exists_all jsonb_exists_any json_array_element json_array_element_text
json_object_field json_object_field_text jsonb_array_element jsonb_array_element_text
jsonb_object_field jsonb_object_field_text numeric_abs range_merge starts_with textcat texteq
textlike texticlike ts_match_vq tsvector_concat
"""

# Types without a function of their name: a call is a cast.
TYPES = """
bytea inet jsonb jsonpath tsquery tsvector uuid regcollation regconfig regdictionary
regnamespace regoper regoperator regproc regprocedure regrole regtype
"""


def wanted(name):
    return not (name in WITHOUT.split() or name.startswith(WITHOUT_PREFIX)
                or name.endswith(WITHOUT_SUFFIX))


def bucket(name):
    """FNV-1a; function_reads() in sql.c does the same."""
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 & 0xffffffff
    return (h ^ h >> 16) % BUCKETS


def main():
    def answers(query):
        return {name for server in sys.argv[1:] for name in subprocess.run(
            ["psql", "-XAtc", query, server], check=True, capture_output=True, text=True).stdout.split()}

    names = {n for n in answers(QUERY) if wanted(n)} | {*WITH.split(), *TYPES.split()}
    names -= answers(WRITES) - MISTAKEN
    buckets = [sorted(n for n in names if bucket(n) == b) for b in range(BUCKETS)]

    print("/* sql/func.h - PostgreSQL's own functions that only read.  Written by")
    print(f" * test/make_functions.py, which says which; {len(names)} names.")
    print(" *")
    print(" * function_names holds length byte and name after one another, function_bucket[h]")
    print(" * says where those with hash h begin; they end where those of h + 1 begin. */")
    print("#ifndef SQL_FUNC_H\n#define SQL_FUNC_H\n\n#include <stdint.h>\n")
    print(f"enum {{ FUNCTION_BUCKETS = {BUCKETS} }};\n")

    starts = [0]
    for b in buckets:
        starts.append(starts[-1] + sum(len(n) + 1 for n in b))
    print("static const uint16_t function_bucket[FUNCTION_BUCKETS + 1] = {")
    for i in range(0, len(starts), 12):
        print("\t" + " ".join(f"{s}," for s in starts[i:i + 12]))
    print("};\n")

    print("static const char function_names[] =")
    line = ""
    for b in buckets:
        for n in b:
            piece = f"\\{len(n):03o}{n}"
            if len(line) + len(piece) > 86:
                print(f'\t"{line}"')
                line = ""
            line += piece
    print(f'\t"{line}";\n')
    print("#endif")


if __name__ == "__main__":
    main()
