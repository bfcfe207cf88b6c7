-- What run_maintenance() did: a record of our own upkeep, not of anybody's data, so it goes with the
-- extension and is not dumped.
CREATE TABLE architect.maintenance_run (
    run_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at   timestamptz,
    failed_steps  integer,
    run_by        text NOT NULL
);
CREATE TABLE architect.maintenance_result (
    run_id        bigint NOT NULL REFERENCES architect.maintenance_run ON DELETE CASCADE,
    noted_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    step          text NOT NULL,
    object_name   text NOT NULL,
    action        text NOT NULL,
    detail        text NOT NULL
);
CREATE INDEX maintenance_result_run_id_idx ON architect.maintenance_result (run_id);
-- What workers sent to pg_cron's database bring back.
CREATE TABLE architect.maintenance_answer (
    token         bigint PRIMARY KEY,
    answered_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    sqlstate      text,
    answer        text NOT NULL
);
COMMENT ON TABLE architect.maintenance_answer IS 'What workers of schedule_maintenance() bring back from another database.';
REVOKE ALL ON architect.maintenance_run, architect.maintenance_result, architect.maintenance_answer FROM PUBLIC;
COMMENT ON TABLE architect.maintenance_run IS 'Runs of run_maintenance(). Read it through maintenance_status().';
COMMENT ON TABLE architect.maintenance_result IS 'What the steps of run_maintenance() did. Read it through maintenance_log().';
