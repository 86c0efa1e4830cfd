\i test/setup.psql
-- Addresses: which urls, hosts and headers a request may have.
BEGIN;
SELECT plan(18);

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
CREATE FUNCTION pg_temp.url_refusal(url text, is_insecure_allowed boolean DEFAULT false)
RETURNS text
LANGUAGE sql
AS $$ SELECT pg_temp.refusal(format('SELECT pgq._check_url(%L, %L)', url, is_insecure_allowed)) $$;

-- Urls

SELECT is_empty($$
    SELECT u.url, pg_temp.url_refusal(u.url)
    FROM unnest(ARRAY['https://example.com', 'https://example.com/', 'https://api.example.com:8443/hooks/a?b=c&d=%20',
        'HTTPS://Example.COM/x', 'https://example.com.', 'https://my_host.example-1.com/@user', 'https://xn--bcher-kva.example/',
        'https://8.8.8.8/', 'https://134744072/', 'https://0x08080808', 'https://[2606:4700::1111]:443/x',
        'https://example.com?query', 'https://example.com/a:b/c@d', 'https://example.com/' || repeat('x', 2028)]) AS u (url)
    WHERE pg_temp.url_refusal(u.url) <> 'none'
$$, 'a url of the public internet is allowed');
SELECT is_empty($$
    SELECT u.url, pg_temp.url_refusal(u.url)
    FROM (VALUES
        ('scheme', 'http://example.com/'), ('scheme', 'ftp://example.com/'), ('scheme', 'file:///etc/passwd'),
        ('scheme', 'https:/example.com/'), ('scheme', 'https:example.com'), ('scheme', '//example.com'), ('scheme', ''),
        ('scheme', 'javascript:alert(1)'), ('scheme', 'gopher://example.com:25/'), ('scheme', 'httpss://example.com'),
        ('characters', ' https://example.com/'), ('characters', 'https://example.com/ '), ('characters', E'https://example.com/\n'),
        ('characters', E'https://example.com/\tx'), ('characters', E'https://exa\rmple.com/'), ('characters', 'https://example.com\@evil.com/'),
        ('characters', 'https://exämple.com/'), ('characters', 'https://example。com/'), ('characters', E'https://example.com/\u0001'),
        ('characters', E'https://example.com/\u007f'),
        ('user info', 'https://user@example.com/'), ('user info', 'https://user:pass@example.com/'), ('user info', 'https://@example.com'),
        ('user info', 'https://example.com@10.0.0.1/'), ('user info', 'https://example.com:443@10.0.0.1/'),
        ('fragment', 'https://example.com/#x'), ('fragment', 'https://example.com#@evil.com/'),
        ('host', 'https://'), ('host', 'https:///x'), ('host', 'https://?x'), ('host', 'https://:443/'), ('host', 'https://.example.com/'),
        ('host', 'https://example..com/'), ('host', 'https://example.com../'), ('host', 'https://example.com:/'),
        ('host', 'https://example.com:0/'), ('host', 'https://example.com:65536/'), ('host', 'https://example.com:x/'),
        ('host', 'https://exam%70le.com/'), ('host', 'https://1.2.3.4.5/'), ('host', 'https://256.1.1.1/'), ('host', 'https://1.1.256.0x1/'),
        ('host', 'https://08.8.8.8/'), ('host', 'https://4294967296/'), ('host', 'https://0x100000000/'), ('host', 'https://1.2.65536/'),
        ('host', 'https://example.0x/x.'), ('host', 'https://[::1'), ('host', 'https://[1.2.3.4]/'), ('host', 'https://[fe80::1%25eth0]/'),
        ('host', 'https://[::g]/'), ('host', 'https://[]/'), ('host', 'https://a,b.com/'), ('host', 'https://' || repeat('a.', 130) || 'com/'),
        ('host', 'https://99999999999999999999999.com.99999999999999999999/'),
        ('long', 'https://example.com/' || repeat('x', 2029))
    ) AS u (why, url)
    WHERE pg_temp.url_refusal(u.url) NOT LIKE '22023 %' || CASE u.why
        WHEN 'scheme' THEN 'url to begin with https:// (or http://, with is_insecure_allowed)'
        WHEN 'characters' THEN 'url to have visible ASCII characters only, and no backslash'
        WHEN 'user info' THEN 'url to have no user info'
        WHEN 'fragment' THEN 'url to have no fragment'
        WHEN 'host' THEN 'url to have a host name or address, and a port from 1 to 65535 if any'
        WHEN 'long' THEN 'url to be at most 2048 bytes long' END
$$, 'a url that is none, or that two parsers may read differently, is refused');
CREATE TEMPORARY TABLE private (host text NOT NULL);
INSERT INTO private (host)
VALUES ('localhost'), ('LOCALHOST'), ('localhost.'), ('app.localhost'), ('db'), ('printer.local'), ('metadata.google.internal'),
       ('box.lan'), ('router.home.arpa'), ('127.0.0.1'), ('127.1'), ('127.255.255.254'), ('2130706433'), ('0x7f000001'), ('0x7F.1'),
       ('0177.0.0.1'), ('0000000000000177.1'), ('017700000001'), ('0'), ('0x'), ('0.0.0.0'), ('10.0.0.1'), ('10.255.255.255'), ('100.64.0.1'),
       ('100.127.255.255'), ('169.254.169.254'), ('0xa9fea9fe'), ('2852039166'), ('172.16.0.1'), ('172.31.255.255'),
       ('192.168.0.1'), ('192.168.257'), ('198.18.0.1'), ('192.0.2.1'), ('224.0.0.1'), ('240.0.0.1'), ('255.255.255.255'), ('127.0.0.1.'),
       ('[::]'), ('[::1]'), ('[0:0:0:0:0:0:0:1]'), ('[::ffff:127.0.0.1]'), ('[::ffff:a9fe:a9fe]'), ('[::ffff:8.8.8.8]'), ('[::7f00:1]'),
       ('[64:ff9b::a9fe:a9fe]'), ('[fc00::1]'), ('[fd12:3456::1]'), ('[fe80::1]'), ('[FE80::1]'), ('[fec0::1]'), ('[ff02::1]'), ('[2001:db8::1]'),
       ('[2002:7f00:1::]'), ('[2001::1]'), ('[100::1]');
