// Runs queries through clickhouse-go as Grafana's ClickHouse plugin opens it (HTTP, gzip, database/sql, a setting for the
// time limit): reads a JSON list of {name, sql} from standard input, writes one of {name, columns, rows, error}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

type question struct {
	Name string `json:"name"`
	SQL  string `json:"sql"`
}

type answer struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int      `json:"rows"`
	First   []string `json:"first"`
	Error   string   `json:"error"`
}

func main() {
	db := clickhouse.OpenDB(&clickhouse.Options{
		Addr:        []string{os.Args[1]},
		Auth:        clickhouse.Auth{Database: "weir", Username: os.Args[2], Password: os.Args[3]},
		ClientInfo:  clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{"grafana", "13.2.3"}, {"clickhouse-datasource", "4.20.0"}}},
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionGZIP},
		DialTimeout: 10 * time.Second,
		Protocol:    clickhouse.HTTP,
		ReadTimeout: 60 * time.Second,
		Settings:    clickhouse.Settings{},
	})
	db.SetMaxIdleConns(25)
	db.SetMaxOpenConns(4)
	ctx, cancel := context.WithTimeout(context.Background(), 180*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ping:", err)
		os.Exit(1)
	}
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, "input:", err)
		os.Exit(1)
	}
	answers := make([]answer, 0, len(questions))
	for _, q := range questions {
		a := answer{Name: q.Name, Columns: []string{}, First: []string{}}
		one, done := context.WithTimeout(ctx, 60*time.Second)
		rows, err := db.QueryContext(one, q.SQL)
		if err == nil {
			a.Columns, err = rows.Columns()
			values := make([]any, len(a.Columns))
			into := make([]any, len(a.Columns))
			for i := range values {
				into[i] = &values[i]
			}
			for err == nil && rows.Next() {
				err = rows.Scan(into...)
				if a.Rows == 0 {
					for _, v := range values {
						a.First = append(a.First, fmt.Sprint(v))
					}
				}
				a.Rows++
			}
			if err == nil {
				err = rows.Err()
			}
			rows.Close()
		}
		done()
		if err != nil {
			a.Error = err.Error()
		}
		answers = append(answers, a)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		os.Exit(1)
	}
}
