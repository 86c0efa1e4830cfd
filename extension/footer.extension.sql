-- Last in the scripts of the extension: pg_dump carries the rows of its tables. The condition lets
-- a dump leave the jobs out and keep the settings: PGOPTIONS='-c pgq.dump_jobs=off' pg_dump.
DO $$
DECLARE
    c_settings constant text[] := ARRAY[
        'queue', 'lane', 'workflow', 'workflow_step', 'schedule', 'change_trigger', 'queue_access', 'endpoint', 'endpoint_secret',
        'endpoint_state', 'endpoint_allowed_host'];
    c_jobs constant text :=
        $cond$WHERE pg_catalog.current_setting('pgq.dump_jobs', true) IS DISTINCT FROM 'off'$cond$;
    v_relation record;
BEGIN
    FOR v_relation IN
        SELECT c.oid, c.relname, c.relkind
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::regclass
        WHERE c.relnamespace = job.relnamespace AND c.relkind IN ('r', 'S')
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(
            v_relation.oid,
            CASE
                WHEN v_relation.relkind = 'S' OR v_relation.relname = ANY (c_settings) THEN ''
                WHEN v_relation.relname IN ('idle_worker', 'request', 'native_request', 'native_epoch') THEN 'WHERE false'
                ELSE c_jobs
            END);
    END LOOP;
END
$$;