SELECT is_empty($$
    SELECT p.host, pg_temp.url_refusal('https://' || p.host || '/x')
    FROM private AS p
    WHERE pg_temp.url_refusal('https://' || p.host || '/x')
        <> '22023 expected url to have a public host (a private or local one needs is_insecure_allowed)'
$$, 'a private or local host is refused, however it is written');
SELECT is_empty($$
    SELECT p.host, u.scheme, pg_temp.url_refusal(u.scheme || '://' || p.host || ':8080/x', true)
    FROM private AS p CROSS JOIN unnest(ARRAY['http', 'https']) AS u (scheme)
    WHERE pg_temp.url_refusal(u.scheme || '://' || p.host || ':8080/x', true) <> 'none'
$$, 'is_insecure_allowed lets it pass, and http');
SELECT is_empty($$
    SELECT u.url, pg_temp.url_refusal(u.url, true)
    FROM unnest(ARRAY['ftp://localhost', 'http://user@localhost', 'http://local host', 'http://localhost/#', 'http://[::1', 'http://256.0.0.1']) AS u (url)
    WHERE pg_temp.url_refusal(u.url, true) = 'none'
$$, 'but nothing else');
SELECT is(pg_temp.url_refusal(NULL), '22004 expected url to be at most 2048 bytes long', 'a null is no url');
SELECT is_empty($$
    SELECT a.host, pgq._ipv4(a.host)
    FROM (VALUES ('1.2.3.4', '1.2.3.4'), ('1.2.772', '1.2.3.4'), ('1.131844', '1.2.3.4'), ('16909060', '1.2.3.4'), ('0x01.02.0x3.04', '1.2.3.4'),
                 ('0x0000000000001020304', '1.2.3.4'), ('000000000000100401404', '1.2.3.4'), ('4294967295', '255.255.255.255'),
                 ('0xffffffff', '255.255.255.255'), ('037777777777', '255.255.255.255')) AS a (host, address)
    WHERE pgq._ipv4(a.host) IS DISTINCT FROM a.address::inet
$$, 'addresses are read as clients read them');

