
-- What is undone was never there

CALL pg_temp.add('pgq test: undo', 'kept', 'failing');
DO $$ BEGIN
    BEGIN
        PERFORM @extschema@.add_job('pgq test: undo', '"undone"');
        PERFORM @extschema@.pick_jobs(ARRAY['pgq test: undo'], 9);
        PERFORM @extschema@.cancel_job(k.job_id) FROM known_job AS k WHERE k.name = 'failing';
        RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
END $$;
SELECT is(pg_temp.pick('pgq test: undo', 9), 'kept failing', 'adds, picks and cancels are undone with their transaction');
