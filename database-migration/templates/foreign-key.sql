-- Migration: {{name}}
-- Description: What the reference means
-- Transaction: none

-- +++++ UP
-- New rows are checked from here on. Both steps may be repeated.
ALTER TABLE example
    DROP CONSTRAINT IF EXISTS example_parent_id_fkey,
    ADD CONSTRAINT example_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES parent (id) NOT VALID;
-- Those that are there already, while others may be written.
ALTER TABLE example VALIDATE CONSTRAINT example_parent_id_fkey;

-- +++++ DOWN
ALTER TABLE example DROP CONSTRAINT IF EXISTS example_parent_id_fkey;
