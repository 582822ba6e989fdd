CREATE SCHEMA ledger; SET search_path TO ledger;
CREATE TABLE entries (id integer PRIMARY KEY, account text, amount numeric(20,4), booked timestamptz);
INSERT INTO entries SELECT i, 'Konto ü' || i % 3, i * 1000000.0001, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' FROM generate_series(1, 12) AS i;
