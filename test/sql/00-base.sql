\i test/setup.psql
-- The clock, the errors, the version.
BEGIN;
SELECT plan(11);

SELECT matches(pgq.installed_version(), '^\d+\.\d+\.\d+$', 'the version has three numbers');

SELECT ok(pgq._now() > now(), 'the clock tells the time of the call, not of the transaction');

SELECT results_eq($$
    SELECT e.code, e.name FROM pgq.error_codes() AS e
$$, $$ VALUES
    ('JQ001', 'queue_not_found'),
    ('JQ002', 'job_not_found'),
    ('JQ003', 'lease_lost'),
    ('JQ004', 'job_in_another_state'),
    ('JQ005', 'queue_paused'),
    ('JQ006', 'endpoint_not_found'),
    ('JQ007', 'workflow_not_found'),
    ('JQ008', 'signal_token_not_found')
$$, 'the error codes are listed in order, each with the name that clients know it by');

SELECT is_empty($$
    SELECT e.code FROM pgq.error_codes() AS e WHERE e.meaning IS NULL OR e.meaning = ''
$$, 'every error code has a meaning');

SELECT is_empty($$
    SELECT p.proname, raised.code[1]
    FROM pg_proc AS p
    CROSS JOIN LATERAL regexp_matches(p.prosrc, '''(JQ\d+)''', 'g') AS raised (code)
    WHERE p.pronamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = 'pgq')
      AND raised.code[1] NOT IN (SELECT e.code FROM pgq.error_codes() AS e)
$$, 'no function raises an error code that is not listed');

-- What every check of an argument says

SELECT lives_ok($$ SELECT pgq._require(true, 'a word', NULL) $$, 'what is as required passes');
SELECT throws_ok(
    $$ SELECT pgq._require(false, 'a word', 'two words') $$,
    '22023', 'expected a word, got ''two words''',
    'a bad value raises 22023 with what was expected and what came');
SELECT throws_ok(
    $$ SELECT pgq._require(NULL, 'a word', NULL) $$,
    '22004', 'expected a word, got null',
    'a null raises 22004');
SELECT throws_ok(
    $$ SELECT pgq._require(NULL, 'a word', 'x') $$,
    '22023', 'expected a word, got ''x''',
    'a condition that is unknown is not met');
SELECT throws_ok(
    $$ SELECT pgq._require(false, 'a word', repeat('x', 5000)) $$,
    '22023', 'expected a word, got ''' || repeat('x', 100) || '''',
    'an error message shows no more than the first 100 characters of a value');
SELECT throws_ok(
    $$ SELECT pgq._require(false, '100 % of it', 'it''s') $$,
    '22023', 'expected 100 % of it, got ''it''''s''',
    'a value is quoted in an error message');

SELECT * FROM finish();
ROLLBACK;
