// An HTTP server, a worker that uses it, and a report on both: the applications of the
// foster.yaml beside this file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer end()
	roles := map[string]func(context.Context, string) error{"serve": serve, "work": work, "report": report}
	if len(os.Args) != 2 || roles[os.Args[1]] == nil {
		log.Fatal("usage: stack serve|work|report")
	}
	address := "127.0.0.1:" + os.Getenv("PORT")
	if err := roles[os.Args[1]](ctx, address); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// serve answers until it's told to stop.
func serve(ctx context.Context, address string) error {
	var orders atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, _ *http.Request) {
		n := orders.Add(1)
		fmt.Printf("order %d has come in\n", n)
		fmt.Fprintf(w, "order %d", n)
	})
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%d", orders.Load()) })
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // it ends, whatever a client does
	}()
	fmt.Println("listens on http://" + address)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// work sends an order every two seconds.
func work(ctx context.Context, address string) error {
	clock := time.NewTicker(2 * time.Second)
	defer clock.Stop()
	for {
		answer, err := ask(ctx, http.MethodPost, address)
		if err != nil {
			return err
		}
		fmt.Println("has sent " + answer)
		select {
		case <-clock.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// report says how many orders there are.
func report(ctx context.Context, address string) error {
	answer, err := ask(ctx, http.MethodGet, address)
	if err != nil {
		return err
	}
	fmt.Println("orders so far: " + answer)
	return nil
}

func ask(ctx context.Context, method, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+address+"/orders", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}
