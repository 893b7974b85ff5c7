-- What every program finds.  Run by a superuser, at first and to put back what a program changed.
DROP SCHEMA IF EXISTS public, a, b, c CASCADE;
CREATE SCHEMA public AUTHORIZATION app;
CREATE SCHEMA a AUTHORIZATION app;
CREATE SCHEMA b AUTHORIZATION app;
GRANT USAGE ON SCHEMA public, a, b TO PUBLIC;
SET LOCAL client_min_messages = warning;
SET ROLE app;
SET LOCAL check_function_bodies = off;

CREATE TABLE t (i int PRIMARY KEY, v text, n int DEFAULT 0);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE TABLE a.t (i int PRIMARY KEY, v text, n int);
INSERT INTO a.t VALUES (1, 'a one', 1), (9, 'a nine', 9);
CREATE TABLE b.t (v text, i int PRIMARY KEY);       -- the same columns in another order
INSERT INTO b.t VALUES ('b one', 1);
CREATE TABLE u (i int PRIMARY KEY, r int REFERENCES t DEFERRABLE, d date DEFAULT '2020-02-01');
INSERT INTO u VALUES (1, 1), (2, 2);
CREATE UNLOGGED TABLE ul (i int, v text);
INSERT INTO ul VALUES (1, 'unlogged');
CREATE TABLE w (id serial PRIMARY KEY, v text);
CREATE TABLE secret (i int, owner name, tenant text);
INSERT INTO secret VALUES (1, 'app', 'x'), (2, 'reader', 'y'), (3, 'writer', 'z');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (owner = current_user OR tenant = current_setting('my.x', true));
CREATE SEQUENCE sq;
CREATE SEQUENCE sc CACHE 5;

CREATE VIEW vt AS SELECT i, v FROM t WHERE n < 100;
CREATE VIEW vs AS SELECT last_value FROM sq;
CREATE VIEW vl AS SELECT pg_try_advisory_lock(7) AS got;
CREATE VIEW vc AS SELECT set_config('my.x', 'vc', false) AS was;
CREATE VIEW vx AS SELECT current_setting('my.x', true) AS x;
CREATE VIEW vn AS SELECT nextval('sq') AS n;
CREATE VIEW va AS SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid();
CREATE VIEW vk AS SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';

CREATE FUNCTION f_stable() RETURNS bigint LANGUAGE plpgsql STABLE AS
    $$BEGIN RETURN (SELECT count(*) FROM t); END$$;
CREATE FUNCTION f_sql() RETURNS text LANGUAGE sql STABLE AS $$SELECT max(v) FROM t$$;
CREATE FUNCTION f_imm(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$SELECT $1 + 1$$;
CREATE FUNCTION f_vol() RETURNS bigint LANGUAGE plpgsql AS
    $$BEGIN RETURN (SELECT count(*) FROM t); END$$;
CREATE FUNCTION f_set(text, text) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN RETURN set_config($1, $2, false); END$$;
CREATE FUNCTION f_local(text, text) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN RETURN set_config($1, $2, true); END$$;
CREATE FUNCTION f_liar(text) RETURNS text LANGUAGE plpgsql STABLE AS
    $$BEGIN RETURN set_config('my.x', $1, false); END$$;
CREATE FUNCTION f_temp() RETURNS void LANGUAGE plpgsql AS
    $$BEGIN CREATE TEMP TABLE t (i int, v text, n int); INSERT INTO t VALUES (7, 'temp', 7); END$$;
CREATE FUNCTION f_lock(int) RETURNS void LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_advisory_lock($1); END$$;
CREATE FUNCTION f_next() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN nextval('sq'); END$$;
CREATE FUNCTION f_write(text) RETURNS int LANGUAGE plpgsql AS
    $$DECLARE r int; BEGIN INSERT INTO w (v) VALUES ($1) RETURNING id INTO r; RETURN r; END$$;
CREATE FUNCTION f_notify(text) RETURNS void LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_notify('ch', $1); END$$;
CREATE FUNCTION f_raise(text) RETURNS void LANGUAGE plpgsql STABLE AS
    $$BEGIN RAISE EXCEPTION '%', $1 USING errcode = 'P0042', hint = 'a hint'; END$$;
CREATE FUNCTION f_notice() RETURNS int LANGUAGE plpgsql STABLE AS
    $$BEGIN RAISE NOTICE 'a notice'; RETURN 1; END$$;
CREATE FUNCTION f_cur() RETURNS refcursor LANGUAGE plpgsql STABLE AS
    $$DECLARE c refcursor := 'cc'; BEGIN OPEN c FOR SELECT i, v FROM t ORDER BY i; RETURN c; END$$;
CREATE FUNCTION f_out(OUT one int, OUT c refcursor) LANGUAGE plpgsql STABLE AS
    $$BEGIN one := 1; c := 'cc'; OPEN c FOR SELECT v FROM t ORDER BY i; END$$;
CREATE FUNCTION f_run(text) RETURNS text LANGUAGE plpgsql AS
    $$DECLARE r text; BEGIN EXECUTE $1 INTO r; RETURN r; END$$;
CREATE PROCEDURE p_set(text, text) LANGUAGE plpgsql AS
    $$BEGIN PERFORM set_config($1, $2, false); END$$;
CREATE PROCEDURE p_commit(text) LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO w (v) VALUES ($1); COMMIT; INSERT INTO w (v) VALUES ($1 || ' again'); END$$;
CREATE FUNCTION f_trigger() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    IF NEW.v LIKE 'set %' THEN PERFORM set_config('my.x', substr(NEW.v, 5), false);
    ELSIF NEW.v LIKE 'path %' THEN PERFORM set_config('search_path', substr(NEW.v, 6), false);
    ELSIF NEW.v = 'raise' THEN RAISE EXCEPTION 'from the trigger';
    ELSIF NEW.v = 'notice' THEN RAISE NOTICE 'from the trigger'; END IF;
    RETURN NEW; END$$;
CREATE TRIGGER tr BEFORE INSERT ON w FOR EACH ROW EXECUTE FUNCTION f_trigger();
GRANT SELECT ON ALL TABLES IN SCHEMA public, a TO reader, writer;
GRANT INSERT, UPDATE ON t, w TO writer;
RESET ROLE;
