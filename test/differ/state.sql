-- What a database holds, as rows (what, text): "data" rows are put back by emptying tables, a
-- difference in "catalog" rows takes schema.sql.  Made once, in the template.
CREATE SCHEMA differ;
CREATE FUNCTION differ.state() RETURNS TABLE (what text, line text) LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
    FOR c IN SELECT relkind, relname, nspname FROM pg_class r
        JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'S', 'm')
        AND nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'differ')
        ORDER BY nspname, relname LOOP
        line := NULL;
        IF c.relkind = 'S' THEN
            EXECUTE format('SELECT concat_ws('','', last_value, is_called) FROM %I.%I', c.nspname,
                c.relname) INTO line;
        ELSE
            EXECUTE format('SELECT string_agg(x::text, '' '' ORDER BY x::text) FROM %I.%I x',
                c.nspname, c.relname) INTO line;
        END IF;
        what := 'data ' || c.nspname || '.' || c.relname;
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT 'catalog ' || n.nspname || '.' || r.relname,
        concat_ws(',', r.relkind, r.relpersistence, r.relrowsecurity, r.relacl::text,
            pg_get_userbyid(r.relowner), (SELECT string_agg(concat_ws(' ', attname,
            format_type(atttypid, atttypmod), attnotnull), ';' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = r.oid AND attnum > 0 AND NOT attisdropped),
            CASE WHEN r.relkind = 'v' THEN pg_get_viewdef(r.oid) END,
            (SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = r.oid
            AND NOT tgisinternal),
            (SELECT string_agg(pg_get_constraintdef(x.oid), ';' ORDER BY conname)
            FROM pg_constraint x WHERE conrelid = r.oid))
        FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
        WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'differ')
        ORDER BY 1;
    RETURN QUERY SELECT 'catalog ' || p.oid::regprocedure,
        concat_ws(',', p.provolatile, md5(p.prosrc))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'differ')
        ORDER BY 1;
    RETURN QUERY SELECT 'catalog type', t.typname::text FROM pg_type t
        JOIN pg_namespace n ON n.oid = typnamespace WHERE typtype IN ('d', 'e')
        AND nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema' ORDER BY 2;
    RETURN QUERY SELECT 'catalog schema', nspname::text FROM pg_namespace
        WHERE nspname NOT LIKE 'pg\_%' ORDER BY 2;
    RETURN QUERY SELECT 'catalog role', concat_ws(',', rolname, rolcanlogin, (SELECT string_agg(
        setconfig::text, ';') FROM pg_db_role_setting WHERE setrole = r.oid))
        FROM pg_roles r WHERE rolname NOT LIKE 'pg\_%' ORDER BY 2;
    RETURN QUERY SELECT 'catalog settings', setconfig::text FROM pg_db_role_setting
        WHERE setrole = 0 ORDER BY 2;
    RETURN QUERY SELECT 'database', concat_ws(',', datname, (SELECT setconfig FROM
        pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0)::text) FROM pg_database d
        WHERE datname LIKE 'extra%' ORDER BY 2;
    RETURN QUERY SELECT 'catalog prepared', gid FROM pg_prepared_xacts WHERE database =
        current_database() ORDER BY 2;
END$$;
