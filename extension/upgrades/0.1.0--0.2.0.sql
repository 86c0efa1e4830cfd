DO $$
BEGIN
    IF @extschema@.installed_version() <> '0.1.0' THEN
        RAISE EXCEPTION 'expected version 0.1.0 in schema @extschema@, got %', @extschema@.installed_version()
            USING ERRCODE = '55000';
    END IF;
END
$$;

ALTER TABLE @extschema@.queue ADD COLUMN has_waits boolean NOT NULL DEFAULT false;
ALTER TABLE @extschema@.job
    ADD COLUMN parent_job_id bigint,
    ADD COLUMN workflow_version integer,
    ADD COLUMN workflow text,
    ADD COLUMN step text,
    ADD COLUMN progress jsonb;
ALTER TABLE @extschema@.finished_job
    ADD COLUMN parent_job_id bigint,
    ADD COLUMN workflow_version integer,
    ADD COLUMN workflow text,
    ADD COLUMN step text,
    ADD COLUMN progress jsonb;

-- include tables/51-trigger.sql
-- include tables/53-cron.sql
-- include tables/54-schedule.sql
-- include tables/56-workflow.sql
-- include tables/57-run.sql
-- include tables/61-child.sql
-- include tables/63-signal.sql
-- include tables/86-wait.sql
-- include tables/88-memory.sql

-- Functions that have other parameters now, and types that have more fields. Nothing of the user's is dropped along.
DO $$
DECLARE
    v_function regprocedure;
    v_trouble text;
    v_detail text;
BEGIN
    FOR v_function IN
        SELECT p.oid
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::regclass
        WHERE p.pronamespace = job.relnamespace AND p.proname IN (
            'add_job', 'add_jobs', '_attempt', '_claim_key', '_claim_keys', '_finish_jobs', '_insert_jobs',
            '_note_expired', '_revive_jobs', '_settle_jobs', '_time_out_noted')
    LOOP
        EXECUTE pg_catalog.format('DROP FUNCTION %s', v_function);
    END LOOP;
    ALTER TYPE @extschema@.picked_job
        ADD ATTRIBUTE workflow text,
        ADD ATTRIBUTE workflow_version integer,
        ADD ATTRIBUTE step text;
    ALTER TYPE @extschema@.job_status
        ADD ATTRIBUTE workflow text,
        ADD ATTRIBUTE workflow_version integer,
        ADD ATTRIBUTE step text,
        ADD ATTRIBUTE parent_job_id bigint;
    ALTER TYPE @extschema@.maintenance ADD ATTRIBUTE expired_signal_tokens integer;
    ALTER TYPE @extschema@.answer_verdict
        ADD ATTRIBUTE next jsonb,
        ADD ATTRIBUTE is_undoing boolean;
    ALTER TYPE @extschema@.follow_up
        ADD ATTRIBUTE workflow text,
        ADD ATTRIBUTE workflow_version integer;
EXCEPTION WHEN dependent_objects_still_exist THEN
    GET STACKED DIAGNOSTICS v_trouble = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL;
    RAISE EXCEPTION 'objects of yours stand in the way of the upgrade: %', v_trouble
        USING ERRCODE = '2BP01', DETAIL = v_detail,
              HINT = 'Keep their definitions, drop them, upgrade, and make them anew.';
END
$$;