CREATE FUNCTION pg_temp.message(url text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pgq._check_url(url, false);
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END
$$;
SELECT is_empty($$
    SELECT pg_temp.message(u.url)
    FROM unnest(ARRAY['https://user:hunter2@example.com/', 'https:user:hunter2@example.com/', 'https://hunter2@', 'http://example.com/?key=hunter2',
        'https://localhost?hunter2', 'https://example.com/#hunter2', 'https://example.com:x?hunter2', E'https://example.com/?hunter2\n', 'https://a\b@hunter2@c.com',
        'https://example.com/' || repeat('x', 3000) || '?hunter2', 'ftp://x/?a#hunter2', 'https://a:hunter2/b@c']) AS u (url)
    WHERE pg_temp.message(u.url) LIKE '%hunter2%' OR pg_temp.message(u.url) = 'none'
$$, 'an error shows no user info, and no query');

-- Fuzz: a host that is let through is never an address in other clothes

SELECT is_empty($$
    SELECT f.host
    FROM (SELECT CASE i % 4 WHEN 0 THEN format('%s.%s.%s.%s', n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255)
                            WHEN 1 THEN n::text
                            WHEN 2 THEN format('0x%s', to_hex(n))
                            ELSE format('%s.0x%s', n >> 24, to_hex(n & 16777215)) END AS host,
                 '0.0.0.0'::inet + n AS address
          FROM (SELECT i, (random() * 4294967295)::bigint AS n FROM generate_series(1, 2000) AS i) AS r) AS f
    WHERE pgq._ipv4(f.host) IS DISTINCT FROM f.address
       OR pgq._is_public_host(f.host) <> (pg_temp.url_refusal('https://' || f.host) = 'none')
$$, 'thousands of random addresses in all forms are read right');

-- Headers

CREATE FUNCTION pg_temp.headers_refusal(headers jsonb, has_bearer_token boolean DEFAULT false)
RETURNS text
LANGUAGE sql
AS $$ SELECT pg_temp.refusal(format('SELECT pgq._check_endpoint_headers(%L, %L)', headers, has_bearer_token)) $$;
SELECT is_empty($$
    SELECT h.headers, pg_temp.headers_refusal(h.headers)
    FROM unnest(ARRAY[NULL, '{}', '{"X-Team": "mail"}', '{"apikey": "a b;c=\"d\""}', '{"x": ""}', '{"a.b_c!#$%&''*+^`|~": "1"}',
        '{"authorization": "Basic eDp5"}', '{"accept": "application/json"}']::jsonb[]) AS h (headers)
    WHERE pg_temp.headers_refusal(h.headers) <> 'none'
$$, 'headers may have any name that a request does not have anyway');
SELECT is(
    pg_temp.headers_refusal('{"Authorization": "Basic eDp5"}', true),
    '22023 expected headers to have no name that each request has anyway', 'beside a bearer token there is no other authorization');
SELECT is_empty($$
    SELECT n.name, pg_temp.headers_refusal(jsonb_build_object(n.name, 'x'))
    FROM unnest(ARRAY['Host', 'content-type', 'Content-Length', 'CONTENT-ENCODING', 'Accept-Encoding', 'Transfer-Encoding', 'connection', 'upgrade', 'te',
        'webhook-id', 'Webhook-Signature', 'webhook-x', 'proxy-authorization', 'traceparent', 'user-agent', 'expect']) AS n (name)
    WHERE pg_temp.headers_refusal(jsonb_build_object(n.name, 'x')) <> '22023 expected headers to have no name that each request has anyway'
$$, 'those that a request has anyway are refused');
SELECT is_empty($$
    SELECT n.name, pg_temp.headers_refusal(jsonb_build_object(n.name, 'x'))
    FROM unnest(ARRAY['', ' ', 'a b', 'a:b', E'a\r\nb', E'a\n', 'ä', '(a)', 'a,b', 'a"b', 'a/b', E'a\u0001', '🐘']) AS n (name)
    WHERE pg_temp.headers_refusal(jsonb_build_object(n.name, 'x')) <> '22023 expected headers to have names of letters, digits and hyphens'
$$, 'a name that is no token is refused');
SELECT is_empty($$
    SELECT v.value, pg_temp.headers_refusal(jsonb_build_object('x', v.value))
    FROM unnest(ARRAY['"a\r\nEvil: b"', '"a\n"', '"\r"', '"a\tb"', '" a"', '"a "', '" "', '"ä"', '"\u0001"', '"\u007f"', '"🐘"', '1', 'null', '{}', '[]', 'true']::jsonb[]) AS v (value)
    WHERE pg_temp.headers_refusal(jsonb_build_object('x', v.value))
        <> '22023 expected headers to have values that are strings of visible ASCII characters'
$$, 'a value that would break the request, or is no string, is refused');
SELECT is(pg_temp.headers_refusal('{"X-A": "1", "x-a": "2"}'), '22023 expected headers to have each name once', 'a name may stand once only, in whatever case');
SELECT is(pg_temp.headers_refusal('[]'), '22023 expected headers to be a json object', 'an array is no headers');
SELECT is(
    pg_temp.headers_refusal(jsonb_build_object('x', repeat('x', 16400))), '22023 expected headers to have at most 16384 bytes', 'nor may they be huge');
SELECT throws_ok(
    $$ SELECT pgq._check_endpoint_headers('{"x-key": "secret\n"}', false) $$, '22023',
    'expected headers to have values that are strings of visible ASCII characters, got ''x-key''', 'the error does not show the value');

SELECT * FROM finish();
ROLLBACK;
