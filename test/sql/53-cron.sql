\i test/setup.psql
-- Cron expressions: how they are read, and the times that they mean, also where clocks change.
-- (sdk-ts/test/cron.test.ts compares thousands of random ones with a library.)
BEGIN;
SELECT plan(14);

CREATE FUNCTION pg_temp.next(cron text, after text, count integer DEFAULT 1, time_zone text DEFAULT 'UTC')
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), ', ' ORDER BY p.place)
    FROM pgq.preview_schedule(cron, time_zone, count, (after || '+00')::timestamptz) WITH ORDINALITY AS p (at, place)
$$;
CREATE TEMPORARY TABLE meant (cron text NOT NULL, after text NOT NULL, times text NOT NULL);
INSERT INTO meant (cron, after, times)
VALUES
    ('* * * * *', '2030-01-01 00:00:00', '2030-01-01 00:01:00, 2030-01-01 00:02:00'),
    ('* * * * * *', '2030-01-01 00:00:00.7', '2030-01-01 00:00:01, 2030-01-01 00:00:02'),
    ('*/15 * * * *', '2030-01-01 00:44:59', '2030-01-01 00:45:00, 2030-01-01 01:00:00'),
    ('5-10/5,30 8 * * *', '2030-01-01 08:05:00', '2030-01-01 08:10:00, 2030-01-01 08:30:00'),
    ('10 5 9-17/4 * * *', '2030-01-01 13:05:10', '2030-01-01 17:05:10, 2030-01-02 09:05:10'),
    ('0 0 31 * *', '2030-01-31 00:00:00', '2030-03-31 00:00:00, 2030-05-31 00:00:00'),
    ('0 0 29 2 *', '2096-03-01 00:00:00', '2104-02-29 00:00:00, 2108-02-29 00:00:00'),
    ('0 0 L * *', '2028-01-31 00:00:00', '2028-02-29 00:00:00, 2028-03-31 00:00:00'),
    ('0 0 15,L 2 *', '2030-01-01 00:00:00', '2030-02-15 00:00:00, 2030-02-28 00:00:00'),
    ('0 0 * JAN,Dec fri-SUN', '2030-01-31 00:00:00', '2030-12-01 00:00:00, 2030-12-06 00:00:00'),
    ('0 0 * * 7', '2030-01-01 00:00:00', '2030-01-06 00:00:00, 2030-01-13 00:00:00'),
    ('0 0 * * 5-7', '2030-01-05 00:00:00', '2030-01-06 00:00:00, 2030-01-11 00:00:00'),
    ('0 0 10 * mon', '2030-01-07 00:00:00', '2030-01-10 00:00:00, 2030-01-14 00:00:00'),
    ('0 0 ? 2 *', '2030-01-01 00:00:00', '2030-02-01 00:00:00, 2030-02-02 00:00:00'),
    ('@hourly', '2030-01-01 00:00:00', '2030-01-01 01:00:00, 2030-01-01 02:00:00'),
    ('@daily', '2030-01-01 00:00:00', '2030-01-02 00:00:00, 2030-01-03 00:00:00'),
    ('@Midnight', '2030-01-01 00:00:00', '2030-01-02 00:00:00, 2030-01-03 00:00:00'),
    ('@weekly', '2030-01-01 00:00:00', '2030-01-06 00:00:00, 2030-01-13 00:00:00'),
    ('@monthly', '2030-01-01 00:00:00', '2030-02-01 00:00:00, 2030-03-01 00:00:00'),
    (' @yearly ', '2030-01-01 00:00:00', '2031-01-01 00:00:00, 2032-01-01 00:00:00'),
    ('@annually', '2030-01-01 00:00:00', '2031-01-01 00:00:00, 2032-01-01 00:00:00'),
    (E'\t0   0 1\n1 * ', '2030-01-01 00:00:00', '2031-01-01 00:00:00, 2032-01-01 00:00:00');
SELECT is_empty($$
    SELECT m.cron, n.times FROM meant AS m CROSS JOIN LATERAL pg_temp.next(m.cron, m.after, 2) AS n (times)
    WHERE n.times IS DISTINCT FROM m.times
$$, 'an expression means the times that it says');

-- What is wrong is told

