CREATE SCHEMA club; SET search_path TO club;
CREATE TABLE members (id integer PRIMARY KEY, name varchar(40), joined date, credit numeric(8,2));
INSERT INTO members VALUES (1, 'Ada', '2020-01-31', 10.50), (2, 'Béla', '2021-06-30', 0.00), (3, 'Chloë', NULL, -3.25);
