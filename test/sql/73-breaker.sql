\i test/setup.psql
-- Breaker: an endpoint that fails is left alone, one that is overloaded gets less, and both come back.
BEGIN;
SELECT plan(44);

\i test/fixtures/clock.sql
\i test/fixtures/requests.sql

CREATE FUNCTION pg_temp.status(name text DEFAULT 'mail')
RETURNS text
LANGUAGE sql
AS $$
    SELECT format('%s, %s of %s, %s failures', s.breaker, s.in_flight, s.in_flight_limit, s.consecutive_failures)
    FROM pgq.endpoint_status(name) AS s
$$;
CREATE FUNCTION pg_temp.held_seconds()
RETURNS double precision
LANGUAGE sql
AS $$ SELECT EXTRACT(epoch FROM s.held_until - pgq._now())::double precision FROM pgq.endpoint_status('mail') AS s $$;
CREATE PROCEDURE pg_temp.restart()
LANGUAGE plpgsql
AS $$ BEGIN
    PERFORM pgq.set_queue_config('mail');
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', retry_backoff => 'fixed', pause_between_retries_milliseconds => 0, max_attempts => 1000);
    PERFORM pgq.set_endpoint('mail', 'https://example.com/', max_in_flight => 8);
    DELETE FROM sent;
END $$;

-- The breaker opens, tries, and closes

