-- Migration: {{name}}
-- Description: What the table holds

-- +++++ UP
CREATE TABLE example (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- +++++ DOWN
DROP TABLE example;
