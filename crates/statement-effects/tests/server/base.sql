-- What every case starts with.
CREATE TABLE customers (id int PRIMARY KEY, name text);
INSERT INTO customers VALUES (1, 'one'), (2, 'two');
CREATE VIEW names AS SELECT id, name FROM customers;
CREATE TABLE orders (id int PRIMARY KEY, customer int CONSTRAINT of_customer REFERENCES customers, total int);
INSERT INTO orders VALUES (1, 1, 10), (2, 2, 20);
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
CREATE UNIQUE INDEX totals_customer ON totals (customer);
CREATE TABLE items (
  id int NOT NULL, a int, label varchar(20), note text, price numeric(8, 2), made timestamp,
  CONSTRAINT positive CHECK (a > 0)
);
CREATE UNIQUE INDEX items_id ON items (id);
CREATE INDEX items_a ON items (a);
INSERT INTO items VALUES (1, 1, 'one', 'x', 1.5, '2026-01-01'), (2, 2, 'two', 'y', 2.5, '2026-01-02');
CREATE TABLE events (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 (id int, day date);
CREATE INDEX events_2025_id ON events_2025 (id);
INSERT INTO events VALUES (1, '2025-05-05');
INSERT INTO events_2026 VALUES (2, '2026-05-05');
CREATE SEQUENCE numbers;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN quantity AS int;
CREATE DOMAIN positive_quantity AS int CHECK (VALUE > 0);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch_items BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();
