-- pgq for pg_tle, on hosts whose servers take no files. As a member of pgtle_admin, in the database that shall have it:
--   psql … --single-transaction -f pgq.tle.sql
--   CREATE SCHEMA pgq; CREATE EXTENSION pgq SCHEMA pgq;
-- For a new version run the new file in the same way, then ALTER EXTENSION pgq UPDATE.

CREATE FUNCTION pg_temp.offer_version(version text, description text, script text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM pgtle.available_extensions() AS e WHERE e.name = 'pgq') THEN
        RETURN; -- The new version is reached by the steps below.
    END IF;
    -- pg_tle has known the schema of an extension since 1.5.
    IF EXISTS (SELECT FROM pg_catalog.pg_proc AS p
               WHERE p.pronamespace = 'pgtle'::regnamespace AND p.proname = 'install_extension'
                 AND 'schema' = ANY (p.proargnames)) THEN
        EXECUTE 'SELECT pgtle.install_extension(name => ''pgq'', version => $1, description => $2, ext => $3, schema => ''pgq'')'
        USING version, description, script;
    ELSE
        PERFORM pgtle.install_extension('pgq', version, description, script);
    END IF;
END
$$;

CREATE FUNCTION pg_temp.offer_step(old_version text, new_version text, script text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pgtle.extension_update_paths('pgq') AS p
                   WHERE p.source = old_version AND p.target = new_version AND p.path IS NOT NULL) THEN
        PERFORM pgtle.install_update_path('pgq', old_version, new_version, script);
    END IF;
END
$$;
