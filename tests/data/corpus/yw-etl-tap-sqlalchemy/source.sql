CREATE TABLE films (id INTEGER PRIMARY KEY, title TEXT, year INTEGER, rating REAL, seen TEXT, poster BLOB);
INSERT INTO films VALUES (1, 'Léon', 1994, 8.5, '2024-02-29 20:15:00', NULL), (2, 'no "title"', NULL, NULL, NULL, NULL), (9007199254740993, '', -1, 1e-7, '', NULL);