CREATE FUNCTION pg_temp.refusal(cron text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pgq.preview_schedule(cron);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN format('%s %s', SQLSTATE, SQLERRM);
END
$$;
SELECT is_empty($$
    SELECT c.cron, pg_temp.refusal(c.cron)
    FROM unnest(ARRAY['', '* * * *', '* * * * * * *', '@reboot', 'daily', E'* *\u00a0* * *']) AS c (cron)
    WHERE pg_temp.refusal(c.cron) IS DISTINCT FROM format('22023 expected cron to have five fields '
        '(minute, hour, day, month, weekday), or six with the second first, or to be a word such as @daily, got %L', c.cron)
$$, 'what has not five or six fields is refused');
SELECT is_empty($$
    SELECT c.cron, pg_temp.refusal(c.cron)
    FROM (VALUES ('60 * * * *', 'minute', '60'), ('-1 * * * *', 'minute', '-1'), ('1, * * * *', 'minute', ''),
        ('*/0 * * * *', 'minute', '*/0'), ('*/61 * * * *', 'minute', '*/61'), ('5/10 * * * *', 'minute', '5/10'),
        ('20-10 * * * *', 'minute', '20-10'), ('5* * * * *', 'minute', '5*'), ('* 24 * * *', 'hour', '24'),
        ('60 * * * * *', 'second', '60'), ('0 0 0 * *', 'day', '0'), ('0 0 32 * *', 'day', '32'), ('0 0 L-2 * *', 'day', 'L-2'),
        ('0 0 15W * *', 'day', '15W'), ('0 0 ,L * *', 'day', ''), ('0 0 * 13 *', 'month', '13'), ('0 0 * JANUARY *', 'month', 'JANUARY'),
        ('0 0 * MON *', 'month', 'MON'), ('0 0 * * 8', 'weekday', '8'), ('0 0 * * SUN#1', 'weekday', 'SUN#1'),
        ('0 0 * * L', 'weekday', 'L'), ('0 0 * * 5-2', 'weekday', '5-2')) AS c (cron, field, item)
    WHERE pg_temp.refusal(c.cron) NOT LIKE format('22023 expected the %s of cron to be * or numbers from %%, got %L', c.field, c.item)
$$, 'a part that is wrong is named, and its field');
SELECT is(pg_temp.next('0 0 30 2 *', '2030-01-01 00:00:00'), NULL, 'a day that never comes gives no time');
SELECT throws_ok(
    format('SELECT pgq.preview_schedule(%L, %L)', '@daily', z.name), '22023',
    format('expected time_zone to be UTC or a name such as Europe/Berlin, got %L', z.name),
    'not a time zone, or one that surprises: ' || z.name)
FROM unnest(ARRAY['Europe/Nowhere', 'CET', 'UTC+2']) AS z (name);

-- Clocks change. Berlin: on 2030-03-31 from 02:00 to 03:00 (01:00 UTC), on 2030-10-27 from 03:00 back to 02:00 (01:00 UTC).

SELECT is(
    pg_temp.next('30 2 * * *', '2030-03-30 00:00:00', 3, 'Europe/Berlin'),
    '2030-03-30 01:30:00, 2030-03-31 01:00:00, 2030-04-01 00:30:00',
    'a time that is left out comes at the end of the gap');
SELECT is(
    pg_temp.next('0,20,40 2,3 * * *', '2030-03-31 00:00:00', 3, 'Europe/Berlin'),
    '2030-03-31 01:00:00, 2030-03-31 01:20:00, 2030-03-31 01:40:00',
    'several that are left out come once, also together with one that is not');
SELECT is(
    pg_temp.next('30 2 * * *', '2030-10-26 00:00:00', 3, 'Europe/Berlin'),
    '2030-10-26 00:30:00, 2030-10-27 00:30:00, 2030-10-28 01:30:00',
    'a time that comes twice counts once, the first time');
SELECT is(
    pg_temp.next('*/30 1-3 * * *', '2030-10-27 00:20:00', 3, 'Europe/Berlin'),
    '2030-10-27 00:30:00, 2030-10-27 02:00:00, 2030-10-27 02:30:00',
    'so does each time of an hour that comes twice');
SELECT is(
    pg_temp.next('30 * * * *', '2030-03-31 00:00:00', 2, 'Europe/Berlin'), '2030-03-31 00:30:00, 2030-03-31 01:30:00',
    'when every hour is meant, none is missed and none comes double in spring');
SELECT is(
    pg_temp.next('30 * * * *', '2030-10-27 00:00:00', 3, 'Europe/Berlin'),
    '2030-10-27 00:30:00, 2030-10-27 01:30:00, 2030-10-27 02:30:00', 'nor in autumn: both passes of an hour count');
-- Lord Howe changes by half an hour: on 2030-04-07 at 02:00 back to 01:30 (2030-04-06 15:00 UTC).
SELECT is(
    pg_temp.next('45 1 * * *', '2030-04-06 00:00:00', 2, 'Australia/Lord_Howe'), '2030-04-06 14:45:00, 2030-04-07 15:15:00',
    'clocks may change by half an hour');

SELECT * FROM finish();
ROLLBACK;
