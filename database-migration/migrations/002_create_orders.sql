-- Migration: create_orders
-- Description: Orders with an optional coupon code

-- +++++ UP
CREATE TABLE orders (
    id VARCHAR(50) PRIMARY KEY,
    coupon_code VARCHAR(50),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_orders_created_at ON orders (created_at);

-- +++++ DOWN
DROP TABLE orders;
