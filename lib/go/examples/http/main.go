// http is a complete worker: JSON-RPC over HTTP, with background work and a resource to close.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"handover/go"
)

func main() {
	w, err := handover.New(handover.ByHand("rpc", "tcp", "127.0.0.1:18920"))
	if err != nil {
		log.Fatal(err)
	}
	w.Go("housekeeping", housekeeping)
	w.OnClose("count", func() error { // after the last call, and the last round of housekeeping
		log.Printf("answered %d calls", atomic.LoadInt64(&answered))
		return nil
	})
	if err := w.ServeHTTP(&http.Server{Handler: http.HandlerFunc(handle)}); err != nil {
		log.Fatal(err)
	}
	os.Exit(w.Run())
}

var answered int64

// housekeeping goes on until the drain starts. A round that has begun is finished.
func housekeeping(ctx context.Context) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			log.Printf("answered %d calls so far", atomic.LoadInt64(&answered))
		}
	}
}

type question struct {
	ID     interface{} `json:"id"`
	Method string      `json:"method"`
	Params struct {
		A  int64 `json:"a"`
		B  int64 `json:"b"`
		Ms int64 `json:"ms"`
	} `json:"params"`
}

func handle(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == "/healthz" { // over the probe socket, with ready = http:/healthz
		return
	}
	var q question
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 65536)).Decode(&q); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	switch q.Method {
	case "add":
	case "work": // takes so long
		time.Sleep(time.Duration(q.Params.Ms) * time.Millisecond)
	case "hang": // never ends, whatever becomes of its client: see what a drain does with it
		select {}
	default:
		http.Error(rw, "no such method", http.StatusNotFound)
		return
	}
	atomic.AddInt64(&answered, 1)
	rw.Header().Set("Content-Type", "application/json")
	json.NewEncoder(rw).Encode(map[string]interface{}{"jsonrpc": "2.0", "id": q.ID, "result": map[string]interface{}{
		"pid": os.Getpid(), "slot": number("HANDOVER_SLOT"), "generation": number("HANDOVER_GENERATION"),
		"version": "go", "sum": q.Params.A + q.Params.B,
	}})
}

func number(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name)) // 0 without a supervisor
	return n
}
