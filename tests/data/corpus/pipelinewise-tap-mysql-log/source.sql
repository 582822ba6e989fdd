CREATE TABLE bookings (id integer NOT NULL PRIMARY KEY, guest varchar(20), nights integer, price decimal(7,2)) CHARACTER SET utf8mb4;
INSERT INTO bookings VALUES (1, 'Ada', 2, 180.00), (2, 'Béla', 1, 95.50), (3, 'Chloë', 7, 601.25);
