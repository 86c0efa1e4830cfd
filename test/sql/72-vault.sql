\i test/setup.psql
-- Vault: bearer tokens that are kept there, and what happens where there is none.
BEGIN;
SELECT plan(18);

-- Without Vault

SELECT throws_ok(
    $$ SELECT pgq.set_endpoint('mail', 'https://example.com/', bearer_token_location => 'supabase_vault') $$,
    '55000', 'Vault is not installed in this database, or the owner of this queue may not use it', 'without Vault no endpoint can keep its token there');
SELECT is((SELECT count(*) FROM pgq.endpoint), 0::bigint, 'then there is no endpoint');
SELECT lives_ok(
    $$ SELECT pgq.set_endpoint('mail', 'https://example.com/', bearer_token_location => 'inline') $$, 'all else works without it');

-- With it

\i test/support/vault.sql
SELECT is(
    (SELECT e.bearer_token_location FROM pgq.set_endpoint('mail', 'https://example.com/', bearer_token_location => 'supabase_vault') AS e),
    'supabase_vault', 'with Vault it can, when Vault came later too');
SELECT is(pgq.get_endpoint_bearer_token('mail'), NULL, 'there is no token yet');
DO $$ BEGIN PERFORM pgq.set_endpoint_bearer_token('mail', 'token-one'); END $$;
SELECT is(pgq.get_endpoint_bearer_token('mail'), 'token-one', 'a token that is set can be read back');
SELECT results_eq(
    $$ SELECT s.secret, s.description FROM vault.secrets AS s $$,
    $$ VALUES (encode('token-one', 'hex'), 'pgq: bearer token for the endpoint of queue "mail"') $$, 'it is in Vault, which encrypts it');
SELECT is_empty($$ SELECT s.queue_id FROM pgq.endpoint_secret AS s $$, 'and nowhere else');
SELECT ok((SELECT e.has_bearer_token FROM pgq.get_endpoint('mail') AS e), 'the settings tell that there is one');
DO $$ BEGIN PERFORM pgq.set_endpoint_bearer_token('mail', 'token-two'); END $$;
SELECT results_eq(
    $$ SELECT s.secret FROM vault.secrets AS s $$, $$ VALUES (encode('token-two', 'hex')) $$, 'a new token takes the place of the old one');
DO $$ BEGIN PERFORM pgq.add_job('mail', '1'); END $$;
SELECT is(
    (SELECT r.headers ->> 'authorization' FROM pgq.pick_requests() AS r), 'Bearer token-two', 'requests carry it');

-- Vault out of order

DO $$ BEGIN
    PERFORM pgq.add_job('mail', '2');
    PERFORM pgq.set_endpoint('post', 'https://example.com/');
    PERFORM pgq.add_job('post', '3');
    CREATE OR REPLACE FUNCTION vault._crypto_aead_det_decrypt(message text)
    RETURNS text
    LANGUAGE sql
    IMMUTABLE
    AS $f$ SELECT (1 / (message IS NULL)::integer)::text || message $f$;
END $$;
SELECT results_eq(
    $$ SELECT r.queue_name FROM pgq.pick_requests() AS r $$, $$ VALUES ('post') $$,
    'when Vault cannot tell the token, other endpoints go on');
SELECT is(
    (SELECT s.hold_reason FROM pgq.endpoint_status('mail') AS s), 'its bearer token cannot be read (SQLSTATE 22012)', 'and the status says why');
DO $$ BEGIN
    CREATE OR REPLACE FUNCTION vault._crypto_aead_det_decrypt(message text)
    RETURNS text
    LANGUAGE sql
    IMMUTABLE
    AS $f$ SELECT convert_from(decode(message, 'hex'), 'UTF8') $f$;
    DELETE FROM vault.secrets;
END $$;
SELECT is(pgq.get_endpoint_bearer_token('mail'), NULL, 'a token that was deleted from Vault is no more');
DO $$ BEGIN PERFORM pgq.set_endpoint_bearer_token('mail', 'token-three'); END $$;
SELECT is(pgq.get_endpoint_bearer_token('mail'), 'token-three', 'and can be set anew');

-- The token goes with what it is for

DO $$ BEGIN PERFORM pgq.set_endpoint_bearer_token('mail', NULL); END $$;
SELECT is_empty($$ SELECT s.id FROM vault.secrets AS s $$, 'a token that is taken away is deleted from Vault');
DO $$ BEGIN
    PERFORM pgq.set_endpoint_bearer_token('mail', 'token-four');
    PERFORM pgq.set_endpoint('mail', 'https://example.com/', bearer_token_location => 'inline');
END $$;
SELECT is_empty($$ SELECT s.id FROM vault.secrets AS s $$, 'so is that of an endpoint whose token has another place');
DO $$ BEGIN
    PERFORM pgq.set_endpoint('mail', 'https://example.com/', bearer_token_location => 'supabase_vault');
    PERFORM pgq.set_endpoint_bearer_token('mail', 'token-five');
    PERFORM pgq.drop_queue('mail', force => true);
END $$;
SELECT is_empty($$ SELECT s.id FROM vault.secrets AS s $$, 'and that of a queue that is dropped');

SELECT * FROM finish();
ROLLBACK;