CALL pg_temp.restart();
SELECT is(pg_temp.status(), 'closed, 0 of 8, 0 failures', 'a new endpoint gets what it may have');
CALL pg_temp.add('mail', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j');
SELECT is(pg_temp.send(), 'a b c d e f g h', 'no more than max_in_flight');
SELECT is(pg_temp.status(), 'closed, 8 of 8, 0 failures', 'the status shows it');
SELECT is(pg_temp.answer('a', '500'), 'failed, ready, HTTP 500', 'one failure');
SELECT is(pg_temp.answer('b', '500'), 'failed, ready, HTTP 500', 'two');
SELECT is(pg_temp.answer('c', '200'), 'complete, complete', 'then a success');
SELECT is(pg_temp.status(), 'closed, 5 of 8, 0 failures', 'after which they are counted from the beginning');
SELECT is(pg_temp.answer_all('{"status_code": 500}', 'd', 'e', 'f', 'g'), 'failed ready, failed ready, failed ready, failed ready', 'four failures');
SELECT is(pg_temp.status(), 'closed, 1 of 8, 4 failures', 'do not open the breaker');
SELECT is(pg_temp.answer('h', '{"error": "connect ECONNREFUSED"}'), 'failed, ready, no answer: connect ECONNREFUSED', 'the fifth');
SELECT is(pg_temp.status(), 'open, 0 of 0, 5 failures', 'does');
SELECT is(
    (SELECT s.hold_reason FROM pgq.endpoint_status('mail') AS s), '5 failures in a row, the last: no answer: connect ECONNREFUSED', 'the status says why');
SELECT ok(pg_temp.held_seconds() BETWEEN 0.75 AND 1.25, 'for about a second');
SELECT is(pg_temp.send(), '', 'nothing is sent meanwhile');
CALL pg_temp.pass('1.3 seconds');
SELECT is(pg_temp.status(), 'half_open, 0 of 1, 5 failures', 'then it is half-open');
SELECT is(pg_temp.send(), 'a', 'and one request tries');
SELECT is(pg_temp.send(), '', 'only one');
SELECT is(pg_temp.answer('a', '502'), 'failed, ready, HTTP 502', 'it fails');
SELECT ok(pg_temp.held_seconds() BETWEEN 1.5 AND 2.5, 'the next pause is twice as long');
DO $$
DECLARE
    v_name text;
BEGIN
    FOR i IN 1..8 LOOP
        CALL pg_temp.pass('80 seconds');
        v_name := pg_temp.send();
        PERFORM pg_temp.answer(v_name, '500');
    END LOOP;
END
$$;
SELECT ok(pg_temp.held_seconds() BETWEEN 45 AND 75, 'but never longer than a minute or so');
CALL pg_temp.pass('80 seconds');
CREATE TEMPORARY TABLE probe AS SELECT pg_temp.send() AS name;
SELECT is((SELECT pg_temp.answer(p.name, '404') FROM probe AS p), 'failed, dead, HTTP 404', 'any answer of the endpoint itself');
SELECT is(pg_temp.status(), 'closed, 0 of 8, 0 failures', 'closes the breaker');
SELECT is(array_length(string_to_array(pg_temp.send(), ' '), 1), 8, 'and all goes on');

-- What counts, and what does not

CALL pg_temp.restart();
CALL pg_temp.add('mail', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
SELECT is(pg_temp.send(), 'a b c d e f g h', 'eight requests');
SELECT is(
    pg_temp.answer_all('{"status_code": 503}', 'a', 'b', 'c', 'd', 'e', 'f'),
    'failed ready, failed ready, failed ready, failed ready, failed ready, failed ready', 'six fail at once');
SELECT is(pg_temp.status(), 'open, 2 of 0, 5 failures', 'they count as one opening');
DO $$ BEGIN CALL pg_temp.pass('1.3 seconds'); END $$;
SELECT is(pg_temp.answer('g', '500'), 'failed, ready, HTTP 500', 'one that was sent before');
SELECT is(pg_temp.status(), 'half_open, 1 of 1, 5 failures', 'says nothing new when it fails');
SELECT is(pg_temp.answer('h', '200'), 'complete, complete', 'nor');
SELECT is(pg_temp.status(), 'half_open, 0 of 1, 5 failures', 'when it succeeds');
SELECT is(pg_temp.send(), 'a', 'a hanging request from before does not keep a try from being made');
SELECT is(pg_temp.answer('a', '{"given_back": true}'), 'paused, ready', 'a request that was not sent');
SELECT is(pg_temp.status(), 'half_open, 0 of 1, 5 failures', 'says nothing');
DO $$ BEGIN PERFORM pgq.set_endpoint_active('mail', true); END $$;
SELECT is(pg_temp.status(), 'closed, 0 of 8, 0 failures', 'whoever sets the endpoint active closes the breaker');

-- Back-pressure

CALL pg_temp.restart();
CALL pg_temp.add('mail', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't');
SELECT is(pg_temp.send(4), 'a b c d', 'four requests');
CALL pg_temp.pass('0.1 seconds');
SELECT is(
    pg_temp.answer_all('{"timed_out": true}', 'a', 'b', 'c'), 'failed ready, failed ready, failed ready', 'three time out');
SELECT is(pg_temp.status(), 'closed, 1 of 4, 3 failures', 'which halves the limit, once for all that were under way');
CALL pg_temp.pass('0.1 seconds');
SELECT is(pg_temp.answer('d', '{"timed_out": true}'), 'failed, ready, no answer within 15000 ms', 'for the last of them too');
SELECT is(pg_temp.status(), 'closed, 0 of 4, 4 failures', 'it is not halved again');
SELECT is(pg_temp.send(), 'e f g h', 'four may be under way now');
CALL pg_temp.pass('0.1 seconds');
SELECT is(pg_temp.answer_all('{"status_code": 200}', 'e', 'f', 'g', 'h'), 'complete complete, complete complete, complete complete, complete complete', 'all succeed');
SELECT is(pg_temp.status(), 'closed, 0 of 5, 0 failures', 'which makes it one more');
DO $$
DECLARE
    v_names text[];
BEGIN
    FOR i IN 1..10 LOOP
        CALL pg_temp.add('mail', 'x' || i, 'y' || i, 'z' || i);
        CALL pg_temp.pass('0.1 seconds');
        v_names := string_to_array(pg_temp.send(), ' ');
        PERFORM pg_temp.answer_all('{"status_code": 200}', VARIADIC v_names);
    END LOOP;
END
$$;
SELECT is(pg_temp.status(), 'closed, 0 of 8, 0 failures', 'until it is max_in_flight again');
DO $$
DECLARE
    v_names text[];
BEGIN
    FOR i IN 1..6 LOOP
        PERFORM pgq.add_jobs('mail', ARRAY(SELECT to_jsonb(format('%s-%s', i, n)) FROM generate_series(1, 8) AS n));
        CALL pg_temp.pass('4000 seconds');
        v_names := string_to_array(pg_temp.send(), ' ');
        CALL pg_temp.pass('0.1 seconds');
        PERFORM pg_temp.answer_all('{"status_code": 429, "headers": {"retry-after": "9"}}', VARIADIC v_names);
    END LOOP;
END
$$;
SELECT is(pg_temp.status(), 'closed, 0 of 1, 0 failures', 'it never falls below one');

SELECT * FROM finish();
ROLLBACK;
