// An MCP server that costs next to nothing, so that what is measured is the proxy: HTTP/1.1 by hand, answers made once.
// What a tools/call gets is told by the tool's name: echo (787 B of JSON), big (100 KB), events (three server-sent
// events in one burst). GET opens a stream that stays silent. Never for anything but benchmarks.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

var session atomic.Int64

type template struct {
	head, tail []byte
	stream     bool
}

// pad makes a result whose whole message is `size` bytes with an id of 7 digits.
func pad(size int, blocks int) template {
	head := `{"jsonrpc":"2.0","id":`
	open := `,"result":{"content":[`
	shut := `],"isError":false}}`
	room := size - len(head) - 7 - len(open) - len(shut)
	words := "The balance of account 4711 is 1,204.50 EUR as of this morning. "
	var content strings.Builder
	for i := 0; i < blocks; i++ {
		frame := `{"type":"text","text":""}`
		if i > 0 {
			content.WriteByte(',')
			room--
		}
		take := room / (blocks - i)
		room -= take
		content.WriteString(`{"type":"text","text":"`)
		content.WriteString(strings.Repeat(words, take/len(words)+1)[:take-len(frame)])
		content.WriteString(`"}`)
	}
	return template{head: []byte(head), tail: []byte(open + content.String() + shut)}
}

var echo, big, events template

func digits(body []byte) []byte {
	at := bytes.Index(body, []byte(`"id":`))
	if at < 0 {
		return nil
	}
	start := at + 5
	end := start
	for end < len(body) && body[end] != ',' && body[end] != '}' {
		end++
	}
	return bytes.TrimSpace(body[start:end])
}

func respond(out []byte, head string, body ...[]byte) []byte {
	size := 0
	for _, b := range body {
		size += len(b)
	}
	out = append(out, head...)
	out = strconv.AppendInt(out, int64(size), 10)
	out = append(out, "\r\n\r\n"...)
	for _, b := range body {
		out = append(out, b...)
	}
	return out
}

const jsonHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "

func answer(out []byte, method string, body []byte) []byte {
	switch method {
	case "DELETE":
		return append(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"...)
	case "POST":
	default:
		return append(out, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"...)
	}
	id := digits(body)
	if id == nil {
		return append(out, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"...)
	}
	open, end := []byte(`{"jsonrpc":"2.0","id":`), []byte(`}`)
	switch {
	case bytes.Contains(body, []byte(`"method":"tools/call"`)):
		shape := echo
		if bytes.Contains(body, []byte(`"name":"big"`)) {
			shape = big
		} else if bytes.Contains(body, []byte(`"name":"events"`)) {
			shape = events
		}
		if !shape.stream {
			return respond(out, jsonHead, shape.head, id, shape.tail)
		}
		var burst []byte
		for i := 1; i <= 2; i++ {
			burst = fmt.Appendf(burst, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":%d,\"total\":3,\"message\":\"step\"}}\n\n", i)
		}
		burst = append(burst, "event: message\ndata: "...)
		burst = append(append(append(burst, shape.head...), id...), shape.tail...)
		burst = append(burst, "\n\n"...)
		out = append(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"...)
		out = fmt.Appendf(out, "%x\r\n", len(burst))
		return append(append(out, burst...), "\r\n0\r\n\r\n"...)
	case bytes.Contains(body, []byte(`"method":"initialize"`)):
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: stub-%d\r\nContent-Length: ", session.Add(1))
		return respond(out, head, open, id, []byte(`,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"stub","version":"1"}}`), end)
	case bytes.Contains(body, []byte(`"method":"server/discover"`)):
		return respond(out, jsonHead, open, id, []byte(`,"result":{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{"tools":{}},"serverInfo":{"name":"stub","version":"1"}}`), end)
	case bytes.Contains(body, []byte(`"method":"tools/list"`)):
		tool := `{"name":"%s","inputSchema":{"type":"object"}}`
		list := fmt.Sprintf(tool+","+tool+","+tool, "echo", "big", "events")
		return respond(out, jsonHead, open, id, []byte(`,"result":{"tools":[`+list+`]}`), end)
	case bytes.Contains(body, []byte(`"method":"ping"`)):
		return respond(out, jsonHead, open, id, []byte(`,"result":{}`), end)
	}
	return respond(out, jsonHead, open, id, []byte(`,"error":{"code":-32601,"message":"Method not found"}`), end)
}

var headEnd = []byte("\r\n\r\n")

func serve(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 0, 8192)
	out := make([]byte, 0, 8192)
	for {
		at := bytes.Index(buf, headEnd)
		var body []byte
		length := 0
		if at >= 0 {
			for line := range bytes.SplitSeq(buf[:at], []byte("\r\n")) {
				if len(line) > 15 && (line[0] == 'c' || line[0] == 'C') && bytes.EqualFold(line[:15], []byte("content-length:")) {
					length, _ = strconv.Atoi(string(bytes.TrimSpace(line[15:])))
				}
			}
		}
		if at < 0 || len(buf) < at+4+length {
			if cap(buf)-len(buf) < 4096 {
				buf = append(make([]byte, 0, 2*cap(buf)), buf...)
			}
			n, err := c.Read(buf[len(buf):cap(buf)])
			if err != nil {
				return
			}
			buf = buf[:len(buf)+n]
			continue
		}
		body = buf[at+4 : at+4+length]
		method := string(buf[:bytes.IndexByte(buf, ' ')])
		if method == "GET" {
			c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"))
			c.Read(make([]byte, 1))
			return
		}
		out = answer(out[:0], method, body)
		if _, err := c.Write(out); err != nil {
			return
		}
		rest := copy(buf, buf[at+4+length:])
		buf = buf[:rest]
	}
}

func main() {
	size := flag.Int("bytes", 787, "size of the answer of echo")
	flag.Parse()
	echo, big, events = pad(*size, 1), pad(100_000, 20), pad(900, 1)
	events.stream = true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}
