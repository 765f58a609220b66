-- Migration: {{name}}
-- Description: Which queries need the index
-- Transaction: none

-- +++++ UP
-- Rows may be written while the index is built.
CREATE INDEX CONCURRENTLY example_name_index ON example (name);

-- +++++ DOWN
DROP INDEX CONCURRENTLY IF EXISTS example_name_index;
