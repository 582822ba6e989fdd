INSERT INTO bookings VALUES (4, 'Dan', 3, 99999.99);
UPDATE bookings SET nights = 3, price = 270.00 WHERE id = 1;
UPDATE bookings SET guest = NULL WHERE id = 2;
DELETE FROM bookings WHERE id = 3;
UPDATE bookings SET price = 271.50 WHERE id = 1;
