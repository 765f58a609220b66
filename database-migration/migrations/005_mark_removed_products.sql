-- Migration: mark_removed_products
-- Description: When a product was taken out of the range; NULL while it is offered

-- +++++ UP
ALTER TABLE products ADD COLUMN removed_at TIMESTAMP WITH TIME ZONE;

-- +++++ DOWN
ALTER TABLE products DROP COLUMN removed_at;
