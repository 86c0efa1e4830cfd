-- Addresses: which urls and headers an endpoint may have. They are checked when they are set and again when something
-- is sent. The server's network is not the public's: without these checks who may set an endpoint could reach into it.
-- What is not covered is a public name that resolves to a private address: that is for a firewall.

CREATE OR REPLACE FUNCTION @extschema@._check_url(url text, is_insecure_allowed boolean)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What errors show: a password or a key in the query is not for logs.
    v_shown text := regexp_replace(split_part(split_part(url, '#', 1), '?', 1), '^.*@', '…@');
    v_host text;
BEGIN
    -- The checks are made in one expression first: a call costs more than all of them.
    IF (octet_length(url) <= 2048 AND url ~ '^[!-~]*$' COLLATE "C" AND strpos(url, '\') = 0
        AND url ~* '^https://[^@#]*$'
        AND CASE WHEN is_insecure_allowed THEN @extschema@._url_host(url) IS NOT NULL
                 ELSE @extschema@._is_public_host(@extschema@._url_host(url)) END) THEN
        RETURN;
    END IF;
    PERFORM @extschema@._require(octet_length(url) <= 2048, 'url to be at most 2048 bytes long', v_shown);
    -- A backslash is a slash to some parsers and none to others.
    PERFORM @extschema@._require(url ~ '^[!-~]*$' COLLATE "C" AND strpos(url, '\') = 0,
        'url to have visible ASCII characters only, and no backslash', v_shown);
    PERFORM @extschema@._require(url ~* '^https://' OR (is_insecure_allowed AND url ~* '^http://'),
        'url to begin with https:// (or http://, with is_insecure_allowed)', v_shown);
    PERFORM @extschema@._require(strpos(url, '#') = 0, 'url to have no fragment', v_shown);
    PERFORM @extschema@._require(url !~ '^[^/]*//[^/?]*@', 'url to have no user info', v_shown);
    v_host := @extschema@._url_host(url);
    PERFORM @extschema@._require(v_host IS NOT NULL,
        'url to have a host name or address, and a port from 1 to 65535 if any', v_shown);
    PERFORM @extschema@._require(is_insecure_allowed OR @extschema@._is_public_host(v_host),
        'url to have a public host (a private or local one needs is_insecure_allowed)', v_shown);
END
$$;
COMMENT ON FUNCTION @extschema@._check_url IS
    'Internal: raises 22023 (22004 for a null) for a url that no request may go to; is_insecure_allowed lets http and private addresses pass.';

CREATE OR REPLACE FUNCTION @extschema@._url_host(url text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_host constant text := '^https?://(\[[0-9a-f:.]+\]|[0-9a-z_-]+(?:\.[0-9a-z_-]+)*\.?)(?::([0-9]{1,5}))?(?:[/?].*)?$';
    v_parts text[] := regexp_match(url, c_host, 'i');
    v_host text := lower(rtrim(v_parts[1], '.'));
BEGIN
    IF octet_length(v_host) > 253 OR v_parts[2]::integer NOT BETWEEN 1 AND 65535 THEN
        RETURN NULL;
    ELSIF left(v_host, 1) = '[' THEN
        RETURN CASE WHEN @extschema@._ipv6(v_host) IS NOT NULL THEN v_host END;
    ELSIF @extschema@._is_number(v_host) THEN
        RETURN CASE WHEN @extschema@._ipv4(v_host) IS NOT NULL THEN v_host END;
    END IF;
    RETURN v_host;
END
$$;
COMMENT ON FUNCTION @extschema@._url_host IS
    'Internal: the host of a url in lower case, an IPv6 address in its brackets; null when there is no valid one.';

-- What is an address follows the URL standard (url.spec.whatwg.org), by which clients read 0x7f.1 as 127.0.0.1.
CREATE OR REPLACE FUNCTION @extschema@._is_number(host text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN host ~ '(^|\.)([0-9]+|0x[0-9a-f]*)$';
COMMENT ON FUNCTION @extschema@._is_number IS
    'Internal: whether clients take this host for an IPv4 address: its last part is a number.';

CREATE OR REPLACE FUNCTION @extschema@._ipv4(host text)
RETURNS inet
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_parts text[] := string_to_array(host, '.');
    v_count integer := cardinality(v_parts);
    v_part text;
    v_number bigint;
    v_address bigint := 0;
BEGIN
    IF v_count > 4 OR octet_length(host) > 60 THEN
        RETURN NULL;
    END IF;
    FOR v_place IN 1..v_count LOOP
        v_part := v_parts[v_place];
        v_number := CASE
            WHEN v_part ~ '^0x0*[0-9a-f]{0,8}$' THEN ('x' || lpad(ltrim(substr(v_part, 3), '0'), 16, '0'))::bit(64)::bigint
            WHEN v_part ~ '^00*[0-7]{0,11}$' THEN (
                SELECT COALESCE(sum(d.digit::bigint * 8 ^ (d.place - 1)), 0)::bigint
                FROM string_to_table(reverse(v_part), NULL) WITH ORDINALITY AS d (digit, place)
                WHERE d.digit <> '0')
            WHEN v_part ~ '^[1-9][0-9]{0,9}$' THEN v_part::bigint END;
        -- The last part fills all the bytes that are left.
        IF (v_number < CASE WHEN v_place < v_count THEN 256 ELSE 256 ^ (5 - v_count) END) IS NOT TRUE THEN
            RETURN NULL;
        END IF;
        v_address := v_address + v_number * CASE WHEN v_place < v_count THEN 256 ^ (4 - v_place) ELSE 1 END;
    END LOOP;
    RETURN '0.0.0.0'::inet + v_address;
END
$$;
COMMENT ON FUNCTION @extschema@._ipv4 IS
    'Internal: the IPv4 address that a host is, of up to four decimal, octal (0…) or hexadecimal (0x…) numbers; null when it is not valid.';

CREATE OR REPLACE FUNCTION @extschema@._ipv6(host text)
RETURNS inet
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_address inet;
BEGIN
    v_address := btrim(host, '[]')::inet;
    RETURN CASE family(v_address) WHEN 6 THEN v_address END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._ipv6 IS
    'Internal: the IPv6 address in these brackets; null when it is not valid.';

CREATE OR REPLACE FUNCTION @extschema@._is_public_host(host text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- IANA special-purpose address registries (RFC 6890 and its updates).
    c_private constant inet[] := '{
        0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.0.2.0/24,
        192.88.99.0/24, 192.168.0.0/16, 198.18.0.0/15, 198.51.100.0/24, 203.0.113.0/24, 224.0.0.0/3,
        2001::/23, 2001:db8::/32, 2002::/16, 3fff::/20}'::inet[];
BEGIN
    IF left(host, 1) = '[' THEN
        -- All else is local, or holds an IPv4 address.
        RETURN COALESCE(@extschema@._ipv6(host) << '2000::/3' AND NOT @extschema@._ipv6(host) <<= ANY (c_private), false);
    ELSIF @extschema@._is_number(host) THEN
        RETURN COALESCE(NOT @extschema@._ipv4(host) <<= ANY (c_private), false);
    END IF;
    RETURN strpos(host, '.') > 0 AND host !~ '\.(localhost|local|localdomain|internal|intranet|lan|home|corp|private|home\.arpa)$';
END
$$;
COMMENT ON FUNCTION @extschema@._is_public_host IS
    'Internal: whether a host, as _url_host gives it, is neither a private address nor a name that only a local network knows.';

CREATE OR REPLACE FUNCTION @extschema@._check_endpoint_headers(headers jsonb, has_bearer_token boolean)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What requests have of themselves, or what the client sets.
    c_reserved constant text := '^(content-(type|length|encoding)|accept-encoding|host|user-agent|connection|keep-alive|transfer-encoding'
        '|te|trailer|upgrade|expect|traceparent|tracestate|(webhook|proxy)-.*)$';
    v_header record;
BEGIN
    IF headers IS NULL OR headers = '{}' THEN
        RETURN;
    END IF;
    PERFORM @extschema@._require(jsonb_typeof(headers) = 'object', 'headers to be a json object', headers::text);
    PERFORM @extschema@._require(octet_length(headers::text) <= 16384,
        'headers to have at most 16384 bytes', octet_length(headers::text)::text);
    FOR v_header IN
        SELECT h.name, h.value, count(*) OVER (PARTITION BY lower(h.name)) AS times
        FROM jsonb_each(headers) AS h (name, value)
    LOOP
        PERFORM @extschema@._require(v_header.name ~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]+$' COLLATE "C",
            'headers to have names of letters, digits and hyphens', v_header.name);
        PERFORM @extschema@._require(lower(v_header.name) !~ c_reserved
            AND NOT (has_bearer_token AND lower(v_header.name) = 'authorization'),
            'headers to have no name that each request has anyway', v_header.name);
        PERFORM @extschema@._require(v_header.times = 1, 'headers to have each name once', v_header.name);
        -- The value may be meant for few eyes: the error has the name.
        PERFORM @extschema@._require(jsonb_typeof(v_header.value) = 'string'
            AND v_header.value #>> '{}' ~ '^([!-~]([ -~]*[!-~])?)?$' COLLATE "C",
            'headers to have values that are strings of visible ASCII characters', v_header.name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._check_endpoint_headers IS
    'Internal: raises 22023 for headers that no request may have; shows names, never values.';

-- What was checked once needs no second check as long as it is the same, and the checks are.
CREATE OR REPLACE FUNCTION @extschema@._address_checksum(
    url text,
    headers jsonb,
    bearer_token_location text,
    is_insecure_allowed boolean
)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.md5(pg_catalog.concat_ws(E'\n', @extschema@.installed_version(), url, headers, bearer_token_location,
    is_insecure_allowed));
COMMENT ON FUNCTION @extschema@._address_checksum IS
    'Internal: a checksum of all that decides whether a request may go out. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._address_trouble(
    url text,
    headers jsonb,
    has_bearer_token boolean,
    is_insecure_allowed boolean
)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_url(url, is_insecure_allowed);
    PERFORM @extschema@._check_endpoint_headers(headers, has_bearer_token);
    PERFORM @extschema@._check_host_allowed(url) WHERE EXISTS (SELECT FROM @extschema@.endpoint_allowed_host);
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN split_part(SQLERRM, ', got ', 1);
END
$$;
COMMENT ON FUNCTION @extschema@._address_trouble IS
    'Internal: why no request may go to this url, or with these headers; null when all is well.';
