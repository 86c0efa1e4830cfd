\i test/setup.psql
-- Allowed hosts: the list of those that endpoints may have.
BEGIN;
SELECT plan(5);

CREATE FUNCTION pg_temp.refusal(query text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE query;
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    RETURN concat(SQLSTATE, ' ', split_part(SQLERRM, ', got ', 1));
END
$$;

DO $$ BEGIN
    PERFORM pgq.allow_endpoint_host('Api.Example.com');
    PERFORM pgq.allow_endpoint_host('*.example.org');
    PERFORM pgq.allow_endpoint_host('*.example.org');
    PERFORM pgq.allow_endpoint_host('[2606:4700::1111]');
END $$;
SELECT is(pgq.allowed_endpoint_hosts(), '{*.example.org,[2606:4700::1111],api.example.com}', 'hosts are allowed, by name or by pattern');
SELECT set_eq($$
    SELECT u.url FROM unnest(ARRAY['https://api.example.com/x', 'https://API.example.com.:8443', 'https://a.example.org', 'https://a.b.example.org/',
        'https://[2606:4700::1111]/', 'https://example.com', 'https://x.api.example.com', 'https://api.example.com.evil.net', 'https://example.org',
        'https://evilexample.org', 'https://api-example.com', 'https://8.8.8.8', 'https://apixexample.com']) AS u (url)
    WHERE pg_temp.refusal(format('SELECT pgq._check_host_allowed(%L)', u.url)) = 'none'
$$, ARRAY['https://api.example.com/x', 'https://API.example.com.:8443', 'https://a.example.org', 'https://a.b.example.org/', 'https://[2606:4700::1111]/'],
    'then no others are');
SELECT is_empty($$
    SELECT p.pattern FROM unnest(ARRAY[NULL, '', '*', '*.', 'example.*', 'a*.example.com', 'https://example.com', 'example.com/x', 'example.com:443',
        'exa mple.com', '.example.com', 'example.com.', '*.*.com', '*.[::1]', repeat('x', 256)]) AS p (pattern)
    WHERE pg_temp.refusal(format('SELECT pgq.allow_endpoint_host(%L)', p.pattern))
        NOT SIMILAR TO '(22023|22004) expected pattern to be a host such as api.example.com or \*.example.com'
$$, 'a pattern that is no host is refused');
DO $$ BEGIN
    PERFORM pgq.disallow_endpoint_host('*.EXAMPLE.org');
    PERFORM pgq.disallow_endpoint_host('never.example.org');
END $$;
SELECT is(pgq.allowed_endpoint_hosts(), '{[2606:4700::1111],api.example.com}', 'what was allowed can be taken back');
DO $$ BEGIN PERFORM pgq.disallow_endpoint_host(h) FROM unnest(pgq.allowed_endpoint_hosts()) AS h; END $$;
SELECT lives_ok($$ SELECT pgq._check_host_allowed('https://anything.example.net') $$, 'without a list all hosts are allowed');

SELECT * FROM finish();
ROLLBACK;
