"""Uses the store through clickhouse-connect the way an analyst does; prints "ok" when everything held."""

import datetime
import sys

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError

host, port, writer, writer_password, reader, reader_password = sys.argv[1:7]


def client(user, password, **more):
    return clickhouse_connect.get_client(
        host=host, port=int(port), username=user, password=password, database="weir", **more
    )


def fails(code, action):
    try:
        action()
    except DatabaseError as error:
        assert f"code: {code}" in str(error).lower() or f"code {code}" in str(error).lower(), error
        return
    raise AssertionError(f"expected error {code}")


w = client(writer, writer_password, compress="zstd")
r = client(reader, reader_password)

w.command("CREATE OR REPLACE TABLE py (id UInt64, at DateTime64(3), s LowCardinality(String), m Map(String, String), n Nullable(Float64)) ENGINE = MergeTree ORDER BY id")
at = datetime.datetime(2026, 11, 20, 10, 0, 0, 123000)
rows = [[i, at, f"s{i % 3}\n\nDROP TABLE py", {"k": "v"}, None if i % 2 else i / 2] for i in range(5000)]
assert w.insert("py", rows, column_names=["id", "at", "s", "m", "n"]).written_rows == 5000
plain = client(writer, writer_password, compress=False)
plain.insert("py", [[9999, at, "x", {}, None]], column_names=["id", "at", "s", "m", "n"])

got = r.query("SELECT * FROM py ORDER BY id LIMIT 2").result_rows
assert got[0] == (0, at, "s0\n\nDROP TABLE py", {"k": "v"}, 0.0), got
assert r.query("SELECT count() AS c FROM py").first_item == {"c": 5001}
assert r.query("SELECT {a:String} AS a, {b:UInt8} AS b", parameters={"a": "it's\nme", "b": 5}).first_row == ("it's\nme", 5)
assert r.query("SELECT number FROM numbers(300000)").row_count == 300000
assert r.query("SELECT id FROM py WHERE 0").result_rows == []
assert "py" in r.command("SHOW TABLES")
assert [c[0] for c in r.query("DESCRIBE TABLE py").result_rows][:2] == ["id", "at"]
with r.query_row_block_stream("SELECT number FROM numbers(200000)") as stream:
    assert sum(len(block) for block in stream) == 200000
assert r.query("SELECT 1", settings={"max_execution_time": 5, "max_threads": 1}).first_row == (1,)

fails(60, lambda: r.query("SELECT * FROM nope"))
fails(497, lambda: r.query("SELECT file('/etc/passwd')"))
fails(164, lambda: r.command("DROP TABLE py"))
fails(516, lambda: client("x", "y"))
fails(48, lambda: client(writer, writer_password, compress="lz4").insert("py", rows[:10], column_names=["id", "at", "s", "m", "n"]))
fails(395, lambda: r.query("SELECT throwIf(number = 2000000), toString(number) FROM numbers(3000000)"))

print("ok")
