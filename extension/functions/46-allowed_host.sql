-- Allowed hosts: the owner's list of those that endpoints may have at all. Without a list all may be.

-- Writes: endpoint_allowed_host.
CREATE OR REPLACE FUNCTION @extschema@.allow_endpoint_host(pattern text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO @extschema@.endpoint_allowed_host (pattern)
    VALUES (@extschema@._host_pattern(allow_endpoint_host.pattern))
    ON CONFLICT ON CONSTRAINT endpoint_allowed_host_pkey DO NOTHING;
END
$$;
COMMENT ON FUNCTION @extschema@.allow_endpoint_host IS
    'Allows endpoints to have this host: a name such as api.example.com, all names below one (*.example.com), or an address. As long as nothing is allowed by name all hosts are; from the first call on only those that are on the list, when an endpoint is set and at each request. Private addresses need is_insecure_allowed of the endpoint all the same. Errors: 22004, 22023.';

-- Writes: deletes from endpoint_allowed_host.
CREATE OR REPLACE FUNCTION @extschema@.disallow_endpoint_host(pattern text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM @extschema@.endpoint_allowed_host AS a
    WHERE a.pattern = @extschema@._host_pattern(disallow_endpoint_host.pattern);
END
$$;
COMMENT ON FUNCTION @extschema@.disallow_endpoint_host IS
    'Takes back what allow_endpoint_host gave; endpoints with that host are no longer called. When the last entry of the list goes, all hosts are allowed again. Errors: 22004, 22023.';

CREATE OR REPLACE FUNCTION @extschema@.allowed_endpoint_hosts()
RETURNS text[]
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT a.pattern FROM @extschema@.endpoint_allowed_host AS a ORDER BY a.pattern);
END
$$;
COMMENT ON FUNCTION @extschema@.allowed_endpoint_hosts IS
    'Returns the hosts that allow_endpoint_host has allowed; empty: all hosts are allowed.';

CREATE OR REPLACE FUNCTION @extschema@._check_host_allowed(url text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_host text := @extschema@._url_host(url);
BEGIN
    PERFORM @extschema@._require(
        NOT EXISTS (SELECT FROM @extschema@.endpoint_allowed_host) OR EXISTS (
            SELECT FROM @extschema@.endpoint_allowed_host AS a
            WHERE a.pattern = v_host
               OR (left(a.pattern, 2) = '*.' AND right(v_host, length(a.pattern) - 1) = substr(a.pattern, 2))),
        'url to have a host that allow_endpoint_host has allowed', v_host);
END
$$;
COMMENT ON FUNCTION @extschema@._check_host_allowed IS
    'Internal: raises 22023 when there is a list of allowed hosts and the host of this url is not on it.';

CREATE OR REPLACE FUNCTION @extschema@._host_pattern(pattern text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(octet_length(pattern) <= 255 AND
        pattern ~* '^((\*\.)?[0-9a-z_-]+(\.[0-9a-z_-]+)*|\[[0-9a-f:.]+\])$',
        'pattern to be a host such as api.example.com or *.example.com', pattern);
    RETURN lower(pattern);
END
$$;
COMMENT ON FUNCTION @extschema@._host_pattern IS
    'Internal: a pattern of allow_endpoint_host in lower case; raises 22023 or 22004 when it is none.';
