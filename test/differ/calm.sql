-- What schema.sql leaves in most databases: nothing whose bodies could set, lock or make anything for
-- a session.  There calls are not asked about, so what the statements themselves do has to be known.
DROP FUNCTION f_set, f_local, f_liar, f_temp, f_lock, f_run;
DROP FUNCTION f_trigger CASCADE;
DROP PROCEDURE p_set;
