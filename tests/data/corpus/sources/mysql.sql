CREATE TABLE rooms (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, floor tinyint, is_free tinyint(1), area decimal(8,2), rent decimal(30,10),
  ratio float, precise double, built year, opened date, cleaned datetime, checked timestamp(6) NULL, opens time,
  label varchar(30), kind enum('single','double'), extras set('tv','bath','balcony'), plan blob, facts json, flags bit(1), long_text mediumtext) CHARACTER SET utf8mb4;
INSERT INTO rooms VALUES
 (1, 3, 1, 20.50, 12345678901234567890.0123456789, 0.5, 0.1, 1999, '1999-12-31', '2024-02-29 10:00:00', '2024-02-29 10:00:00.123456', '07:30:00', 'Süd 😀', 'double', 'tv,bath', x'00ff', '{"beds": [1, 2], "view": null}', b'1', 'long'),
 (18446744073709551615, -1, 0, -0.01, 0, -1.25, 1e-7, 2024, '2024-01-01', '2024-01-01 00:00:00', NULL, '00:00:00', '', 'single', '', '', '[]', b'0', ''),
 (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE doors (floor integer, swipes integer) CHARACTER SET utf8mb4;
INSERT INTO doors VALUES (1, 10), (1, 10), (2, NULL);
