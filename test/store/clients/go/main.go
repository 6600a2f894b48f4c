// Uses the store through clickhouse-go over HTTP, as Grafana's plugin does; prints "ok" when everything held.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func expect(claim bool, words ...any) {
	if !claim {
		fmt.Println(append([]any{"not so:"}, words...)...)
		os.Exit(1)
	}
}

func open(address, user, password string, method clickhouse.CompressionMethod) driver.Conn {
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{address},
		Auth:        clickhouse.Auth{Database: "weir", Username: user, Password: password},
		Compression: &clickhouse.Compression{Method: method},
		Settings:    clickhouse.Settings{"max_execution_time": 30},
	})
	must(err)
	return conn
}

func failsWith(code int32, err error) {
	var exception *clickhouse.Exception
	found := errors.As(err, &exception) && exception.Code == code
	expect(found || (err != nil && strings.Contains(err.Error(), fmt.Sprintf("ode: %d", code))), "error", code, "got", err)
}

type row struct {
	ID   uint64            `ch:"id"`
	At   time.Time         `ch:"at"`
	S    string            `ch:"s"`
	M    map[string]string `ch:"m"`
	N    *float64          `ch:"n"`
	List []string          `ch:"list"`
}

func main() {
	address := os.Args[1]
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	w := open(address, os.Args[2], os.Args[3], clickhouse.CompressionGZIP)
	r := open(address, os.Args[4], os.Args[5], clickhouse.CompressionGZIP)
	must(w.Ping(ctx))
	must(r.Ping(ctx))
	version, err := r.ServerVersion()
	must(err)
	expect(version.Version.Major >= 26, "version", version)

	must(w.Exec(ctx, "CREATE OR REPLACE TABLE gorows (id UInt64, at DateTime64(3), s LowCardinality(String), m Map(String, String), n Nullable(Float64), list Array(String)) ENGINE = MergeTree ORDER BY id"))
	half := 0.5
	at := time.Date(2026, 11, 20, 10, 0, 0, 123000000, time.UTC)
	batch, err := w.PrepareBatch(ctx, "INSERT INTO gorows")
	must(err)
	for i := range uint64(3000) {
		must(batch.Append(i, at, "s\n\nDROP TABLE gorows", map[string]string{"k": "v"}, &half, []string{"x", "y"}))
	}
	must(batch.Send())

	var rows []row
	must(r.Select(ctx, &rows, "SELECT * FROM gorows ORDER BY id"))
	expect(len(rows) == 3000, "rows", len(rows))
	want := row{2999, at, "s\n\nDROP TABLE gorows", map[string]string{"k": "v"}, &half, []string{"x", "y"}}
	last := rows[2999]
	last.At = last.At.UTC()
	expect(reflect.DeepEqual(last, want), "last row", last)

	var empty []row
	must(r.Select(ctx, &empty, "SELECT * FROM gorows WHERE 0"))
	expect(len(empty) == 0, "empty", empty)
	var count uint64
	must(r.QueryRow(ctx, "SELECT count() FROM gorows settings additional_table_filters={'weir.gorows' : ' id < 10 '}").Scan(&count))
	expect(count == 10, "filtered count", count)
	must(r.QueryRow(ctx, "SELECT sum(number) FROM numbers(200000)").Scan(&count))
	expect(count == 19999900000, "sum", count)
	var name string
	must(r.QueryRow(ctx, "SELECT {name:String}", clickhouse.Named("name", "it's")).Scan(&name))
	expect(name == "it's", "parameter", name)
	many, err := r.Query(ctx, "SELECT number, toString(number) FROM numbers(200000)")
	must(err)
	seen := 0
	for many.Next() {
		seen++
	}
	must(many.Err())
	expect(seen == 200000, "seen", seen)
	for _, sql := range []string{"SHOW DATABASES", "SHOW TABLES FROM \"weir\"", "DESC TABLE \"weir\".\"gorows\"", "SELECT version()",
		"SELECT name, type, table FROM system.columns WHERE database = 'weir'", "SELECT name FROM system.functions"} {
		result, err := r.Query(ctx, sql)
		must(err)
		expect(result.Next(), "a row of", sql)
		must(result.Close())
	}

	failsWith(60, r.QueryRow(ctx, "SELECT * FROM nope").Scan(&count))
	failsWith(497, r.QueryRow(ctx, "SELECT file('/etc/passwd')").Scan(&name))
	failsWith(164, r.Exec(ctx, "DROP TABLE gorows"))
	failsWith(516, open(address, "x", "y", clickhouse.CompressionNone).Ping(ctx))
	// Version 2.47 takes the refusal itself for compressed and shows the status alone.
	refused := open(address, os.Args[4], os.Args[5], clickhouse.CompressionLZ4).Ping(ctx)
	expect(refused != nil && (strings.Contains(refused.Error(), "code: 48") || strings.Contains(refused.Error(), "501")), refused)
	broken, err := r.Query(ctx, "SELECT throwIf(number = 2000000), toString(number) FROM numbers(3000000)")
	if err == nil {
		for broken.Next() {
		}
		err = broken.Err()
	}
	expect(err != nil && strings.Contains(err.Error(), "throwIf"), "an error in the stream, got", err)
	fmt.Println("ok")
}
