CREATE TYPE @extschema@.step_state AS (
    job_id bigint,
    outputs jsonb,
    children jsonb,
    signal jsonb,
    once jsonb,
    failure text,
    attempt integer
);
COMMENT ON TYPE @extschema@.step_state IS
    'What the step at which a run stands may know: outputs of the steps done, by their ids; children and signal that it waited for, null when it did not (or the signal did not come in time); once: what it remembered; failure: set when the step is not to be done but compensated.';

CREATE TYPE @extschema@.finished_step AS (
    job_id bigint,
    lease_token bigint,
    state text
);
COMMENT ON TYPE @extschema@.finished_step IS
    'What became of a run when its step was finished: state as in get_job, or lost when the lease no longer held.';

-- Where a run goes: see _move_runs.
CREATE TYPE @extschema@.run_move AS (
    job_id bigint,
    lease_token bigint,
    step text,
    start_after timestamptz,
    held_by text,
    progress jsonb,
    outcome text,
    error text
);
COMMENT ON TYPE @extschema@.run_move IS
    'Internal: the step that a run comes to, when, what it waits for before, and what it carries with it; outcome and error are those of the attempt that ends, null when none does.';

CREATE TYPE @extschema@.step_plan AS (
    moves @extschema@.run_move[],
    done bigint[],
    done_steps text[],
    waiting bigint[],
    waiting_nexts jsonb[],
    undone bigint[],
    undone_tokens bigint[],
    ended bigint[],
    ended_tokens bigint[],
    ended_outputs jsonb[],
    stranded bigint[],
    stranded_tokens bigint[],
    impossible text
);
COMMENT ON TYPE @extschema@.step_plan IS
    'Internal: what becomes of runs whose steps are finished: those that go on (moves, of which some then wait), were undone by a step, have ended, or stand at a step that is gone; done are those that leave a step; impossible is a next that leads nowhere.';
