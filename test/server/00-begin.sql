-- Proves on your own server that the queue works there. Run it by pg_prove, as the owner of the schema:
--   pg_prove -d mydb this-file.sql
-- It is one transaction that is rolled back: nothing stays, no job of yours is touched, and workers may go on meanwhile.
-- It needs pgTAP; what needs pg_cron, pg_net or Vault is left out where they are not installed.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
DO $$ BEGIN
    PERFORM set_config('search_path', quote_ident(n.nspname), true)
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pgtap';
END $$;
SELECT plan(47);

-- A job is known by its payload, a word.
CREATE TEMPORARY TABLE known_job (name text NOT NULL, job_id bigint NOT NULL, lease_token bigint);
CREATE PROCEDURE pg_temp.add(queue_name text, VARIADIC names text[])
LANGUAGE sql
AS $$
    INSERT INTO known_job (name, job_id)
    SELECT n, (@extschema@.add_job(queue_name, to_jsonb(n))).job_id FROM unnest(names) AS n
$$;
CREATE FUNCTION pg_temp.pick(queue_name text, max_jobs integer DEFAULT 1)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_job record;
    v_names text[] := '{}';
BEGIN
    FOR v_job IN SELECT p.job_id, p.lease_token, p.payload FROM @extschema@.pick_jobs(ARRAY[queue_name], max_jobs, 'server test') AS p LOOP
        UPDATE known_job AS k SET lease_token = v_job.lease_token WHERE k.job_id = v_job.job_id;
        v_names := v_names || (v_job.payload #>> '{}');
    END LOOP;
    RETURN array_to_string(v_names, ' ');
END
$$;
CREATE FUNCTION pg_temp.release(name text, result text, output jsonb DEFAULT NULL, error text DEFAULT NULL)
RETURNS text
LANGUAGE sql
AS $$
    SELECT @extschema@.release_job(k.job_id, release.result, k.lease_token, release.output, release.error)
    FROM known_job AS k WHERE k.name = release.name
$$;
CREATE FUNCTION pg_temp.job(name text)
RETURNS @extschema@.job_status
LANGUAGE sql
AS $$ SELECT j FROM known_job AS k CROSS JOIN LATERAL @extschema@.get_job(k.job_id) AS j WHERE k.name = job.name $$;
