-- Watermarks: a scan that had to step over many dead or running rows leaves, in a setting of the
-- session, the position below which it found nothing, and the next scan begins there. So nobody reads
-- the graveyard of finished jobs twice while an old snapshot keeps it from being cleaned. What comes
-- to be below the mark (a late commit, a lease that ran out) is met by the next scan from the
-- beginning, which is due after ten times the time that the last one took, and after a tenth of a second at the
-- earliest. Where many sessions write, each does so less often, down to once a second: they do it for each other.
-- A scan is slow by what it read, and not by the time it took: among many busy sessions most of that is waiting.

CREATE OR REPLACE FUNCTION @extschema@._scan_work(index regclass)
RETURNS bigint
LANGUAGE sql
VOLATILE
PARALLEL SAFE
RETURN pg_catalog.pg_stat_get_xact_tuples_returned(index) OPERATOR(pg_catalog.+)
    (4 OPERATOR(pg_catalog.*) pg_catalog.pg_stat_get_xact_blocks_fetched(index));
COMMENT ON FUNCTION @extschema@._scan_work IS
    'Internal: grows with what this session reads by the index: 1 for an entry that it follows, 4 for a page. Stands still without track_counts. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._is_slow(work bigint, allowed bigint, took interval)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN COALESCE(NULLIF(work, 0) OPERATOR(pg_catalog.>) allowed, took OPERATOR(pg_catalog.>) interval '20 milliseconds');
COMMENT ON FUNCTION @extschema@._is_slow IS
    'Internal: whether a scan that read so much, and was allowed so much, is worth a watermark; by the time it took where work is not counted. Without a search_path of its own, and with each argument once, so that it is inlined.';

-- What a mark says: the time and the id of a position, and until when scans begin there. A pick asks for each by
-- itself, which is cheaper than the three as a row.
CREATE OR REPLACE FUNCTION @extschema@._is_marked(noted text, at timestamptz)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN COALESCE(pg_catalog.to_timestamp(
    NULLIF(pg_catalog.split_part(noted, '|', 3), '')::double precision) OPERATOR(pg_catalog.>) at, false);
COMMENT ON FUNCTION @extschema@._is_marked IS
    'Internal: whether a scan begins at the mark that says this, and not at the beginning. As the others of its kind without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._marked_at(noted text)
RETURNS timestamptz
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.to_timestamp(pg_catalog.split_part(noted, '|', 1)::double precision);
COMMENT ON FUNCTION @extschema@._marked_at IS 'Internal: the time of the position that is noted in a mark.';

CREATE OR REPLACE FUNCTION @extschema@._marked_id(noted text)
RETURNS bigint
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.split_part(noted, '|', 2)::bigint;
COMMENT ON FUNCTION @extschema@._marked_id IS 'Internal: the id of the position that is noted in a mark, among those of that time.';

CREATE OR REPLACE FUNCTION @extschema@._watermark(mark text, at timestamptz)
RETURNS @extschema@.watermark
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN CASE WHEN @extschema@._is_marked(pg_catalog.current_setting(mark, true), at)
    THEN ROW(@extschema@._marked_at(pg_catalog.current_setting(mark, true)),
             @extschema@._marked_id(pg_catalog.current_setting(mark, true)), true)::@extschema@.watermark
    ELSE ROW('-infinity', 0, false)::@extschema@.watermark END;
COMMENT ON FUNCTION @extschema@._watermark IS
    'Internal: where the scan that has this mark begins now; mark is the name of a setting of the session, at is the time.';

CREATE OR REPLACE FUNCTION @extschema@._note_scan(
    mark text,
    was_set boolean,
    is_slow boolean,
    took interval,
    found_at timestamptz,
    found_id bigint,
    at timestamptz
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_full_scan_at double precision;
BEGIN
    IF is_slow THEN
        v_full_scan_at := CASE
            WHEN was_set THEN split_part(current_setting(mark), '|', 3)::double precision
            ELSE EXTRACT(epoch FROM at + GREATEST(took * 10, interval '100 milliseconds' * (1 + LEAST(9, (
                SELECT count(*) FROM txid_snapshot_xip(txid_current_snapshot())))))) END;
        PERFORM set_config(mark,
            concat_ws('|', EXTRACT(epoch FROM found_at), found_id, v_full_scan_at), false);
    ELSIF NOT was_set AND current_setting(mark, true) <> '' THEN
        PERFORM set_config(mark, '', false);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._note_scan IS
    'Internal: moves the mark to the position at which a slow scan found its first row; a fast scan from the beginning takes the mark away.';
