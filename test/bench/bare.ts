/**
 * The least that a job costs in SQL functions by the rules of speed: one lane and a history, and functions of the statements that
 * write them. No settings, checks, limits, groups or keys: what pgq has beside is the distance to these figures. What a watermark
 * is for, these jobs know by themselves: that of id n starts n microseconds after 1970.
 */

export const BARE_SCHEMA = `
  CREATE TABLE bare_job (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, start_after timestamptz NOT NULL, added_at timestamptz NOT NULL,
    lease_until timestamptz, lease_token bigint, picked_at timestamptz, queue_id integer NOT NULL, priority smallint NOT NULL,
    attempt smallint NOT NULL DEFAULT 0, payload jsonb NOT NULL
  ) WITH (fillfactor = 45);
  CREATE INDEX ON bare_job (queue_id, priority, start_after, job_id);
  CREATE TABLE bare_finished (
    job_id bigint NOT NULL, finished_at timestamptz NOT NULL, start_after timestamptz NOT NULL, added_at timestamptz NOT NULL,
    picked_at timestamptz NOT NULL, queue_id integer NOT NULL, priority smallint NOT NULL, attempt smallint NOT NULL,
    state text NOT NULL, payload jsonb NOT NULL
  );
  CREATE INDEX ON bare_finished (job_id);

  CREATE FUNCTION bare_add(payload jsonb) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp
  AS $$
  DECLARE
    v_now timestamptz := clock_timestamp();
    v_job_id bigint;
  BEGIN
    INSERT INTO bare_job AS j (start_after, added_at, queue_id, priority, payload) VALUES (v_now, v_now, 1, 0, payload)
    RETURNING j.job_id INTO v_job_id;
    RETURN v_job_id;
  END $$;

  CREATE FUNCTION bare_release_and_pick(done_id bigint, done_token bigint)
  RETURNS TABLE (job_id bigint, lease_token bigint, payload jsonb) LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan
  AS $$
  DECLARE
    v_now timestamptz := clock_timestamp();
    o record;
  BEGIN
    DELETE FROM bare_job AS j WHERE j.job_id = done_id AND j.lease_token = done_token
    RETURNING j.job_id, j.start_after, j.added_at, j.picked_at, j.queue_id, j.priority, j.attempt, j.payload INTO o;
    IF FOUND THEN
      INSERT INTO bare_finished (job_id, finished_at, start_after, added_at, picked_at, queue_id, priority, attempt, state, payload)
      VALUES (o.job_id, v_now, o.start_after, o.added_at, o.picked_at, o.queue_id, o.priority, o.attempt, 'complete', o.payload);
    END IF;
    RETURN QUERY
    UPDATE bare_job AS j SET lease_token = 1 + floor(random() * 9007199254740990)::bigint, lease_until = v_now + interval '30 seconds',
      attempt = j.attempt + 1, picked_at = v_now
    WHERE j.ctid = ANY (ARRAY(
      SELECT next.ctid FROM bare_job AS next
      WHERE next.queue_id = 1 AND next.priority = 0 AND next.start_after <= v_now AND next.lease_until IS NULL
        AND next.start_after >= to_timestamp(0) + (done_id - 100) * interval '1 microsecond'
      ORDER BY next.start_after, next.job_id
      LIMIT 1
      FOR UPDATE SKIP LOCKED))
    RETURNING j.job_id, j.lease_token, j.payload;
  END $$;`

/** For pgbench, whose variables are 0 before the first pick. */
export const bare_scripts = {
  add: (payload: string) => `SELECT bare_add(${payload});`,
  release_and_pick: 'SELECT job_id, lease_token, payload FROM bare_release_and_pick(:job_id::bigint, :lease_token::bigint) \\gset',
}

export const bareFill = (payload: string, count: number): string =>
  `INSERT INTO bare_job (start_after, added_at, queue_id, priority, payload) SELECT to_timestamp(0) + n * interval '1 microsecond', now(), 1, 0, (${payload})::jsonb FROM generate_series(1, ${count}) AS n`
