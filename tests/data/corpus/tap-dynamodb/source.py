import sys
from decimal import Decimal

import boto3

client = boto3.resource(
    "dynamodb",
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id="x",
    aws_secret_access_key="x",
)
table = client.create_table(
    TableName="sensors",
    KeySchema=[{"AttributeName": "site", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
    AttributeDefinitions=[
        {"AttributeName": "site", "AttributeType": "S"},
        {"AttributeName": "number", "AttributeType": "N"},
    ],
    BillingMode="PAY_PER_REQUEST",
)
table.put_item(
    Item={
        "site": "Köln",
        "number": 1,
        "value": Decimal("12345678901234567890.123456789"),
        "tags": ["a", Decimal(1), None],
        "ok": True,
    }
)
table.put_item(
    Item={
        "site": "Köln",
        "number": Decimal("2.5"),
        "value": None,
        "spot": {"x": Decimal("0.1"), "deep": {"y": []}},
        "marks": {"b", "a"},
    }
)
table.put_item(
    Item={"site": "Oslo", "number": -3, "raw": b"\x00\xff", "numbers": {Decimal(1), Decimal("2.50")}}
)
