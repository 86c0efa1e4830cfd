
-- Endpoints

DO $$ BEGIN
    PERFORM @extschema@.allow_endpoint_host('example.com');
    PERFORM @extschema@.set_endpoint('pgq test: endpoint', 'https://example.com/');
    PERFORM @extschema@.set_endpoint_signing_secret('pgq test: endpoint', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
END $$;
CALL pg_temp.add('pgq test: endpoint', 'sent');
CREATE TEMPORARY TABLE request AS
SELECT r.job_id, r.lease_token, r.url, r.headers, r.body
FROM @extschema@.pick_requests(queue_names => ARRAY['pgq test: endpoint'], dispatcher => 'server test') AS r;
SELECT is((SELECT r.body::jsonb ->> 'payload' FROM request AS r), 'sent', 'a job of an endpoint becomes a request');
SELECT matches((SELECT r.headers ->> 'webhook-signature' FROM request AS r), '^v1,[A-Za-z0-9+/]{43}=$', 'that is signed');
SELECT is(
    (SELECT o.state FROM request AS r, @extschema@.answer_requests(jsonb_build_array(jsonb_build_object(
        'job_id', r.job_id, 'lease_token', r.lease_token, 'status_code', 200))) AS o), 'complete', 'and complete when it is answered');

CREATE FUNCTION pg_temp.vault_keeps(token text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM @extschema@.set_endpoint('pgq test: endpoint', 'https://example.com/', bearer_token_location => 'supabase_vault');
    PERFORM @extschema@.set_endpoint_bearer_token('pgq test: endpoint', token);
    RETURN @extschema@.get_endpoint_bearer_token('pgq test: endpoint') = token;
END
$$;
SELECT CASE WHEN EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'supabase_vault')
    THEN ok(pg_temp.vault_keeps('a token'), 'Vault keeps a bearer token')
    ELSE skip('Vault is not installed', 1) END;
-- Once it has been started (start_native_dispatcher), it must work.
SELECT CASE WHEN h.schedule IS NOT NULL
    THEN is(h.problems, '{}', 'the dispatcher inside Postgres works')
    ELSE skip('the dispatcher inside Postgres is not in use', 1) END
FROM @extschema@.native_health() AS h;
