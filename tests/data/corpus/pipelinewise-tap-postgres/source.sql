CREATE SCHEMA dock; SET search_path TO dock;
CREATE TABLE parcels (
  depot text, number bigint, weight numeric(10,3), worth numeric, packed date, sent timestamptz, arrived timestamp,
  insured boolean, ratio double precision, pieces integer, contents jsonb, marks text[], uid uuid, note text, photo bytea,
  PRIMARY KEY (depot, number));
INSERT INTO parcels VALUES
 ('Köln', 1, 12.500, 1234567890123456789.123456789, '2024-02-29', '2024-02-29 23:59:59.123456+00', '2024-03-01 08:00:00', true, 0.1, 3,
  '{"a": [1, 2.50, null], "b": {"c": "x"}}', '{fragile,"this side, up"}', '0a0b0c0d-0e0f-1011-1213-141516171819', E'two\nlines', '\x00ff10'),
 ('Köln', 9223372036854775807, -0.001, 0, '1899-12-31', '2024-07-01 12:00:00+02', '2024-07-01 12:00:00.5', false, 1e300, -2147483648,
  '[]', '{}', NULL, '', NULL),
 ('Oslo', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE readings (id integer PRIMARY KEY, value double precision, exact numeric, taken timestamptz);
INSERT INTO readings VALUES (1, 20.25, 20.25, '2024-05-01 10:00:00+00'), (2, 'NaN', 1, '2024-05-01 11:00:00+00'),
 (3, 3, 'NaN', '2024-05-01 12:00:00+00'), (4, 'Infinity', 4, '2024-05-01 13:00:00+00'), (5, 5, 5, 'infinity'), (6, 6, 6, '-infinity');
CREATE TABLE visits (page text, at timestamptz, seconds real);
INSERT INTO visits VALUES ('/', '2024-05-01 10:00:00+00', 1.5), ('/', '2024-05-01 10:00:00+00', 1.5), ('/about', NULL, NULL);
