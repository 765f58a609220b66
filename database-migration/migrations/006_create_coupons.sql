-- Migration: create_coupons
-- Description: The coupon codes that are valid

-- +++++ UP
-- lint-ignore prefer-text-field: the length of a code is a rule of the coupons and not a guess
CREATE TABLE coupons (
    code VARCHAR(10) PRIMARY KEY CHECK (char_length(code) BETWEEN 8 AND 10)
);

-- +++++ DOWN
DROP TABLE coupons;
