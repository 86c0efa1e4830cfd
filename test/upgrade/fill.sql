-- 10 000 jobs in every state, and all else that an installation can hold, by the functions of every released version.
-- Work that a worker can finish is in the queues named work…; the rest waits for people, or for long.
DO $$
DECLARE
    v_ids bigint[];
    v_tokens bigint[];
    v_small jsonb[] := ARRAY(SELECT jsonb_build_object('n', n, 'text', 'Ünïcode ''quoted'' \ ' || n) FROM generate_series(1, 1000) AS n);
BEGIN
    PERFORM pgq.set_queue_config('work', timeout_milliseconds => 1000, pause_between_retries_milliseconds => 0, max_attempts => 5);
    PERFORM pgq.set_queue_config('work groups', max_concurrency_per_group => 2, group_order => 'strict',
        timeout_milliseconds => 1000, pause_between_retries_milliseconds => 0);
    PERFORM pgq.set_queue_config('work limited', max_concurrency => 7, timeout_milliseconds => 1000);

    -- Ready, of several priorities; and held behind their groups.
    FOR v_priority IN -1..1 LOOP
        PERFORM pgq.add_jobs('work', v_small, priority => v_priority);
    END LOOP;
    PERFORM pgq.add_jobs('work groups', v_small,
        group_keys => ARRAY(SELECT 'customer ' || n % 50 FROM generate_series(1, 1000) AS n));
    PERFORM pgq.add_jobs('work limited', v_small);
    -- Scheduled, some by minutes and some so that no test sees them run.
    PERFORM pgq.add_jobs('work', v_small[1:200], start_after => clock_timestamp() + interval '100 milliseconds');
    PERFORM pgq.add_jobs('later', v_small, start_after => clock_timestamp() + interval '30 days');
    -- A large payload, which lies out of line, and headers.
    PERFORM pgq.add_job('work', to_jsonb(repeat(md5('large') || chr(955), 20000)), headers => '{"traceparent": "00-1"}', max_attempts => 3);

    -- Finished in every way.
    PERFORM pgq.add_jobs('done', v_small);
    PERFORM pgq.add_jobs('done', v_small);
    SELECT array_agg(p.job_id), array_agg(p.lease_token) INTO v_ids, v_tokens FROM pgq.pick_jobs(ARRAY['done'], 500) AS p;
    PERFORM pgq.release_jobs(v_ids, v_tokens, 'complete', outputs => array_fill('{"sum": 1}'::jsonb, ARRAY[500]));
    SELECT array_agg(p.job_id), array_agg(p.lease_token) INTO v_ids, v_tokens FROM pgq.pick_jobs(ARRAY['done'], 500) AS p;
    PERFORM pgq.release_jobs(v_ids, v_tokens, 'failed', errors => array_fill('no such address'::text, ARRAY[500]), retry => false);
    SELECT array_agg(p.job_id), array_agg(p.lease_token) INTO v_ids, v_tokens FROM pgq.pick_jobs(ARRAY['done'], 500) AS p;
    PERFORM pgq.release_jobs(v_ids, v_tokens, 'cancelled');
    PERFORM pgq.cancel_job(j.job_id, reason => 'not needed') FROM pgq.list_jobs('done', 'ready', max_jobs => 300) AS j;

    -- Running, backing off, given back.
    SELECT array_agg(p.job_id), array_agg(p.lease_token) INTO v_ids, v_tokens FROM pgq.pick_jobs(ARRAY['work'], 300, 'one that fails') AS p;
    PERFORM pgq.release_jobs(v_ids, v_tokens, 'failed', errors => array_fill('try again'::text, ARRAY[300]));
    SELECT array_agg(p.job_id), array_agg(p.lease_token) INTO v_ids, v_tokens FROM pgq.pick_jobs(ARRAY['work'], 300) AS p;
    PERFORM pgq.release_jobs(v_ids, v_tokens, 'paused', delay_milliseconds => 10);
    PERFORM pgq.pick_jobs(ARRAY['work', 'work limited', 'work groups'], 400, 'one that dies');

    -- Keys: of a job that waits, of one that is finished and throttles.
    PERFORM pgq.add_job('keys', '1', unique_key => 'waits');
    PERFORM pgq.add_job('keys throttled', '2', unique_key => 'throttles', on_conflict => 'throttle', throttle_milliseconds => 3600000);
    SELECT array_agg(p.job_id), array_agg(p.lease_token) INTO v_ids, v_tokens FROM pgq.pick_jobs(ARRAY['keys throttled']) AS p;
    PERFORM pgq.release_jobs(v_ids, v_tokens, 'complete');

    -- Queues that are stopped, gone, restricted; endpoints with their secrets.
    PERFORM pgq.add_jobs('stopped', v_small[1:500]);
    PERFORM pgq.pause_queue('stopped', reason => 'the mail server moves');
    PERFORM pgq.add_job('gone', '1');
    PERFORM pgq.drop_queue('gone', force => true);
    PERFORM pgq.add_jobs('private', v_small[1:100]);
    PERFORM pgq.grant_access('report_worker', 'worker', queue_name => 'private');
    PERFORM pgq.allow_endpoint_host('*.example.com');
    PERFORM pgq.set_endpoint('sent', 'https://api.example.com/jobs', bearer_token_location => 'inline', headers => '{"x-team": "a"}', max_in_flight => 9);
    PERFORM pgq.set_endpoint_bearer_token('sent', 'token-one');
    PERFORM pgq.set_endpoint_signing_secret('sent');
    PERFORM pgq.set_endpoint_signing_secret('sent');
    PERFORM pgq.set_endpoint('sent by vault', 'https://api.example.com/more', bearer_token_location => 'supabase_vault', is_active => false);
    PERFORM pgq.set_endpoint_bearer_token('sent by vault', 'token-two');
    PERFORM pgq.add_jobs('sent', v_small[1:1000]);
    PERFORM pgq.pick_requests(20, 'one that dies');
    PERFORM pgq.announce_idle(ARRAY['work'], 'one that waits', 60000);
END
$$;
