SELECT id, title, year, rating, seen FROM films ORDER BY id
