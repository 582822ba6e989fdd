import datetime, sys
from bson import Decimal128, Int64, ObjectId, Binary, Regex, Timestamp
from pymongo import MongoClient

when = datetime.datetime(2024, 2, 29, 23, 59, 59, 123000)
people = [
    {
        "_id": ObjectId("65e0000000000000000000a1"),
        "name": "Ada",
        "born": when,
        "score": 12.5,
        "big": Int64(9007199254740993),
        "paid": Decimal128("12345678901234567890.10"),
        "tags": ["a", 1, None],
        "home": {"city": "Köln", "geo": [50.9375, 6.9603]},
        "ok": True,
        "gone": None,
    },
    {
        "_id": ObjectId("65e0000000000000000000a2"),
        "name": None,
        "score": 3,
        "big": Int64(-1),
        "tags": [],
        "home": {"city": "Oslo", "floor": {"n": 2}},
        "raw": Binary(b"\x00\xff"),
        "ok": False,
    },
    {
        "_id": ObjectId("65e0000000000000000000a3"),
        "name": ["two", "names"],
        "score": "n/a",
        "home": None,
        "line": "a\nb 😀",
    },
]
client = MongoClient(sys.argv[1], serverSelectionTimeoutMS=10000)
client[sys.argv[2]][sys.argv[3]].insert_many(people)
