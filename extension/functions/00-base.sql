-- What all other functions stand on: the clock, the errors, the checks of arguments, the version.

-- Without a search_path of its own, so that it is inlined wherever it stands.
CREATE OR REPLACE FUNCTION @extschema@._now()
RETURNS timestamptz
LANGUAGE sql
VOLATILE
PARALLEL SAFE
RETURN pg_catalog.clock_timestamp();
COMMENT ON FUNCTION @extschema@._now IS
    'The one clock: the time of the call, not of the transaction, whose now() would give leases that are born expired. Tests replace it inside their transaction.';

CREATE OR REPLACE FUNCTION @extschema@.installed_version()
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN '0.2.0'::text;
COMMENT ON FUNCTION @extschema@.installed_version IS
    'Returns the version of the installed SQL, such as 0.2.0.';

CREATE OR REPLACE FUNCTION @extschema@.error_codes()
RETURNS SETOF @extschema@.error_code
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.code, e.name, e.meaning
    FROM (VALUES
        ('JQ001', 'queue_not_found', 'no queue has this name'),
        ('JQ002', 'job_not_found', 'no job has this id, or its history is no longer kept'),
        ('JQ003', 'lease_lost', 'the lease token no longer holds the job: it timed out, was cancelled or was picked anew'),
        ('JQ004', 'job_in_another_state', 'the job is not in a state in which this can be done'),
        ('JQ005', 'queue_paused', 'the queue is paused'),
        ('JQ006', 'endpoint_not_found', 'the queue has no endpoint'),
        ('JQ007', 'workflow_not_found', 'the queue has no workflow of this name, or no such version of it'),
        ('JQ008', 'signal_token_not_found', 'the token for a signal is not known, was used or has expired')
    ) AS e (code, name, meaning);
END;
COMMENT ON FUNCTION @extschema@.error_codes IS
    'Returns the SQLSTATEs of this queue''s own, each with its name in the SDK and its meaning.';

CREATE OR REPLACE FUNCTION @extschema@._require(is_met boolean, expected text, given text)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF is_met IS NOT TRUE THEN
        RAISE EXCEPTION 'expected %, got %', expected, COALESCE(quote_literal(left(given, 100)), 'null')
            USING ERRCODE = CASE WHEN given IS NULL THEN '22004' ELSE '22023' END;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require IS
    'Internal: raises 22023 (22004 for a null) with what was expected and what came, unless is_met.';
