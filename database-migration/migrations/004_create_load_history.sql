-- Migration: create_load_history
-- Description: What database-load did in each run, and the rows that it refused

-- +++++ UP
-- The loader makes these tables from this section where they are missing.
CREATE TABLE IF NOT EXISTS load_run (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    data_set TEXT NOT NULL,
    table_name TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('loaded', 'unchanged', 'failed')),
    source_hash TEXT,
    mapping_hash TEXT,
    table_state TEXT,
    checksum TEXT,
    rows_read BIGINT NOT NULL DEFAULT 0,
    rows_valid BIGINT NOT NULL DEFAULT 0,
    rows_rejected BIGINT NOT NULL DEFAULT 0,
    rows_inserted BIGINT NOT NULL DEFAULT 0,
    rows_updated BIGINT NOT NULL DEFAULT 0,
    rows_unchanged BIGINT NOT NULL DEFAULT 0,
    rows_marked BIGINT NOT NULL DEFAULT 0,
    rows_deleted BIGINT NOT NULL DEFAULT 0,
    rows_kept BIGINT NOT NULL DEFAULT 0,
    bytes_read BIGINT NOT NULL DEFAULT 0,
    duration_ms BIGINT NOT NULL DEFAULT 0,
    trace_id TEXT,
    problem TEXT,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX IF NOT EXISTS idx_load_run_data_set ON load_run (data_set, id);

CREATE TABLE IF NOT EXISTS load_reject (
    run_id BIGINT NOT NULL REFERENCES load_run (id) ON DELETE CASCADE,
    -- lint-ignore prefer-bigint-over-int: it counts the rejected rows of one run, far from the limit of an int
    position INTEGER NOT NULL,
    file TEXT NOT NULL,
    line BIGINT NOT NULL,
    column_name TEXT,
    reason TEXT NOT NULL,
    value TEXT,
    record BYTEA,
    PRIMARY KEY (run_id, position)
);

-- +++++ DOWN
DROP TABLE load_reject;
DROP TABLE load_run;
