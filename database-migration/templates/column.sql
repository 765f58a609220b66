-- Migration: {{name}}
-- Description: What the column holds

-- +++++ UP
-- A constant default rewrites no row.
ALTER TABLE example ADD COLUMN amount BIGINT NOT NULL DEFAULT 0;

-- +++++ DOWN
ALTER TABLE example DROP COLUMN amount;
