SET search_path TO club;
INSERT INTO members VALUES (4, 'Dan', '2024-02-29', 99999.99);
UPDATE members SET credit = 11.75 WHERE id = 1;
UPDATE members SET name = 'Bela', credit = NULL WHERE id = 2;
DELETE FROM members WHERE id = 3;
UPDATE members SET credit = 12.00 WHERE id = 1;
