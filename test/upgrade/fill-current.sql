-- What earlier versions did not have, beside fill.sql: runs of workflows in every state, schedules, jobs on change.
CREATE TABLE public.customer (customer_id integer PRIMARY KEY, name text);
DO $$
DECLARE
    v_run record;
    v_place integer := 0;
BEGIN
    PERFORM pgq.define_workflow('flow', 'signup', 1, '[{"id": "one"}, {"id": "two", "max_attempts": 2, "compensates": true}, {"id": "three"}]');
    PERFORM pgq.define_workflow('flow', 'signup', 2, '[{"id": "one"}, {"id": "three"}]');
    PERFORM pgq.add_jobs('flow', ARRAY(SELECT to_jsonb(n) FROM generate_series(1, 100) AS n), workflow => 'signup', workflow_version => 1);
    FOR v_run IN SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['flow'], 60) AS p LOOP
        v_place := v_place + 1;
        PERFORM pgq.remember(v_run.job_id, v_run.lease_token, 'invoice', to_jsonb(v_place));
        PERFORM pgq.make_signal_token(v_run.job_id, 'approved');
        PERFORM pgq.signal_job(v_run.job_id, 'approved', to_jsonb(v_place));
        IF v_place % 6 > 0 THEN
            PERFORM pgq.finish_step(v_run.job_id, v_run.lease_token, output => to_jsonb(v_place), next => (ARRAY[
                '{"children": [{"payload": 1, "queue_name": "child"}, {"payload": 2, "queue_name": "child", "priority": 2}], "failed_children": 1}',
                '{"signal": "never", "timeout_milliseconds": 86400000}', '{"delay_milliseconds": 86400000}', '{"complete": true}', NULL
            ]::jsonb[])[v_place % 6]);
        END IF;
    END LOOP;
    PERFORM pgq.release_job(p.job_id, 'complete', lease_token => p.lease_token) FROM pgq.pick_jobs(ARRAY['child'], 5) AS p;

    PERFORM pgq.schedule_job('nightly', '15 2 * * *', 'report', time_zone => 'Europe/Berlin', headers => '{"x": "y"}');
    PERFORM pgq.schedule_job('flow of the week', '@weekly', 'flow', workflow => 'signup');
    PERFORM pgq.add_job_on_change('welcome', 'public.customer', 'mail', payload_columns => '{customer_id}', unique_key => 'customer_id');
END
$$;
INSERT INTO public.customer VALUES (1, 'Ada'), (2, 'Grace');
