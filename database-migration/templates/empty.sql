-- Migration: {{name}}
-- Description: What this migration is for

-- +++++ UP
-- The SQL that applies it

-- +++++ DOWN
-- The SQL that undoes it
