CREATE SCHEMA museum; SET search_path TO museum;
CREATE TABLE coins (id integer PRIMARY KEY, name text);
INSERT INTO coins VALUES (1, 'denarius'), (2, 'aureus');
CREATE TABLE finds (id integer PRIMARY KEY, name text, struck timestamp);
INSERT INTO finds VALUES (1, 'ring', '2024-05-01 10:00:00'), (2, 'coin of the dictator', '0044-03-15 12:00:00 BC');
