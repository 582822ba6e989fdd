-- A table with a column of every type that Postgres has by itself (but xml, which the server of the test lacks).
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN cents AS integer CHECK (VALUE >= 0);
CREATE TYPE place AS (street text, number integer);
CREATE TABLE kinds AS SELECT
  i AS id,
  (i % 32768)::smallint AS c_smallint, (i * 100003)::integer AS c_integer, i * 400000000000007::bigint AS c_bigint,
  (i / 7.0)::numeric AS c_numeric, (i * 1.00001)::numeric(20,5) AS c_numeric_20_5,
  (i / 3.0)::real AS c_real, (i / 3.0)::double precision AS c_double, (i * 1.5)::text::money AS c_money,
  i % 2 = 0 AS c_boolean,
  ('c' || i % 100)::char(5) AS c_char, ('v''"\' || i)::varchar(40) AS c_varchar,
  ('text ' || i || chr(10) || chr(9) || 'ü€😀') AS c_text, ('n' || i)::name AS c_name,
  decode(lpad(to_hex(i), 8, '0'), 'hex') AS c_bytea,
  date '1990-01-01' + i AS c_date, time '00:00' + i * interval '1.000001 second' AS c_time,
  timetz '00:00+02' + i * interval '1 second' AS c_timetz,
  timestamp '1999-12-31 23:59:59.123456' + i * interval '1 hour' AS c_timestamp,
  timestamptz '1999-12-31 23:59:59.5+05:30' + i * interval '1 hour' AS c_timestamptz,
  i * interval '1 day 1 second' AS c_interval,
  md5(i::text)::uuid AS c_uuid,
  json_build_object('a', i, 'b', json_build_array(i, 'x', null)) AS c_json, jsonb_build_object('a', i, 'n', i / 7.0) AS c_jsonb,
  ('10.0.' || i % 256 || '.1')::inet AS c_inet, ('10.' || i % 256 || '.0.0/16')::cidr AS c_cidr,
  '08:00:2b:01:02:03'::macaddr AS c_macaddr, '08:00:2b:01:02:03:04:05'::macaddr8 AS c_macaddr8,
  (i % 256)::bit(8) AS c_bit, (i % 256)::bit(8)::varbit AS c_varbit,
  point(i, i / 2.0) AS c_point, line(point(0, 0), point(1, i)) AS c_line, lseg(point(0, 0), point(1, i)) AS c_lseg,
  box(point(0, 0), point(1, i)) AS c_box, '((0,0),(1,1),(2,0))'::path AS c_path,
  '((0,0),(1,1),(2,0))'::polygon AS c_polygon, circle(point(0, 0), i) AS c_circle,
  int4range(i, i + 5) AS c_int4range, int8range(i, NULL) AS c_int8range, numrange(i / 2.0, i) AS c_numrange,
  tsrange(NULL, timestamp '2020-01-01' + i * interval '1 day') AS c_tsrange,
  tstzrange(timestamptz '2020-01-01 00:00+00', NULL) AS c_tstzrange, daterange('2020-01-01', date '2020-01-02' + i) AS c_daterange,
  int4multirange(int4range(i, i + 1), int4range(i + 3, i + 4)) AS c_int4multirange,
  to_tsvector('simple', 'a ' || i) AS c_tsvector, to_tsquery('simple', 'a & b' || i) AS c_tsquery,
  '16/B374D848'::pg_lsn AS c_pg_lsn, '10:20:10,14,15'::pg_snapshot AS c_pg_snapshot, i::oid AS c_oid, '$.a[*]'::jsonpath AS c_jsonpath,
  (CASE WHEN i % 2 = 0 THEN 'happy' ELSE 'sad' END)::mood AS c_enum, i::cents AS c_domain, ROW('s' || i, i)::place AS c_composite,
  ARRAY[i, NULL, 3] AS c_int_array, ARRAY['a' || i, NULL, 'b,"'] AS c_text_array, ARRAY[i / 7.0, 1.50] AS c_numeric_array,
  ARRAY[timestamptz '2020-01-01 00:00+00'] AS c_timestamptz_array, ARRAY[[i, 2], [3, 4]] AS c_matrix, ARRAY[jsonb_build_object('a', i)] AS c_jsonb_array
FROM generate_series(1, 20000) AS i;
ALTER TABLE kinds ADD PRIMARY KEY (id);
INSERT INTO kinds (id) VALUES (0);
